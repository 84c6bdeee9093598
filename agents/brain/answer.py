"""One answer from its first event to its last, published so that none is lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

import msgspec

from agents.brain import citations as citing
from agents.brain.context import Prompt
from agents.brain.generation import Generation
from bus.connection import Bus
from bus.reading import ANSWER_STREAM, stored
from bus.subjects import subject_of
from schemas.chat import (
    AnswerEvent,
    Ask,
    Citation,
    Delta,
    Done,
    Failed,
    FinishReason,
    Grounding,
    Likelihood,
    Sources,
    ToolCall,
    ToolCalls,
    Turn,
    Usage,
)
from schemas.completion import Complete
from schemas.documents import Passage
from schemas.errors import KaraisError
from schemas.failure import Code

log = logging.getLogger(__name__)

REPEAT_SECONDS = 15.0
"""For how long after a lost bus came back its stream is waited for."""

Asked = TypeVar("Asked", Ask, Complete)
Publish = Callable[[str, tuple[Likelihood, ...]], Awaitable[None]]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a generation ended; its fields are those of a Turn."""

    finish_reason: FinishReason | Literal["failed"] = "stop"
    code: Code | None = None
    message: str = ""
    usage: Usage = Usage()

    @classmethod
    def failed(cls, code: Code, message: str) -> Ending:
        """Return the ending of an answer that is not complete."""
        return cls(finish_reason="failed", code=code, message=message)


class RunningAnswer(Generic[Asked]):
    """Publishes an answer's events by index and keeps them, in case the bus loses them."""

    def __init__(self, bus: Bus, ask: Asked, conversation: str = "") -> None:
        self.ask: Asked = ask
        self.conversation = conversation or ask.conversation
        self.text: list[str] = []
        self.passages: tuple[Passage, ...] = ()
        self.searched: bool | None = None
        """Whether the files and the memory could be searched; None when they were not to be."""
        self.events: list[AnswerEvent] = []
        self.recorded = asyncio.Event()
        """Set when the question is in the log; nothing is published before."""
        self.sequence = 0
        """Position of the question in the log."""
        self.cancelled = False
        """The asker wants no more of it."""
        self.ending = False
        """Nothing more is generated; what there is is being written to the log."""
        self.outdated = False
        """Something of its conversation was forgotten after it began."""
        self.prompt: Prompt | None = None
        """What it is made from, once that is known."""
        self.task: asyncio.Task[None] | None = None
        self._bus = bus

    def question(self, text: str) -> Turn:
        """Return the question's entry for the log, asked now."""
        return Turn(
            user=self.ask.user,
            project=self.ask.project,
            conversation=self.conversation,
            answer=self.ask.answer,
            role="user",
            text=text,
            at=time.time(),
            worker=self._bus.instance,
        )

    def turn(self, question: Turn, ending: Ending, model: str, found: tuple[Citation, ...]) -> Turn:
        """Return the answer's entry for the log, complete now, with what was ``found`` to support it."""
        return msgspec.structs.replace(
            question,
            role="assistant",
            text="".join(self.text),
            at=time.time(),
            model=model,
            passages=self.passages,
            cited=citing.cited(found),
            citations=found,
            grounding=citing.grounding(self.searched, self.passages, found),
            **msgspec.structs.asdict(ending),
        )

    def stop(self, *, cancelled: bool) -> None:
        """Generate no more: at the asker's wish, or because the brain has to leave."""
        if self.ending or self.cancelled:
            return
        self.cancelled = cancelled
        if self.task and self.recorded.is_set():
            self.task.cancel()

    async def sources(self, passages: list[Passage]) -> None:
        """Publish the passages that the answer may rest on."""
        self.passages = tuple(passages)
        await self._publish(Sources(answer=self.ask.answer, index=len(self.events), passages=self.passages))

    async def delta(self, text: str, logprobs: tuple[Likelihood, ...] = ()) -> None:
        """Publish the next piece of text."""
        self.text.append(text)
        await self._publish(
            Delta(answer=self.ask.answer, index=len(self.events), text=text, logprobs=logprobs)
        )

    async def tool_calls(self, calls: tuple[ToolCall, ...]) -> None:
        """Publish which tools the model wants."""
        await self._publish(ToolCalls(answer=self.ask.answer, index=len(self.events), calls=calls))

    async def end(
        self,
        ending: Ending,
        *,
        cited: tuple[int, ...] = (),
        citations: tuple[Citation, ...] = (),
        grounding: Grounding = "",
        explain: bool = False,
    ) -> None:
        """Publish the last event: the answer is complete, or failed."""
        if ending.finish_reason == "failed":
            await self.failed(ending.code or Code.INTERNAL, ending.message)
            return
        await self._publish(
            Done(
                answer=self.ask.answer,
                index=len(self.events),
                finish_reason=ending.finish_reason,
                usage=ending.usage,
                cited=cited,
                citations=citations,
                grounding=grounding,
                explained=self.prompt.explained(ending.usage) if explain and self.prompt else None,
            )
        )

    async def failed(self, code: Code, message: str) -> None:
        """Publish the end of an answer that could not be completed."""
        await self._publish(
            Failed(answer=self.ask.answer, index=len(self.events), code=code, message=message)
        )

    async def repeat(self) -> None:
        """Publish every event again, once the stream of answers is back after an outage.

        Readers go by index, so what they have already does them no harm.
        """
        subject = subject_of(Delta(answer=self.ask.answer, index=0, text=""))
        try:
            async with asyncio.timeout(REPEAT_SECONDS):
                while True:
                    try:
                        kept = await stored(self._bus, ANSWER_STREAM, subject)
                        break
                    except KaraisError:
                        await asyncio.sleep(0.1)
        except TimeoutError:
            log.error("the stream %s did not come back within %g s", ANSWER_STREAM, REPEAT_SECONDS)
            return
        if len(kept) < len(self.events):
            for event in list(self.events):
                await self._bus.publish(event)

    async def _publish(self, event: AnswerEvent) -> None:
        self.events.append(event)
        try:
            await self._bus.publish(event)
        except KaraisError as error:
            log.warning("the event %d of an answer waits for the bus: %s", event.index, error)


AnyAnswer = RunningAnswer[Ask] | RunningAnswer[Complete]


async def published(generation: Generation, publish: Publish) -> Ending:
    """Hand a generation's pieces on as they come; return how it ended."""
    ending = Ending()
    async for piece in generation:
        if piece.text or piece.logprobs:
            await publish(piece.text, piece.logprobs)
        if piece.usage:
            usage = msgspec.structs.replace(piece.usage, seconds_to_first_token=generation.seconds_to_first)
            ending = msgspec.structs.replace(ending, usage=usage)
        if piece.finish_reason:
            ending = msgspec.structs.replace(ending, finish_reason=piece.finish_reason)
    return ending


async def ending_of(answer: AnyAnswer, work: Awaitable[Ending]) -> Ending:
    """Return how the work on an answer ended, whatever happens to it.

    Only what ends before the question was taken is raised as the cancellation that it is.
    """
    try:
        return await work
    except asyncio.CancelledError:
        if not answer.recorded.is_set():
            raise
        if answer.cancelled:
            return Ending(finish_reason="cancelled")
        return Ending.failed(Code.INTERRUPTED, "The brain was stopped while it answered; ask again.")
    except KaraisError as error:
        return Ending.failed(error.code, str(error))
    except Exception:
        log.exception("the answer %s failed", answer.ask.answer)
        return Ending.failed(Code.INTERNAL, "The brain failed unexpectedly; its log says why.")
