"""Following a log: every entry in order from a position, over lost connections and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bus import codec
from bus.connection import Bus
from bus.subjects import ROUTES, Log, pattern_of
from schemas.base import Message
from schemas.errors import KaraisError

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
RETRY_SECONDS = 1.0


class _Broken(Exception):
    """The consumer was lost or skipped an entry: make another from the last position."""


async def follow(
    bus: Bus,
    messages: tuple[type[Message], ...],
    handler: Callable[[Any, int], Awaitable[Any]],
    position: Callable[[str], int],
) -> None:
    """Call ``handler(entry, sequence)`` for each entry behind ``position(stream)``, in order, for ever.

    An entry that cannot be decoded is logged and left out: it will never get
    better. One whose handler raises is tried again until it succeeds, so that
    a projection never has a hole.
    """
    streams = {route.stream for m in messages if isinstance(route := ROUTES[m], Log)}
    (stream,) = streams  # one handler follows one log
    subjects = sorted({pattern_of(m) for m in messages})
    last = 0

    async def deliver(message: Msg) -> None:
        nonlocal last
        await _deliver(message, messages, handler)
        last = message.metadata.sequence.stream

    while True:
        try:
            await _consume(bus, stream, subjects, deliver, max(last, position(stream)))
        except (_Broken, nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            if bus.client.is_closed:
                return
            log.info("following %s again from %d: %s", stream, last, error or type(error).__name__)
            await asyncio.sleep(0.2)


async def _consume(
    bus: Bus,
    stream: str,
    subjects: list[str],
    deliver: Callable[[Msg], Awaitable[None]],
    after: int,
) -> None:
    """Follow by one ephemeral push consumer until it breaks."""
    entries: asyncio.Queue[Msg | None] = asyncio.Queue()
    inbox = bus.client.new_inbox()

    async def take(message: Msg) -> None:
        entries.put_nowait(message)

    def lost() -> None:
        entries.put_nowait(None)

    subscription = await bus.client.subscribe(inbox, cb=take, pending_msgs_limit=0, pending_bytes_limit=0)
    bus.reconnected.append(lost)
    name = f"{bus.instance}-{secrets.token_hex(4)}"
    try:
        await bus.jetstream.add_consumer(
            stream,
            ConsumerConfig(
                name=name,
                deliver_subject=inbox,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=after + 1,
                ack_policy=AckPolicy.NONE,
                filter_subjects=subjects,
                idle_heartbeat=HEARTBEAT_SECONDS,
                flow_control=True,
                inactive_threshold=30,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        expected = 1
        while True:
            async with asyncio.timeout(3 * HEARTBEAT_SECONDS):
                message = await entries.get()
            if message is None:
                raise _Broken("the connection was lost")
            headers = message.headers or {}
            if headers.get("Status") == "100":  # heartbeat or flow control
                if message.reply:
                    await bus.client.publish(message.reply)
                elif stalled := headers.get("Nats-Consumer-Stalled"):
                    await bus.client.publish(stalled)
                if int(headers.get("Nats-Last-Consumer", expected - 1)) >= expected and entries.empty():
                    raise _Broken("an entry was lost on the way")
                continue
            sequence = message.metadata.sequence
            if sequence.consumer != expected:
                raise _Broken("an entry was lost on the way")
            expected += 1
            await deliver(message)
    finally:
        bus.reconnected.remove(lost)
        with contextlib.suppress(Exception):
            await subscription.unsubscribe()
        with contextlib.suppress(Exception):
            await bus.jetstream.delete_consumer(stream, name)


async def _deliver(
    message: Msg,
    messages: tuple[type[Message], ...],
    handler: Callable[[Any, int], Awaitable[Any]],
) -> None:
    sequence = message.metadata.sequence.stream
    try:
        entry = codec.decode(messages, message.data, message.headers)
    except KaraisError as error:
        log.error("left out entry %d of %s: %s", sequence, message.subject, error)
        return
    said = ""
    while True:
        try:
            await handler(entry, sequence)
            return
        except Exception as error:
            if said != (said := repr(error)):  # the same one every second helps nobody
                log.error(
                    "entry %d of %s could not be taken and is tried again: %s",
                    sequence,
                    message.subject,
                    error,
                    exc_info=not isinstance(error, KaraisError),
                )
            await asyncio.sleep(RETRY_SECONDS)
