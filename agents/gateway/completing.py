"""A completion over the bus, for as long as its client is there.

Nobody can come back for it, so a client that goes takes it along: its slot in
the engine is free at once. Nothing else ends the completion of a brain that
died, so that is looked for here as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from agents.gateway.asking import hand_over
from bus.tasks import end
from schemas.chat import Cancel, Delta, Done, Failed, Likelihood, Sources, ToolCall, ToolCalls
from schemas.completion import Complete
from schemas.documents import Passage
from schemas.errors import KaraisError, Refused, Unavailable
from schemas.failure import Code
from schemas.health import DescribeEngine

if TYPE_CHECKING:
    from bus.connection import Bus
    from bus.reading import AnswerReader

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""How often to look whether the client is there."""
SILENCE_SECONDS = 2.0
"""After so long without an event, and each time again, the brain is asked whether it lives."""
WRITE_SECONDS = 60.0
"""How long a client may take to read what was sent."""

Event = Sources | Delta | ToolCalls | Done


class ClientGoneError(Exception):
    """The client closed its connection, or does not read."""


@dataclass
class Collected:
    """A completion in one piece."""

    done: Done
    text: str
    logprobs: tuple[Likelihood, ...]
    passages: tuple[Passage, ...]
    calls: tuple[ToolCall, ...]


class Completion:
    """The events of a completion that runs; a failure is raised as Refused."""

    def __init__(self, bus: Bus, request: web.Request, ask: Complete, events: AnswerReader) -> None:
        self.ask = ask
        self.worker = ""
        self.ended = False
        self.why: Exception | None = None
        """Why the request was cancelled from here."""
        self._bus = bus
        self._request = request
        self._events = events
        self._heard = asyncio.get_running_loop().time()

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for received in self._events:
            self._heard = asyncio.get_running_loop().time()
            self.ended = isinstance(received.message, (Done, Failed))
            if isinstance(received.message, Failed):
                raise Refused(received.message.message, code=received.message.code)
            yield received.message

    async def collected(self) -> Collected:
        """Wait for the end and return all of it."""
        text: list[str] = []
        logprobs: list[Likelihood] = []
        passages: tuple[Passage, ...] = ()
        calls: tuple[ToolCall, ...] = ()
        async for event in self:
            match event:
                case Delta():
                    text.append(event.text)
                    logprobs += event.logprobs
                case Sources():
                    passages = event.passages
                case ToolCalls():
                    calls += event.calls
                case Done():
                    return Collected(event, "".join(text), tuple(logprobs), passages, calls)
        raise KaraisError("The answer ended without an end; ask again.", code=Code.INTERRUPTED)

    async def watch(self, task: asyncio.Task[object]) -> None:
        """Cancel the request's task when its client or its brain is gone."""
        loop = asyncio.get_running_loop()
        missed = 0
        while self.why is None:
            await asyncio.sleep(LOOK_SECONDS)
            transport = self._request.transport
            if transport is None or transport.is_closing():
                self.why = ClientGoneError()
            elif loop.time() - self._heard > SILENCE_SECONDS and self.worker:
                # While the bus restarts everyone is missing: one look is not enough.
                missed = 0 if await self._brain_lives() else missed + 1
                self._heard = loop.time()
                if missed == 2:
                    self.why = KaraisError(
                        "The brain died while it answered; ask again.", code=Code.INTERRUPTED
                    )
        task.cancel()

    async def _brain_lives(self) -> bool:
        if not self._bus.connected:
            return True
        try:
            await self._bus.call(DescribeEngine(), timeout=LOOK_SECONDS, instance=self.worker)
        except Unavailable:
            return False
        except KaraisError:
            return True  # it is there, but slow
        return True


@asynccontextmanager
async def completing(bus: Bus, request: web.Request, ask: Complete) -> AsyncIterator[Completion]:
    """Have the brain complete a prompt; leaving the context stops what has not ended.

    Raises KaraisError when the brain refuses or dies, ClientGoneError when the client left.
    """
    task = asyncio.current_task()
    assert task is not None
    async with bus.answer_events(ask.answer, history=False) as events:
        completion = Completion(bus, request, ask, events)
        watching = asyncio.create_task(completion.watch(task))
        try:
            completion.worker = (await hand_over(bus, ask)).worker
            yield completion
        except asyncio.CancelledError:
            if completion.why is None or task.uncancel() > 0:
                raise
            raise completion.why from None
        finally:
            if not completion.ended:
                await _cancel(bus, ask.answer)
            await end([watching])


async def _cancel(bus: Bus, answer: str) -> None:
    try:
        await bus.publish(Cancel(answer=answer))
    except KaraisError as error:
        log.warning("the answer %s was not stopped: %s", answer, error)


async def stream(
    request: web.Request,
    content_type: str,
    frames: AsyncGenerator[bytes, None],
    failed: Callable[[KaraisError], bytes],
) -> web.StreamResponse:
    """Write frames as they come. What fails before the first is raised, later it is the last frame."""
    response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-store"})
    try:
        async with aclosing(frames):
            try:
                async for frame in frames:
                    if not response.prepared:
                        await response.prepare(request)
                    await _write(request, response, frame)
            except KaraisError as error:
                if not response.prepared:
                    raise
                await _write(request, response, failed(error))
        await response.write_eof()
    except ConnectionError:
        raise ClientGoneError from None
    return response


async def _write(request: web.Request, response: web.StreamResponse, frame: bytes) -> None:
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(frame)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ClientGoneError from None
