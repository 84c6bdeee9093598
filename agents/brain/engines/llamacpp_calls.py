"""Requests to llama.cpp's server in this process, each in a thread, their chunks in the event loop.

The server serves a request in the thread that calls it. So every running
generation has a thread, which only hands chunks on: they go through one queue
to the event loop, which is woken once for all chunks that wait.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

_CLOSING_S = 5.0
"""Threads that do not end within this time are left behind, and the model with it."""


class Call:
    """One request."""

    __slots__ = ("cancelled", "request")

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.cancelled = False
        """Set it to end the request at its next chunk; no chunk comes from then on."""


AnyCall = TypeVar("AnyCall", bound=Call)


class Calls(Generic[AnyCall]):
    """Runs calls side by side. To be made and used in the event loop."""

    def __init__(
        self,
        server: Any,
        take: Callable[[AnyCall, bytes], None],
        ended: Callable[[AnyCall, KaraisError | None], None],
    ) -> None:
        """``take`` gets the chunks of a call; ``ended`` is called once for each, when its thread is free."""
        self._server = server
        self._take = take
        self._call_ended = ended
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[tuple[AnyCall, bytes | KaraisError | None]] = deque()
        self._woken = False
        self._work: queue.SimpleQueue[AnyCall | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._seen = 0.0

    @property
    def silent_s(self) -> float:
        """Seconds since anything came from a call, or since the first one began; 0 when none runs."""
        return self._loop.time() - self._seen if self._running else 0.0

    def start(self, call: AnyCall) -> None:
        """Begin a call."""
        if not self._running:
            self._seen = self._loop.time()
        self._running += 1
        if self._running > len(self._threads):
            name = f"llamacpp-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._work.put(call)

    async def close(self) -> None:
        """End the threads and free the model, which the calls have to be cancelled for."""
        for _ in self._threads:
            self._work.put(None)
        await asyncio.to_thread(self._free)

    def _free(self) -> None:
        deadline = time.monotonic() + _CLOSING_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            self._server = None  # the destructor waits for llama.cpp's loop to end

    def _serve(self) -> None:
        """Serve one call after the other; each thread runs this."""
        while (call := self._work.get()) is not None:
            self._post(call, self._complete(call))

    def _complete(self, call: AnyCall) -> KaraisError | None:
        """Run one request to its end or cancellation. Blocks."""

        def on_chunk(chunk: bytes) -> bool:
            if call.cancelled:
                return True  # ends the request
            self._post(call, chunk)
            return False

        if call.cancelled:
            return None
        try:
            self._server.handle_chat_completions(call.request, on_chunk)
        except ValueError as error:
            return KaraisError(f"The engine refuses the prompt: {error}.", code=Code.INVALID)
        except Exception as error:  # noqa: BLE001 - whatever it is, only this call ends with it
            return Unavailable(f"The engine failed: {error}.")
        return None

    def _post(self, call: AnyCall, event: bytes | KaraisError | None) -> None:
        """Hand a chunk, an error or the end (None) to the event loop."""
        self._inbox.append((call, event))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # before reading: what comes from here on wakes again
        self._seen = self._loop.time()
        inbox = self._inbox
        while inbox:
            call, event = inbox.popleft()
            if not isinstance(event, bytes):
                self._running -= 1
                self._call_ended(call, event)
            elif not call.cancelled:
                self._take(call, event)
