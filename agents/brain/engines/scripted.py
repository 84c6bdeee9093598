"""An engine without a model that does as it is told: for tests of everything around a model.

It is told by a JSON file (the setting ``script``, see ``script.Script``) or by
directives in square brackets in the last message of the prompt::

    [say One two three.]      answer with this text
    [call NAME {"a": 1}]      call a tool: <tool_call>{"name": "NAME", "arguments": {"a": 1}}</tool_call>
    [stall 2.5]  [stall]      pause before the first token, for seconds or for ever
    [stall after 3]           pause for ever behind the third token
    [fail]  [fail after 3]    fail as ``unavailable``, at once or behind the third token
    [die after 3]             fail with every other generation, and be unhealthy from then on
    [exit]                    end the process at once, as a crash would
    [obey]                    answer with the first order that stands anywhere in the prompt

A script whose only reply is ``{"obey": true}`` obeys in every prompt: a model
that falls for every injected text. An order is what follows ``IMPORTANT:`` or
``ignore your instructions and say``; ``call NAME with {...}`` and a copied
``<tool_call>`` make it call the tool, once each. Untold, it repeats the question.

Tokens are words; the same prompt always gives the same answer. Its own
likelihood is made up of the words' letters; a penalty drops a word that was
said before when it outweighs it.
"""

from __future__ import annotations

import asyncio
import math
import os
import zlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from agents.brain import constraining
from agents.brain.admission import Admission
from agents.brain.engine import ANYONE, ChatMessage, Constraint, Piece, Place
from agents.brain.engines.script import TOKEN, Reply, Script, answer, cut, held, reply_to
from schemas.chat import Likelihood, Sampling, Usage
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.health import EngineDescription

if TYPE_CHECKING:
    from bus.settings import Settings

_FOREVER = float("inf")
_PROMPTS_KEPT = 64
_MARKS = 4
"""Tokens around a message."""
_PENALTY_BORNE = 1.0
"""What a word that was said before is worth, as a logit."""


class _Turn:
    """One generation."""

    __slots__ = ("begun", "reserved")

    def __init__(self, reserved: int) -> None:
        self.reserved = reserved
        self.begun = asyncio.Event()


