"""The brain: takes questions, finds what helps, lets the engine answer, keeps the log true."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from agents.brain import orphans
from agents.brain.answer import Ending, RunningAnswer, ending_of, published
from agents.brain.book import AnswerBook
from agents.brain.completion import Completions
from agents.brain.context import Assembler, Compactor
from agents.brain.engine import Engine, Place
from agents.brain.engines import open_engine
from agents.brain.generation import Generation
from agents.brain.histories import Histories, Remembered
from agents.brain.projects import KnownProjects, sampling_in
from agents.brain.retrieval import cite, recall
from bus.agent import Agent, answers, every, hears
from schemas.chat import (
    Accepted,
    Answering,
    Ask,
    Cancel,
    Compacted,
    Delta,
    Done,
    Failed,
    History,
    OpenAnswers,
    ReadConversation,
    Sources,
    ToolCalls,
    Turn,
)
from schemas.completion import Complete
from schemas.documents import Passage, Recall
from schemas.embeddings import Embed
from schemas.errors import KaraisError, Refused
from schemas.failure import Code
from schemas.forgetting import TurnsForgotten
from schemas.health import DescribeEngine, EngineDescription
from schemas.projects import Project, ProjectChanged, ProjectRemoved, ReadProject

log = logging.getLogger(__name__)


class Brain(Agent):
    """Answers questions with the language model, from the conversation and the owner's files."""

    kind = "brain"
    calls = (Recall, ReadConversation, OpenAnswers, ReadProject, Embed)
    publishes = (Answering, Sources, Delta, ToolCalls, Done, Failed, Turn, Compacted)
    streams = ("ANSWER",)

    async def start(self, resources: AsyncExitStack) -> None:
        """Load the model."""
        self.book = AnswerBook(self.bus)
        self.conversations: dict[tuple[str, str], str] = {}
        self.histories = Histories()
        self.projects = KnownProjects(self.bus)
        self.watch = orphans.Watch(self.bus)
        self.engine: Engine = await resources.enter_async_context(open_engine(self.settings))
        self.assembler = Assembler(self.engine)
        self.compactor = Compactor(self.bus, self.engine, self.assembler)
        resources.push_async_callback(self.compactor.close)
        self.completions = Completions(
            self.bus, self.engine, self.assembler, self.book, self.projects, self.histories
        )
        self.condition.queued = lambda: self.engine.waiting
        if alert := self.engine.description.alert:
            self.condition.detail = alert
            log.warning("%s", alert)
        # What was changed or forgotten while the bus was away was not heard.
        self.bus.reconnected += [self.book.repeat_all, self.projects.forget, self.histories.drop_logged]

    async def drain(self) -> None:
        """End what runs with a failure that says why; a new brain cannot continue it."""
        await self.book.stop_all()

    @answers(DescribeEngine)
    async def describe(self, request: DescribeEngine) -> EngineDescription:
        """Return what runs."""
        return self.engine.description

    @answers(Ask, slots=256)
    async def ask(self, ask: Ask) -> Accepted:
        """Write the question to the log and begin to answer it."""
        known = self.book.known(ask.answer)
        if known:  # asked again after a lost reply
            await known.recorded.wait()
            return Accepted(answer=ask.answer, conversation=ask.conversation, sequence=known.sequence)
        await self.assembler.check(ask.text)
        key = (ask.project, ask.conversation)
        if key in self.conversations:
            raise _busy(ask)
        self.conversations[key] = ask.answer
        self.compactor.asked(key)
        answer = RunningAnswer(self.bus, ask)
        self.book.add(answer)
        try:
            await self.book.tell()
            await self._admit(answer)
        except BaseException:
            self.book.drop(answer)
            self.conversations.pop(key, None)
            await self.book.tell_if_quiet()
            raise
        return Accepted(answer=ask.answer, conversation=ask.conversation, sequence=answer.sequence)

    @answers(Complete, slots=256)
    async def complete(self, ask: Complete) -> Accepted:
        """Begin to continue a prompt."""
        return await self.completions.begin(ask)

    @hears(Cancel)
    async def cancel(self, order: Cancel) -> None:
        """Stop an answer that runs here; its text so far stays."""
        self.book.stop(order.answer)

    @hears(ProjectChanged, ProjectRemoved)
    async def hear_of_project(self, entry: ProjectChanged | ProjectRemoved) -> None:
        """Keep to a project's new instructions from the next question on."""
        self.projects.take(entry)

    @hears(TurnsForgotten)
    async def hear_of_forgetting(self, entry: TurnsForgotten) -> None:
        """Keep nothing of what was forgotten: it shall be in no later prompt."""
        key = (entry.project, entry.conversation)
        self.histories.drop(key)
        for answer in self.book.running.values():
            if (answer.ask.project, answer.conversation) == key:
                answer.outdated = True
        for name in entry.answers:
            self.book.ended.pop(name, None)
            if name in self.book.running:
                self.book.stop(name)

    @every(seconds=1)
    async def check_engine(self) -> None:
        """Leave when the engine died: the supervisor starts a new brain."""
        if not self.engine.healthy:
            self.give_up("The engine failed; the log says why.")

    @every(seconds=2)
    async def end_orphans(self) -> None:
        """End the answers of brains that died."""
        await self.watch.look(set(self.book.running))

    async def _admit(self, answer: RunningAnswer[Ask]) -> None:
        """Write the question behind the turn that it follows, and start the answer meanwhile.

        The log itself refuses a question that does not follow the newest turn,
        so several brains can serve one conversation.
        """
        ask = answer.ask
        key = (ask.project, ask.conversation)
        project = await self.projects.get(ask.user, ask.project)
        question = answer.question(ask.text)
        remembered = self.histories.get(key) or Remembered(temporary=ask.temporary)
        if ask.temporary or remembered.temporary:
            await self._refuse_change_of_mind(ask, remembered)
            answer.task = asyncio.create_task(self._answer(answer, question, project, remembered))
            answer.recorded.set()
            return
        for _ in range(20):
            answer.task = asyncio.create_task(self._answer(answer, question, project, remembered))
            try:
                recorded = await self.bus.record(
                    question, id=f"{ask.answer}.question", expect=remembered.sequence
                )
            except BaseException as error:
                answer.task.cancel()
                self.histories.drop(key)
                if not (isinstance(error, Refused) and error.code is Code.CONFLICT):
                    raise
            else:
                answer.sequence = recorded.sequence
                if recorded.duplicate:
                    # Another brain has it, or had it and died: then it is ended as an orphan.
                    answer.task.cancel()
                    await asyncio.wait([answer.task])
                    self._forget(answer)
                    await self.book.tell_if_quiet()
                answer.recorded.set()
                return
            history = await self._history(ask)
            if history.answering:
                raise _busy(ask)
            if history.sequence == remembered.sequence:
                await asyncio.sleep(0.05)  # memory has not seen the newest turn yet
            remembered = Remembered.of(history)
        raise _busy(ask)

    async def _refuse_change_of_mind(self, ask: Ask, remembered: Remembered) -> None:
        """Raise unless the conversation is temporary from its first question to its last."""
        if ask.temporary and remembered.temporary and (remembered.turns or not await self._is_kept(ask)):
            return
        said = "kept" if ask.temporary else "temporary"
        raise KaraisError(
            f"The conversation {ask.conversation} is {said}: begin another one for this question.",
            code=Code.CONFLICT,
            field="$.temporary",
        )

    async def _is_kept(self, ask: Ask) -> bool:
        return (await self._history(ask)).sequence > 0

    async def _history(self, ask: Ask) -> History:
        history: History = await self.bus.call(
            ReadConversation(user=ask.user, project=ask.project, conversation=ask.conversation), patience=10
        )
        return history

    async def _answer(
        self, answer: RunningAnswer[Ask], question: Turn, project: Project, remembered: Remembered
    ) -> None:
        """Generate one answer; whatever happens, it ends in the log and on the bus."""
        ending = await ending_of(answer, self._generate(answer, project, remembered))
        await answer.recorded.wait()
        answer.ending = True
        await self._end(answer, question, remembered, ending)

    async def _generate(self, answer: RunningAnswer[Ask], project: Project, remembered: Remembered) -> Ending:
        ask = answer.ask
        passages: list[Passage] | None = []
        if ask.retrieve:
            asked = [turn.text for turn in remembered.turns if turn.role == "user"]
            passages = await recall(self.bus, answer, project, ask.text, asked, ask.as_of)
            answer.searched = passages is not None
        answer.prompt = prompt = await self.assembler.build(
            ask.text,
            remembered.turns,
            remembered.story,
            passages=passages or (),
            instructions=project.instructions,
            max_tokens=ask.sampling.max_tokens,
        )
        sampling = sampling_in(project, ask.sampling)
        pieces = self.engine.generate(prompt.messages, sampling, place=Place(ask.user))
        async with Generation(pieces) as generation:
            await answer.recorded.wait()
            if answer.cancelled:
                raise asyncio.CancelledError
            if prompt.passages:
                await answer.sources(prompt.passages)
            return await published(generation, answer.delta)

    async def _end(
        self,
        answer: RunningAnswer[Ask],
        question: Turn,
        remembered: Remembered,
        ending: Ending,
    ) -> None:
        """Write the answer to the log, then tell readers that it ended."""
        ask = answer.ask
        complete = ending.finish_reason in ("stop", "length") and not ask.sampling.ignore_end
        found = await cite(self.bus, answer, ask.text, _asked_before(remembered), quote=complete)
        turn = answer.turn(question, ending, self.engine.description.model, found)
        try:
            sequence = 0
            if not ask.temporary:
                sequence = (await self.bus.record(turn, id=f"{ask.answer}.answer", patience=20)).sequence
            key = (ask.project, ask.conversation)
            now = remembered.followed_by(question, turn, sequence)
            if not answer.outdated:
                self.histories.put(key, now)
            await answer.end(
                ending, cited=turn.cited, citations=found, grounding=turn.grounding, explain=ask.explain
            )
            if not answer.outdated and answer.prompt:
                self.compactor.ended(turn, now.turns, now.story, answer.prompt, temporary=ask.temporary)
        except KaraisError as error:
            log.error("the answer %s could not be kept: %s", ask.answer, error)
            await answer.failed(error.code, f"The answer could not be kept: {error}")
        finally:
            self._forget(answer)
            await self.book.tell_if_quiet()

    def _forget(self, answer: RunningAnswer[Ask]) -> None:
        """Free the conversation for its next question; keep the events for a while."""
        self.conversations.pop((answer.ask.project, answer.ask.conversation), None)
        self.book.close(answer)


def _busy(ask: Ask) -> KaraisError:
    return KaraisError(
        f"The conversation {ask.conversation} is being answered: wait for the end or stop it.",
        code=Code.CONFLICT,
        field="$.conversation",
    )


def _asked_before(remembered: Remembered) -> str:
    return next((turn.text for turn in reversed(remembered.turns) if turn.role == "user"), "")
