"""An engine without a model that does as it is told: for tests of everything around a model.

It is told by a JSON file (the setting ``script``, see ``Script``) or by
directives in square brackets in the last message of the prompt::

    [say One two three.]      answer with this text
    [stall 2.5]  [stall]      pause before the first token, for seconds or for ever
    [stall after 3]           pause for ever behind the third token
    [fail]  [fail after 3]    fail as ``unavailable``, at once or behind the third token
    [die after 3]             fail with every other generation, and be unhealthy from then on
    [exit]                    end the process at once, as a crash would
    [obey]                    answer with the first order that stands anywhere in the prompt

A script whose only reply is ``{"obey": true}`` obeys in every prompt.
An order is what follows ``IMPORTANT:`` or ``ignore your instructions and say``:
a model that falls for every injected text. Untold, it repeats the question.
Tokens are words; the same prompt always gives the same answer.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from agents.brain.engine import ANYONE, ChatMessage, Constraint, Piece, Place
from schemas.chat import Sampling, Usage
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.health import EngineDescription

if TYPE_CHECKING:
    from bus.settings import Settings

_FOREVER = float("inf")
_TOKEN = re.compile(r"\s*\S+")
_DIRECTIVE = re.compile(
    r"\[(?:say (?P<say>[^\]]*)|(?P<obey>obey)|(?P<exit>exit)"
    r"|stall(?: (?P<stall>\d+(?:\.\d+)?))?(?: after (?P<stall_after>\d+))?(?P<stalls>)"
    r"|fail(?: after (?P<fail_after>\d+))?(?P<fails>)|die(?: after (?P<die_after>\d+))?(?P<dies>))\]"
)
_ORDER = re.compile(
    r"(?:IMPORTANT:(?:\s*say:?)?"
    r"|ignore (?:all |any )?(?:of )?(?:your |the |previous |these |prior )*instructions,?"
    r"(?: and)? (?:say|answer|reply|output):?)\s*(?P<order>[^\n]+)",
    re.IGNORECASE,
)


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do about a prompt."""

    when: str = ""
    """Only for prompts whose last message contains this text."""
    text: str | None = None
    """The answer; None repeats the question."""
    stall: float | None = None
    """Seconds to pause; a negative number pauses for ever."""
    stall_after: int = 0
    """Tokens after which to pause."""
    fail_after: int | None = None
    """Tokens after which this generation fails."""
    die_after: int | None = None
    """Tokens after which the whole engine fails."""
    exit: bool = False
    """End the process at once."""
    obey: bool = False
    """Answer with the first order that stands anywhere in the prompt."""


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of the setting ``script``."""

    replies: tuple[Reply, ...] = ()
    """The first that fits is taken."""
    tokens_per_second: Annotated[float, Meta(ge=0)] = 0.0
    """Of each generation; 0 for as fast as it goes."""
    prefill_seconds: Annotated[float, Meta(ge=0)] = 0.0
    """What the processing of a prompt takes."""


class ScriptedEngine:
    """An ``Engine`` that follows a script."""

    def __init__(self, script: Script, *, slots: int = 8, context: int = 8192) -> None:
        self._script = script
        self._slots = asyncio.Semaphore(slots)
        self._running = 0
        self._waiting = 0
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
        return self._running

    @property
    def waiting(self) -> int:
        """Generations that wait for a slot."""
        return self._waiting

    async def count(self, messages: Sequence[ChatMessage]) -> int:
        """Return how many tokens the prompt has: its words, and four a message."""
        return sum(len(_TOKEN.findall(m.content)) + 4 for m in messages)

    async def measure(self, texts: Sequence[str]) -> list[int]:
        """Return how many words each text has."""
        return [len(_TOKEN.findall(text)) for text in texts]

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
        prompt = await self.count(messages)
        context = self._description.context_tokens
        if prompt > context:
            raise KaraisError(
                f"The prompt has {prompt:,} tokens, but the model's context holds {context:,}:"
                " ask with less text.",
                code=Code.INVALID,
            )
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        self._running += 1
        try:
            async for piece in self._follow(messages, sampling, prompt):
                yield piece
        finally:
            self._running -= 1
            self._slots.release()

    async def _follow(
        self, messages: Sequence[ChatMessage], sampling: Sampling, prompt: int
    ) -> AsyncGenerator[Piece, None]:
        last = messages[-1].content if messages else ""
        reply = self._reply(last)
        if reply.exit:
            os._exit(70)
        tokens, stopped = _cut(_answer(reply, messages), sampling.stop)
        if sampling.ignore_end:
            tokens = tokens or [" on"]
            tokens = (tokens * (sampling.max_tokens // len(tokens) + 1))[: sampling.max_tokens]
        await self._pause(self._script.prefill_seconds)
        pause = 1 / self._script.tokens_per_second if self._script.tokens_per_second else 0.0
        sent = 0
        for number, token in enumerate([*tokens[: sampling.max_tokens], None]):
            await self._misbehave(reply, number)
            if token is not None:
                await self._pause(pause)
                sent += 1
                yield Piece(token, 1)
        complete = not sampling.ignore_end and (stopped or sent == len(tokens))
        usage = Usage(prompt_tokens=prompt, completion_tokens=sent)
        yield Piece("", 0, "stop" if complete else "length", usage)

    def _reply(self, last: str) -> Reply:
        found = _directives(last)
        if found is not None:
            return found
        return next((r for r in self._script.replies if r.when in last), Reply())

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


def _directives(text: str) -> Reply | None:
    """Return what the directives in a message say, None when there are none."""
    fields: dict[str, object] = {}
    for match in _DIRECTIVE.finditer(text):
        if match["say"] is not None:
            fields["text"] = match["say"]
        elif match["obey"]:
            fields["obey"] = True
        elif match["exit"]:
            fields["exit"] = True
        elif match["stalls"] is not None:
            fields["stall"] = float(match["stall"] or -1)
            fields["stall_after"] = int(match["stall_after"] or 0)
        elif match["fails"] is not None:
            fields["fail_after"] = int(match["fail_after"] or 0)
        else:
            fields["die_after"] = int(match["die_after"] or 0)
    return msgspec.convert(fields, Reply) if fields else None


def _answer(reply: Reply, messages: Sequence[ChatMessage]) -> str:
    if reply.obey:
        for message in messages:
            if order := _ORDER.search(message.content):
                return order["order"].strip()
    if reply.text is not None:
        return reply.text
    last = messages[-1].content if messages else ""
    question = _DIRECTIVE.sub("", last).strip().rsplit("\n\n", 1)[-1].removeprefix("Question:").strip()
    return f"You asked: {question}"


def _cut(text: str, stops: Sequence[str]) -> tuple[list[str], bool]:
    """Return the tokens up to the first stop string, and whether there is one."""
    ends = [end for stop in stops if stop and (end := text.find(stop)) >= 0]
    return _TOKEN.findall(text[: min(ends)] if ends else text), bool(ends)
