"""Durable jobs: fetched one a slot, kept alive while worked, redelivered, buried when hopeless."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from bus import codec
from bus.connection import Bus
from bus.streams import ACK_WAIT_SECONDS, MAX_DELIVERIES
from bus.subjects import ROOT
from schemas.base import Message
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.health import DeadLetter

log = logging.getLogger(__name__)

STREAM = "JOBS"
POLL_SECONDS = 30.0
RETRY_SECONDS = (1.0, 5.0, 20.0, 60.0)
"""Pauses before a failed job is delivered again."""
HOPELESS = {Code.INVALID, Code.NOT_FOUND, Code.FORBIDDEN, Code.TOO_LARGE}
"""Failures that another try cannot change."""


class Count(Protocol):
    """Counts a handled message."""

    def __call__(self, *, failed: bool) -> None:
        """Count one message."""


class Worker:
    """Does the jobs of one kind; ``run`` is one slot."""

    def __init__(
        self,
        bus: Bus,
        kind: str,
        message: type[Message],
        handler: Callable[[Any], Awaitable[Any]],
        count: Count,
    ) -> None:
        self.bus = bus
        self.kind = kind
        self.types = (message,)
        self.handler = handler
        self.count = count
        self.reasons: dict[int, str] = {}
        """Why a job failed last, by its sequence in the stream, for the dead letter."""

    async def run(self) -> None:
        """Fetch and do jobs for ever."""
        async for message in _fetch(self.bus, STREAM, self.kind):
            await self._work(message)

    async def _work(self, message: Msg) -> None:
        sequence = message.metadata.sequence.stream
        deliveries = message.metadata.num_delivered
        alive = asyncio.create_task(_keep(message))
        try:
            job = codec.decode(self.types, message.data, message.headers)
            await self.handler(job)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await message.nak()  # another agent takes it at once
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the job comes again or is buried
            await self._fail(message, sequence, deliveries, error)
        else:
            self.reasons.pop(sequence, None)
            self.count(failed=False)
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                # Unacknowledged it comes again: handlers do the same work twice without harm.
                await message.ack_sync(timeout=ACK_WAIT_SECONDS)
        finally:
            alive.cancel()

    async def _fail(self, message: Msg, sequence: int, deliveries: int | None, error: Exception) -> None:
        self.count(failed=True)
        expected = isinstance(error, KaraisError)
        self.reasons[sequence] = str(error) if expected else f"{type(error).__name__}: {error}"
        if expected:
            log.warning("%s failed: %s", message.subject, error)
        else:
            log.error("%s failed", message.subject, exc_info=error)
        with contextlib.suppress(nats.errors.Error):
            if isinstance(error, KaraisError) and error.code in HOPELESS:
                await bury(self.bus, sequence, deliveries or 1, self.reasons.pop(sequence))
            else:
                pause = RETRY_SECONDS[min(deliveries or 1, len(RETRY_SECONDS)) - 1]
                await message.nak(delay=pause)


class Undertaker:
    """Moves jobs that were delivered too often to the dead letters, with the reason."""

    def __init__(self, bus: Bus, kind: str, worker: Worker) -> None:
        self.bus = bus
        self.kind = kind
        self.worker = worker

    async def run(self) -> None:
        """Wait for JetStream's notices for ever."""
        async for notice in _fetch(self.bus, "JOBS_FAILED", self.kind):
            advisory = codec.decode_json(notice.data)
            sequence = int(advisory["stream_seq"])
            deliveries = int(advisory.get("deliveries", MAX_DELIVERIES))
            reason = self.worker.reasons.pop(
                sequence, f"It was begun {deliveries} times and never ended: its worker died or hung."
            )
            try:
                await bury(self.bus, sequence, deliveries, reason)
                await notice.ack_sync()
            except (nats.errors.Error, TimeoutError) as error:
                log.warning("a job could not be buried yet: %s", error)


async def bury(bus: Bus, sequence: int, deliveries: int, reason: str) -> None:
    """Copy a job to the dead letters, then delete it from the queue."""
    manager = bus.jetstream
    try:
        stored = await manager.get_msg(STREAM, seq=sequence)
    except nats.js.errors.NotFoundError:
        return  # done or buried meanwhile
    letter = DeadLetter(
        subject=stored.subject or "",
        stream=STREAM,
        sequence=sequence,
        deliveries=deliveries,
        reason=reason,
        payload=(stored.data or b"").decode("utf-8", "replace"),
        at=time.time(),
    )
    headers = {"Nats-Msg-Id": f"{STREAM}-{sequence}"}
    await manager.publish(f"{ROOT}.dlq.{STREAM}", msgspec.json.encode(letter), headers=headers)
    await manager.delete_msg(STREAM, sequence)
    log.error("gave up on %s after %d deliveries: %s", letter.subject, deliveries, reason)


async def _fetch(bus: Bus, stream: str, durable: str) -> Any:
    """Yield one message after the other from a durable pull consumer, through every outage."""
    subscription: JetStreamContext.PullSubscription | None = None
    try:
        while True:
            try:
                if subscription is None:
                    subscription = await bus.jetstream.pull_subscribe_bind(durable=durable, stream=stream)
                # One at a time: larger batches were seen to stall.
                for message in await subscription.fetch(1, timeout=POLL_SECONDS, heartbeat=5):
                    yield message
            except (TimeoutError, nats.errors.TimeoutError):
                continue
            except (nats.errors.Error, OSError) as error:
                if bus.client.is_closed:
                    return
                log.info("waiting for the queue %s of %s: %s", stream, durable, error)
                await asyncio.sleep(0.5)
                subscription = None
    finally:
        if subscription is not None:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()


async def _keep(message: Msg) -> None:
    """Tell JetStream every two seconds that the job is still being done."""
    while True:
        await asyncio.sleep(ACK_WAIT_SECONDS / 3)
        with contextlib.suppress(nats.errors.Error, OSError):
            await message.in_progress()