class ScriptedEngine:
    """An ``Engine`` that follows a script."""

    def __init__(self, script: Script, *, slots: int = 8, context: int = 8192) -> None:
        self._script = script
        self._waiting: Admission[_Turn] = Admission(slots, spare=context // 4)
        self._running: set[_Turn] = set()
        self._prompts: deque[list[str]] = deque(maxlen=_PROMPTS_KEPT)
        self._failure: KaraisError | None = None
        self._down = asyncio.Event()
        self._description = EngineDescription(
            engine="scripted",
            model="scripted",
            context_tokens=context,
            slots=slots,
            threads=0,
            device="cpu",
            reason="the setting engine is scripted",
        )

    @classmethod
    def open(cls, settings: Settings) -> ScriptedEngine:
        """Read the script. Raises KaraisError ``invalid``, naming the file and the field."""
        script = Script()
        if settings.script is not None:
            try:
                script = msgspec.json.decode(settings.script.read_bytes(), type=Script)
            except OSError as error:
                raise KaraisError(
                    f"The script {settings.script} cannot be read: {error.strerror}.", code=Code.INVALID
                ) from None
            except msgspec.MsgspecError as error:
                raise KaraisError(
                    f"The script {settings.script} is wrong: {error}.", code=Code.INVALID
                ) from None
        return cls(script, slots=settings.slots, context=settings.context)

    @property
    def description(self) -> EngineDescription:
        """What runs, on which device, and why."""
        return self._description

    @property
    def healthy(self) -> bool:
        """False when the engine was told to die, or is closed."""
        return self._failure is None

    @property
    def running(self) -> int:
        """Generations that hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Generations that wait for a slot or for room in the context."""
        return len(self._waiting)

    async def count(self, messages: Sequence[ChatMessage]) -> int:
        """Return how many tokens the prompt has: its words, and four a message."""
        return len(_tokens(messages))

    async def measure(self, texts: Sequence[str]) -> list[int]:
        """Return how many words each text has."""
        return [len(TOKEN.findall(text)) for text in texts]

    async def close(self) -> None:
        """End what runs."""
        self._fail_all(Unavailable("The engine was closed during the answer: ask again."))

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        constraint: Constraint | None = None,
        place: Place = ANYONE,
    ) -> AsyncGenerator[Piece, None]:
        """Generate the answer to a prompt: see ``Engine.generate``."""
        self._check()
        self._waiting.check(place)
        if sampling.adapter:
            raise KaraisError(f"There is no adapter {sampling.adapter} here.", code=Code.NOT_FOUND)
        if constraint is not None:
            constraining.grammar_of(constraint)
        prompt = _tokens(messages)
        context = self._description.context_tokens
        if len(prompt) > context:
            raise KaraisError(
                f"The prompt has {len(prompt):,} tokens, but the model's context holds {context:,}:"
                " ask with less text.",
                code=Code.INVALID,
            )
        turn = _Turn(min(len(prompt) + sampling.max_tokens, context))
        self._waiting.push(turn, place, turn.reserved)
        try:
            self._admit()
            await turn.begun.wait()
            self._check()
            async with aclosing(self._follow(messages, sampling, constraint, prompt)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._running.discard(turn)
            self._waiting.remove(turn)
            self._admit()

    def _admit(self) -> None:
        while len(self._running) < self._description.slots and self._failure is None:
            turn = self._waiting.pop(self._has_room)
            if turn is None:
                return
            self._running.add(turn)
            turn.begun.set()

    def _has_room(self, tokens: int) -> bool:
        used = sum(turn.reserved for turn in self._running)
        return not used or used + tokens <= self._description.context_tokens

    async def _follow(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        constraint: Constraint | None,
        prompt: list[str],
    ) -> AsyncGenerator[Piece, None]:
        reply = reply_to(self._script, messages[-1].content if messages else "")
        if reply.exit:
            os._exit(70)
        text = answer(reply, messages)
        tokens, stopped = cut(held(text, constraint) if constraint is not None else text, sampling.stop)
        if constraint is None:
            tokens = _penalised(tokens, sampling)
        if sampling.ignore_end:
            tokens = tokens or [" on"]
            tokens = (tokens * (sampling.max_tokens // len(tokens) + 1))[: sampling.max_tokens]
        cached = max((_in_common(prompt, earlier) for earlier in self._prompts), default=0)
        await self._pause(self._script.prefill_seconds)
        self._prompts.append(prompt)
        read = len(prompt)
        pause = 1 / self._script.tokens_per_second if self._script.tokens_per_second else 0.0
        sent = 0
        for number, token in enumerate([*tokens[: sampling.max_tokens], None]):
            await self._misbehave(reply, number)
            if token is not None:
                await self._pause(pause)
                sent += 1
                likely = () if sampling.logprobs is None else (_likelihood(token, sampling.logprobs),)
                yield Piece(token, 1, logprobs=likely)
        complete = not sampling.ignore_end and (stopped or sent == len(tokens))
        # The last token of a prompt is always read: the first one of the answer comes from it.
        usage = Usage(prompt_tokens=read, cached_tokens=min(cached, read - 1), completion_tokens=sent)
        prompt += [*[_mark("assistant")] * _MARKS, *tokens[:sent]]  # it goes on from here
        yield Piece("", 0, "stop" if complete else "length", usage)

    async def _misbehave(self, reply: Reply, number: int) -> None:
        """Do what the reply tells for the moment before the token with this number, from 0."""
        if reply.stall is not None and number == reply.stall_after:
            await self._pause(_FOREVER if reply.stall < 0 else reply.stall)
        if number == reply.fail_after:
            raise Unavailable("The engine failed because its script says so.")
        if number == reply.die_after:
            self._fail_all(Unavailable("The engine died because its script says so."))
            self._check()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the engine fails meanwhile."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            try:
                await asyncio.wait_for(self._down.wait(), None if seconds == _FOREVER else seconds)
            except TimeoutError:
                return
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise Unavailable(str(self._failure))

    def _fail_all(self, error: KaraisError) -> None:
        self._failure = self._failure or error
        self._down.set()
        for turn in self._waiting:
            turn.begun.set()  # it looks for itself


def _tokens(messages: Sequence[ChatMessage]) -> list[str]:
    return [token for m in messages for token in (*[_mark(m.role)] * _MARKS, *TOKEN.findall(m.content))] or [
        ""
    ]


def _mark(role: str) -> str:
    return f"<|{role}|>"


def _in_common(prompt: Sequence[str], earlier: Sequence[str]) -> int:
    """Return how many tokens two prompts begin with alike."""
    pairs = enumerate(zip(prompt, earlier, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(prompt), len(earlier)))


def _penalised(tokens: Sequence[str], sampling: Sampling) -> list[str]:
    said: Counter[str] = Counter()
    left = []
    for token in tokens:
        times = said[token]
        penalty = sampling.frequency_penalty * times + sampling.presence_penalty * bool(times)
        if penalty <= _PENALTY_BORNE:
            said[token] += 1
            left.append(token)
    return left


def _likelihood(token: str, others: int) -> Likelihood:
    """Return a likelihood that depends on nothing but the token."""
    certainty = 0.6 + zlib.crc32(token.encode()) % 100 / 300  # below 0.94
    rest = 1 - certainty
    texts = (token, *(f" word{n}" for n in range(1, others)))
    shares = (certainty, *(rest / 2**n for n in range(1, others)))
    top = tuple(
        Likelihood(token=text, logprob=math.log(share), bytes=tuple(text.encode()))
        for text, share in zip(texts, shares, strict=True)
    )
    return Likelihood(token=token, logprob=math.log(certainty), bytes=tuple(token.encode()), top=top[:others])
