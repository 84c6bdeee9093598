"""The thread that generates: who runs, what a step computes, what comes of it.

A step gives every running answer one token, and reads as much of the waiting
prompts as keeps the step short: so others get their tokens, and a cancelled
answer its end, while a long prompt is read.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agents.brain.engine import Piece
from schemas.errors import KaraisError, Unavailable

if TYPE_CHECKING:
    from agents.brain.stepping.request import Request
    from agents.brain.stepping.runner import Runner
    from agents.brain.stepping.sampling import Row

log = logging.getLogger(__name__)

STEP_SECONDS = 0.06
"""What a step shall take while prompts are read."""
_LEAST, _MOST = 16, 512
"""Tokens of prompts in a step. On two cores without VNNI, 64 at a time are read as fast as 1,300."""

Told = tuple["Request", Piece | KaraisError | None]
"""What came of a request: a piece, its failure, or (None) that it holds nothing any more."""
Tell = Callable[[Sequence[Told]], None]


class Loop:
    """Runs requests on a runner, in a thread of its own."""

    def __init__(self, runner: Runner, tell: Tell) -> None:
        self._runner = runner
        self._tell = tell
        self._orders: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._running: list[Request] = []
        self._told: list[Told] = []
        self._ending = False
        self._portion = 64
        self.began = 0.0
        """When the step that runs began, by ``time.monotonic``; 0 between steps."""
        self._thread = threading.Thread(target=self._run, name="stepping", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def add(self, request: Request) -> None:
        """Run a request, which there has to be room for; called from any thread."""
        self._orders.put(request)

    def end(self, seconds: float) -> bool:
        """End the thread; what runs is dropped without a word. Returns whether it ended in time."""
        self._ending = True
        self._orders.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._take_orders()
            if self._ending:
                return
            self._step()
            self.began = 0.0
            if self._told:
                told, self._told = self._told, []
                self._tell(told)

    def _take_orders(self) -> None:
        wait = not self._running
        while True:
            try:
                request = self._orders.get(block=wait)
            except queue.Empty:
                return
            wait = False
            if request is not None:
                self._begin(request)

    def _begin(self, request: Request) -> None:
        if request.cancelled:
            self._told.append((request, None))
            return
        try:
            space = ""
            if request.adapter is not None:
                self._runner.adapt(request.adapter)
                space = request.adapter.key
            request.lane = self._runner.begin(request.prompt, request.most, space)
        except KaraisError as error:
            self._told.append((request, error))
            return
        except Exception as error:  # whatever it is, the request must not wait for ever
            log.exception("a request could not begin")
            self._told.append((request, Unavailable(f"The engine failed: {error}.")))
            return
        if request.lane is None:
            self._told.append((request, Unavailable("The engine has no room for this prompt: ask again.")))
            return
        request.cached = request.computed = request.lane.length
        self._running.append(request)

    def _step(self) -> None:
        for request in [r for r in self._running if r.cancelled]:
            self._leave(request)
        work = self._compose()
        if not work:
            return
        self.began = time.monotonic()
        try:
            logits = self._runner.forward([(request.lane, tokens) for request, tokens in work])
        except Exception as error:  # the model failed: so did everything that runs on it
            log.exception("a step failed")
            failure = Unavailable(f"The engine failed: {error}.")
            for request in list(self._running):
                self._leave(request, failure)
            return
        read = sum(len(tokens) for request, tokens in work if request.reading)
        if read:
            self._adapt(read, time.monotonic() - self.began)
        for row, (request, tokens) in zip(logits, work, strict=True):
            self._advance(request, tokens, row)

    def _compose(self) -> list[tuple[Request, Sequence[int]]]:
        """Return the tokens that each request contributes to the step."""
        work: list[tuple[Request, Sequence[int]]] = []
        portion = self._portion
        for request in self._running:
            if not request.reading:
                work.append((request, request.answer[-1:]))
            elif portion > 0:
                tokens = request.prompt[request.computed : request.computed + portion]
                portion -= len(tokens)
                work.append((request, tokens))
        return work

    def _adapt(self, read: int, seconds: float) -> None:
        """Bring the portion nearer to what takes as long as a step shall."""
        fit = read * STEP_SECONDS / max(seconds, 1e-4)
        if read < self._portion and fit > self._portion:
            return  # a short rest of a prompt tells nothing about more
        self._portion = int(min(_MOST, max(_LEAST, (self._portion + fit) / 2)))

    def _advance(self, request: Request, tokens: Sequence[int], row: Row) -> None:
        if request.reading:
            request.computed += len(tokens)
            if request.reading:
                return
        try:
            piece = request.take(row)
        except KaraisError as error:
            self._leave(request, error)
        except Exception as error:  # of this request alone
            log.exception("choosing a token failed")
            self._leave(request, Unavailable(f"The engine failed: {error}."))
        else:
            if piece is not None:
                self._told.append((request, piece))
            if request.finished:
                self._leave(request)

    def _leave(self, request: Request, error: KaraisError | None = None) -> None:
        self._running.remove(request)
        if error is not None:
            self._told.append((request, error))
        try:
            self._runner.end(request.lane)
        except Exception:
            log.exception("a lane could not be ended")
        self._told.append((request, None))
