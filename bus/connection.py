"""A typed connection to the bus: requests, events, log entries, jobs and subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from bus import codec
from bus.identities import inbox_prefix, seed
from bus.reading import AnswerReader, Subscription
from bus.server import MAX_PAYLOAD, url_of
from bus.settings import Settings
from bus.streams import NO_ROOM
from bus.subjects import ROUTES, Control, Event, Job, Log, Rpc, rpc_subject, subject_of
from schemas.base import Message
from schemas.errors import KaraisError, Refused, TimedOut, Unavailable
from schemas.failure import Code

log = logging.getLogger(__name__)

RECONNECT_WAIT_SECONDS = 0.2
CLOSE_SECONDS = 3.0
LOST_SECONDS = 2.0
"""After the bus came back, for a reply that may still be on its way."""
STORE_SECONDS = 3.0
"""A full disk shows as silence: the server refuses to store without a reply."""
WRONG_LAST_SEQUENCE = (10071, 10164)
SUBJECT_FULL = 10077  # "maximum messages per subject exceeded": the same work waits already


class _LostError(Exception):
    """A reply that does not come."""


class Recorded(NamedTuple):
    """Where a log entry stands."""

    sequence: int
    """Its position in the stream."""
    duplicate: bool
    """An entry with the same id was there before; nothing was written."""


class Bus:
    """One process's connection. Made by ``connect``."""

    def __init__(self, client: Client, identity: str, instance: str) -> None:
        self.client = client
        self.identity = identity
        self.instance = instance
        self.jetstream: JetStreamContext = client.jetstream(timeout=5)
        self.reconnected: list[Callable[[], None]] = []
        """Called in the event loop each time the connection came back."""
        self.denied = 0
        """Publishes and subscriptions that the server refused for want of permission."""
        self._waiting: set[asyncio.Task[Msg]] = set()
        """Requests whose reply is waited for, ..."""
        self._lost: set[asyncio.Task[Msg]] = set()
        """... and those whose reply will not come, as the bus restarted meanwhile."""
        self.reconnected.append(self._expect_no_replies)

    @property
    def connected(self) -> bool:
        """Whether the server can be reached now."""
        return bool(self.client.is_connected)

    async def call(
        self, request: Message, *, timeout: float = 5.0, instance: str = "", patience: float = 0.0
    ) -> Any:
        """Send a request and return its reply.

        ``patience`` is for how many seconds it is sent again while nobody is
        there to answer, such as an agent that restarts, or when the reply was
        lost with the bus. Raises Refused with the other side's failure,
        Unavailable or TimedOut.
        """
        route = ROUTES[type(request)]
        assert isinstance(route, Rpc), f"{type(request).__name__} is no request"
        payload, headers = codec.encode(request)
        _check_size(request, payload)
        subject = rpc_subject(type(request), instance)
        deadline = time.monotonic() + patience
        while True:
            try:
                message = await self._reply(subject, payload, timeout, headers)
                break
            except _LostError:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"The bus was lost while the agent {route.kind} worked: try again."
                    ) from None
            except nats.errors.NoRespondersError:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"The agent {route.kind} does not answer: `karais status` shows how it is."
                    ) from None
                await asyncio.sleep(0.1)
            except nats.errors.TimeoutError:
                raise TimedOut(f"The agent {route.kind} gave no answer within {timeout:g} s.") from None
            except (nats.errors.Error, OSError) as error:
                raise Unavailable(f"The bus cannot be reached: {_reason(error)}.") from None
        return codec.decode_reply(route.reply, message.data, message.headers)

    async def _reply(
        self, subject: str, payload: bytes, timeout: float, headers: dict[str, str] | None
    ) -> Msg:
        """Send a request and return its reply; raises _LostError when the bus came back without it."""
        request = asyncio.ensure_future(
            self.client.request(subject, payload, timeout=timeout, headers=headers)
        )
        self._waiting.add(request)
        try:
            return await request
        except asyncio.CancelledError:
            if request in self._lost and not _is_cancelled():
                raise _LostError from None
            raise
        finally:
            self._waiting.discard(request)
            self._lost.discard(request)

    def _expect_no_replies(self) -> None:
        """Give those who are asked a moment: a server that restarted does not know who asked them."""
        waiting = list(self._waiting)

        def give_up() -> None:
            for request in waiting:
                if request in self._waiting:
                    self._lost.add(request)
                    request.cancel()

        if waiting:
            asyncio.get_running_loop().call_later(LOST_SECONDS, give_up)

    async def publish(self, message: Message) -> None:
        """Publish an event or an order to whoever listens now."""
        assert isinstance(ROUTES[type(message)], (Event, Control)), f"{type(message).__name__} is no event"
        payload, headers = codec.encode(message)
        try:
            await self.client.publish(subject_of(message), payload, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"The bus cannot be reached: {_reason(error)}.") from None

    async def record(
        self, entry: Message, *, id: str = "", expect: int | None = None, patience: float = 5.0
    ) -> Recorded:
        """Append an entry to its log and return its position once it is on disk.

        ``id`` makes a repetition within ten minutes count once. ``expect`` is
        the sequence of the last entry on the same subject (0 for none); if it
        is another, Refused with code ``conflict`` is raised and nothing is
        written. With an ``id`` the entry is sent again for ``patience``
        seconds while the bus does not confirm.
        """
        route = ROUTES[type(entry)]
        assert isinstance(route, Log), f"{type(entry).__name__} is no log entry"
        headers = {"Nats-Expected-Stream": route.stream}
        if id:
            headers["Nats-Msg-Id"] = id
        if expect is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expect)
        return await self._store(entry, headers, patience if id else 0.0)

    async def submit(self, *jobs: Message) -> None:
        """Hand jobs over to the agents that do them; work that waits already is not added again."""
        for job in jobs:
            assert isinstance(ROUTES[type(job)], Job), f"{type(job).__name__} is no job"
            await self._store(job, {"Nats-Expected-Stream": "JOBS"}, 5.0)

    async def _store(self, message: Message, headers: dict[str, str], patience: float) -> Recorded:
        payload, _ = codec.encode(message)
        _check_size(message, payload)
        subject = subject_of(message)
        deadline = time.monotonic() + patience
        while True:
            try:
                ack = await self.jetstream.publish(subject, payload, timeout=STORE_SECONDS, headers=headers)
                return Recorded(int(ack.seq), bool(ack.duplicate))
            except nats.js.errors.APIError as error:
                if error.err_code == SUBJECT_FULL:
                    return Recorded(0, True)
                raise _refusal(error, subject) from None
            except (nats.errors.Error, OSError) as error:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"The bus did not confirm {subject} ({_reason(error)}): it may be away, or its disk "
                        "full; `karais doctor` tells."
                    ) from None
                await asyncio.sleep(0.1)

    def subscribe(self, *messages: type[Message], **fields: str) -> Subscription:
        """Return a subscription to these types, where ``fields`` fixes tokens of their subjects.

        Use it as an async context manager and iterate; what cannot be decoded
        is logged and left out.
        """
        return Subscription(self, messages, fields)

    def answer_events(self, answer: str, after: int = -1, *, history: bool = True) -> AnswerReader:
        """Return a reader of an answer's events behind index ``after``, in order, none lost or twice.

        Use it as an async context manager, then iterate: the subscription
        stands once the context is entered. ``history=False`` spares the first
        look into the stream, for an answer that has not begun.
        """
        return AnswerReader(self, answer, after, history=history)

    async def services(self, *, wait: float = 0.3) -> list[dict[str, Any]]:
        """Return the NATS micro STATS of every agent that answers within ``wait`` seconds."""
        return await self.gather("$SRV.STATS", wait=wait)

    async def gather(self, subject: str, payload: bytes = b"", *, wait: float = 0.3) -> list[dict[str, Any]]:
        """Send one request to many and return the JSON replies that come within ``wait`` seconds."""
        inbox = self.client.new_inbox()
        replies: list[dict[str, Any]] = []
        subscription = await self.client.subscribe(inbox)
        try:
            await self.client.publish(subject, payload, reply=inbox)
            deadline = time.monotonic() + wait
            while (left := deadline - time.monotonic()) > 0:
                try:
                    message: Msg = await subscription.next_msg(timeout=left)
                except nats.errors.TimeoutError:
                    break
                if message.data:
                    replies.append(codec.decode_json(message.data))
        finally:
            await subscription.unsubscribe()
        return replies

    async def close(self) -> None:
        """Send what is pending and close the connection."""
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                if self.client.is_connected:
                    await self.client.flush(2)
                await self.client.close()


