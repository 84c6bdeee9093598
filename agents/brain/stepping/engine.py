"""The ``Engine`` of the brain over a runner: the event loop's side of the stepping loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from agents.brain.admission import Admission
from agents.brain.engine import ANYONE, ChatMessage, Constraint, Piece, Place
from agents.brain.stepping.grammar import Grammars
from agents.brain.stepping.loop import Loop, Told
from agents.brain.stepping.request import Request
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

if TYPE_CHECKING:
    from agents.brain.stepping.adapters import Adapters
    from agents.brain.stepping.prompts import Prompts
    from agents.brain.stepping.runner import Runner
    from agents.brain.stepping.vocabulary import Vocabulary
    from schemas.chat import Sampling
    from schemas.health import EngineDescription
    from stores.weights.registry import Profile

_STALLED_S = 120.0
"""A step that takes longer will never end: only a new process helps."""
_CLOSING_S = 5.0


class SteppingEngine:
    """An ``Engine`` over a model that computes logits."""

    def __init__(
        self,
        runner: Runner,
        description: EngineDescription,
        profile: Profile,
        vocabulary: Vocabulary,
        prompts: Prompts,
        adapters: Adapters,
    ) -> None:
        self._description = description
        self._profile = profile
        self._vocabulary = vocabulary
        self._prompts = prompts
        self._grammars = Grammars(vocabulary)
        self._adapters = adapters
        self._runner = runner
        self._events = asyncio.get_running_loop()
        self._loop = Loop(runner, self._tell)
        self._waiting: Admission[Request] = Admission(description.slots)
        self._running: set[Request] = set()
        self._reserved = 0
        """Tokens that the running requests may come to hold."""
        self._failure: KaraisError | None = None
        self._watch: asyncio.TimerHandle | None = None

    @property
    def description(self) -> EngineDescription:
        """What runs, on which device, and why."""
        return self._description

    @property
    def healthy(self) -> bool:
        """False when the engine failed and only a new process helps."""
        if self._failure is None and not self._loop.alive:
            self._fail("The engine's thread ended: its process has to be restarted.")
        return self._failure is None

    @property
    def running(self) -> int:
        """Generations that hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Generations that wait for a slot or for room in the context."""
        return len(self._waiting)

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        constraint: Constraint | None = None,
        place: Place = ANYONE,
    ) -> AsyncGenerator[Piece, None]:
        """Generate the answer to a prompt: see ``Engine.generate``."""
        self._check_open()
        self._waiting.check(place)
        adapter = await self._adapters.get(sampling.adapter) if sampling.adapter else None
        prompt = await asyncio.to_thread(self._prompts.tokens, messages)
        context = self._description.context_tokens
        if len(prompt) >= context:
            raise KaraisError(
                f"The prompt has {len(prompt):,} tokens, but the model's context holds {context:,}:"
                " ask with less text.",
                code=Code.INVALID,
            )
        most = min(len(prompt) + sampling.max_tokens, context)
        request = Request(self._vocabulary, self._profile, prompt, sampling, most)
        request.adapter = adapter
        if constraint is not None:
            request.guide = await asyncio.to_thread(self._grammars.compile, constraint)
        self._check_open()
        self._waiting.push(request, place, most)
        self._admit()
        try:
            while True:
                piece = await request.mailbox.take()
                yield piece
                if piece.finish_reason is not None:
                    return
        finally:
            request.cancelled = True
            if request in self._waiting:
                self._waiting.remove(request)
                self._admit()

    async def count(self, messages: Sequence[ChatMessage]) -> int:
        """Return how many tokens the prompt has, template included."""
        self._check_open()
        return len(await asyncio.to_thread(self._prompts.tokens, messages))

    async def measure(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has by itself."""
        self._check_open()
        return await asyncio.to_thread(self._prompts.measure, texts)

    async def close(self) -> None:
        """End what runs and free the model."""
        if self._watch is not None:
            self._watch.cancel()
        self._fail("The engine was closed during the answer: ask again.")
        if await asyncio.to_thread(self._loop.end, _CLOSING_S):
            await asyncio.to_thread(self._runner.close)

    def _admit(self) -> None:
        """Start what waits while there are slots and room."""
        while len(self._running) < self._description.slots:
            request = self._waiting.pop(self._has_room)
            if request is None:
                break
            self._reserved += request.most
            self._running.add(request)
            self._loop.add(request)
        if self._running and self._watch is None:
            self._watch = self._events.call_later(_STALLED_S / 4, self._look)

    def _has_room(self, tokens: int) -> bool:
        return not self._running or self._reserved + tokens <= self._runner.capacity

    def _look(self) -> None:
        """Give the engine up when a step does not end."""
        self._watch = None
        if not self._running:
            return
        began = self._loop.began
        if began and time.monotonic() - began > _STALLED_S:
            self._fail(f"The engine gave no sign for {_STALLED_S:.0f} s: its process has to be restarted.")
        else:
            self._watch = self._events.call_later(_STALLED_S / 4, self._look)

    def _fail(self, reason: str) -> None:
        """End everything, for good."""
        if self._failure is None:
            self._failure = Unavailable(reason)
        for request in [*self._running, *self._waiting]:
            request.cancelled = True
            request.mailbox.fail(self._failure)
        for request in self._waiting:
            self._waiting.remove(request)

    def _check_open(self) -> None:
        if self._failure is not None:
            raise Unavailable(str(self._failure))

    def _tell(self, told: Sequence[Told]) -> None:
        """Hand on what came of a step; called by the loop's thread."""
        self._events.call_soon_threadsafe(self._take, told)

    def _take(self, told: Sequence[Told]) -> None:
        for request, news in told:
            if news is None:
                self._running.discard(request)
                self._waiting.remove(request)
                self._reserved -= request.most
            elif isinstance(news, Piece):
                request.mailbox.put(news)
            else:
                request.mailbox.fail(news)
        if self._failure is None:
            self._admit()
