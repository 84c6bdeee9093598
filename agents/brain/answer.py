"""One answer from its first event to its last, published so that none is lost."""

from __future__ import annotations

import asyncio
import logging

from bus.connection import Bus
from bus.reading import ANSWER_STREAM, stored
from bus.subjects import subject_of
from schemas.chat import AnswerEvent, Ask, Delta, Done, Failed, Sources, Turn
from schemas.documents import Passage
from schemas.errors import KaraisError
from schemas.failure import Code

log = logging.getLogger(__name__)

REPEAT_SECONDS = 15.0
"""For how long after a lost bus came back its stream is waited for."""


class RunningAnswer:
    """Publishes an answer's events by index and keeps them, in case the bus loses them."""

    def __init__(self, bus: Bus, ask: Ask) -> None:
        self.ask = ask
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
        self.task: asyncio.Task[None] | None = None
        self._bus = bus

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

    async def delta(self, text: str) -> None:
        """Publish the next piece of text."""
        self.text.append(text)
        await self._publish(Delta(answer=self.ask.answer, index=len(self.events), text=text))

    async def done(self, turn: Turn) -> None:
        """Publish the end of a complete answer, as the turn tells it."""
        await self._publish(
            Done(
                answer=self.ask.answer,
                index=len(self.events),
                finish_reason=turn.finish_reason,  # type: ignore[arg-type]  # no failure, so one of FinishReason
                usage=turn.usage,
                cited=turn.cited,
                citations=turn.citations,
                grounding=turn.grounding,
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