@contextlib.asynccontextmanager
async def connect(settings: Settings, identity: str, *, wait: float = 10.0) -> AsyncIterator[Bus]:
    """Connect to the bus as ``identity`` and yield the connection.

    Waits up to ``wait`` seconds for a server, then raises Unavailable with the
    address. Once connected, it reconnects for ever.
    """
    client = Client()
    instance = f"{identity}-{secrets.token_hex(4)}"
    bus = Bus(client, identity, instance)

    async def on_error(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            bus.denied += 1
        elif not client.is_connected:
            return  # the connection's own events say so
        log.error("the bus reports: %s", _reason(error))

    async def on_reconnect() -> None:
        log.warning("the bus is back")
        for callback in bus.reconnected:
            callback()

    async def on_disconnect() -> None:
        if not client.is_closed:
            log.warning("the bus is gone, reconnecting")

    url = url_of(settings)
    options: dict[str, Any] = {
        "name": instance,
        "inbox_prefix": inbox_prefix(identity),
        "error_cb": on_error,
        "reconnected_cb": on_reconnect,
        "disconnected_cb": on_disconnect,
        "connect_timeout": 2,
        "reconnect_time_wait": RECONNECT_WAIT_SECONDS,
        "max_reconnect_attempts": -1,
        "max_outstanding_pings": 2,
        "ping_interval": 20,
        "pending_size": 16 * 2**20,
    }
    if not settings.nats:
        options["nkeys_seed_str"] = seed(settings.keys, identity)
    await _connect_within(client, url, options, wait)
    try:
        yield bus
    finally:
        await bus.close()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _connect_within(client: Client, url: str, options: Mapping[str, Any], wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            # The client goes on for ever where nobody listens, whatever allow_reconnect says.
            async with asyncio.timeout(max(0.05, deadline - time.monotonic())):
                await client.connect(url, **{**options, "allow_reconnect": False})
        except (nats.errors.Error, OSError, TimeoutError) as caught:
            error = (client.last_error or caught) if isinstance(caught, TimeoutError) else caught
            if "authorization" in str(error).lower():
                raise KaraisError(
                    f"The bus at {_public(url)} does not accept the identity {options['name']}: its keys "
                    "were made for another data folder.",
                    code=Code.FORBIDDEN,
                ) from None
            if time.monotonic() >= deadline:
                raise Unavailable(
                    f"The bus at {_public(url)} cannot be reached: {_reason(error)}; is it running?"
                ) from None
            await asyncio.sleep(0.1)
        else:
            client.options["allow_reconnect"] = True
            return


def _check_size(message: Message, payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD:
        raise KaraisError(
            f"A message of type {type(message).__name__} has {len(payload)} bytes; "
            f"the bus takes {MAX_PAYLOAD}.",
            code=Code.TOO_LARGE,
        )


def _refusal(error: nats.js.errors.APIError, subject: str) -> Refused | Unavailable:
    if error.err_code in WRONG_LAST_SEQUENCE:
        return Refused(f"Another entry was written to {subject} first.", code=Code.CONFLICT)
    if error.err_code in NO_ROOM or "no space" in (error.description or "").lower():
        return Unavailable(
            f"The bus has no room to store {subject} ({error.description}): "
            "free disk space in its data folder."
        )
    return Unavailable(f"The bus refused {subject}: {error.description}.")


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text.removeprefix("nats: ") or type(error).__name__


def _public(url: str) -> str:
    """Return the URL without user and password."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
