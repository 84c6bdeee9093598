"""Reading from the bus: live subscriptions, and answers that can be resumed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec
import nats.errors
from nats.aio.msg import Msg

from bus import codec
from bus.subjects import ROOT, pattern_of
from schemas.base import Message
from schemas.chat import AnswerEvent, Delta, Done, Failed, Sources, ToolCalls
from schemas.errors import KaraisError, TimedOut, Unavailable

if TYPE_CHECKING:
    from bus.connection import Bus

log = logging.getLogger(__name__)

ANSWER_STREAM = "ANSWER"
SILENCE_SECONDS = 3.0
"""After so long without an event a reader looks into the stream, in case the last one was lost."""
BATCH = 512


class Received(NamedTuple):
    """A message with the bytes it came as, which can be passed on unchanged."""

    message: Any
    raw: bytes


class Subscription:
    """Messages of some types as they are published; see ``Bus.subscribe``."""

    def __init__(self, bus: Bus, types: tuple[type[Message], ...], fields: dict[str, str]) -> None:
        self._bus = bus
        self._types = types
        self._subjects = sorted({pattern_of(kind, **fields) for kind in types})
        self._queue: asyncio.Queue[Received] = asyncio.Queue()
        self._subscriptions: list[Any] = []

    async def __aenter__(self) -> Self:
        for subject in self._subjects:
            self._subscriptions.append(await self._bus.client.subscribe(subject, cb=self._take))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _unsubscribe(self._subscriptions)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        return await self._queue.get()

    async def _take(self, message: Msg) -> None:
        try:
            self._queue.put_nowait(
                Received(codec.decode(self._types, message.data, message.headers), message.data)
            )
        except KaraisError as error:
            log.warning("left out a message on %s: %s", message.subject, error)


class AnswerReader:
    """The events of one answer, by index, none lost and none twice; see ``Bus.answer_events``.

    Live events come by a plain subscription, which may drop some for a slow
    reader. A gap in the index, a silence or a reconnect sends the reader to the
    stream for what it misses.
    """

    def __init__(self, bus: Bus, answer: str, after: int, *, history: bool) -> None:
        self._bus = bus
        self._answer = answer
        self._next = after + 1
        self._ready: deque[Received] = deque()
        self._wake = asyncio.Event()
        self._look = history
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._subscriptions: list[Any] = []

    async def __aenter__(self) -> Self:
        subject = f"{ROOT}.answer.{self._answer}"
        self._subscriptions.append(await self._bus.client.subscribe(subject, cb=self._take))
        self._bus.reconnected.append(self._look_again)
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(SILENCE_SECONDS, self._check_silence)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()
        self._bus.reconnected.remove(self._look_again)
        await _unsubscribe(self._subscriptions)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        while True:
            if self._ready:
                return self._ready.popleft()
            if self._ended:
                raise StopAsyncIteration
            if self._look:
                self._look = False
                await self._read_stream()
                continue
            self._wake.clear()
            await self._wake.wait()

    async def _take(self, message: Msg) -> None:
        self._heard = self._loop.time()
        self._accept(message.data)

    def _accept(self, payload: bytes) -> None:
        try:
            event: AnswerEvent = codec.decode((Sources, Delta, ToolCalls, Done, Failed), payload)
        except KaraisError as error:
            log.warning("left out an event of the answer %s: %s", self._answer, error)
            return
        last = isinstance(event, (Done, Failed))
        if self._ended:
            return
        if event.index == self._next or (last and event.index < self._next):
            # An end can come with a lower index than was seen: the brain and the bus both died,
            # and whoever ended the answer found nothing left of it.
            self._next = event.index + 1
            self._ready.append(Received(event, payload))
            self._ended = last
        elif event.index > self._next:
            self._look = True
        self._wake.set()

    def _look_again(self) -> None:
        self._look = True
        self._wake.set()

    def _check_silence(self) -> None:
        if self._loop.time() - self._heard >= SILENCE_SECONDS:
            self._look_again()
        self._timer = self._loop.call_later(SILENCE_SECONDS, self._check_silence)

    async def _read_stream(self) -> None:
        try:
            for payload in await stored(self._bus, ANSWER_STREAM, f"{ROOT}.answer.{self._answer}"):
                self._accept(payload)
            # What came live meanwhile and did not fit yet is in the stream as well.
        except KaraisError as error:
            log.warning("could not read the stream of the answer %s: %s", self._answer, error)


class Stored(NamedTuple):
    """A message as a stream holds it."""

    sequence: int
    subject: str
    payload: bytes


async def stored(bus: Bus, stream: str, subject: str) -> list[bytes]:
    """Return the payloads that a stream holds on one subject, oldest first.

    Uses batched direct gets (ADR-31), which need no consumer. Raises TimedOut
    or Unavailable.
    """
    return [entry.payload for entry in await stored_entries(bus, stream, subject)]


async def stored_entries(bus: Bus, stream: str, subject: str, start: int = 1) -> list[Stored]:
    """Return what a stream holds on one subject (wildcards allowed) from a sequence on; see ``stored``."""
    return [entry async for batch in batches(bus, stream, subject, start - 1) for entry in batch]


async def batches(bus: Bus, stream: str, subject: str, after: int = 0) -> AsyncIterator[list[Stored]]:
    """Yield what a stream holds behind a sequence, some hundred messages at a time; see ``stored``."""
    while True:
        batch, pending = await _direct_batch(bus, stream, subject, after + 1)
        if batch:
            yield batch
            after = batch[-1].sequence
        if not pending or not batch:
            return


async def _direct_batch(bus: Bus, stream: str, subject: str, start: int) -> tuple[list[Stored], int]:
    """Return up to BATCH messages from sequence ``start``, and how many are left."""
    request = msgspec.json.encode({"batch": BATCH, "seq": start, "next_by_subj": subject})
    inbox = bus.client.new_inbox()
    found: list[Stored] = []
    pending = 0
    subscription = await bus.client.subscribe(inbox)
    try:
        await bus.client.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
        while True:
            message = await subscription.next_msg(timeout=2)
            headers = message.headers or {}
            status = headers.get("Status", "")
            if status == "404":  # nothing stored on this subject
                return found, 0
            if status == "204":  # end of the batch
                return found, pending
            if status == "503":
                raise Unavailable(f"The stream {stream} cannot be read now.")
            if status:
                description = headers.get("Description", status)
                raise KaraisError(f"The stream {stream} refused a read: {description}.")
            found.append(Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data))
            pending = int(headers.get("Nats-Num-Pending", "0"))
    except nats.errors.TimeoutError:
        raise TimedOut(f"The stream {stream} did not answer within 2 s.") from None
    except (nats.errors.Error, OSError) as error:
        raise Unavailable(f"The bus cannot be reached: {error}.") from None
    finally:
        await _unsubscribe([subscription])


async def _unsubscribe(subscriptions: list[Any]) -> None:
    for subscription in subscriptions:
        try:
            await subscription.unsubscribe()
        except (nats.errors.Error, OSError):
            log.debug("a subscription was closed already")
