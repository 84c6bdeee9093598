"""The brain: takes questions, finds what helps, lets the engine answer, keeps the log true."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from agents.brain import citations, orphans, prompt
from agents.brain.answer import RunningAnswer
from agents.brain.engine import Engine
from agents.brain.engines import open_engine
from agents.brain.generation import Generation
from agents.brain.histories import Histories, Remembered
from agents.brain.projects import KnownProjects
from agents.brain.questions_kinds import asks_what_was_said
from bus.agent import Agent, answers, every, hears
from schemas.chat import (
    Accepted,
    Answering,
    Ask,
    Cancel,
    Citation,
    Delta,
    Done,
    Failed,
    History,
    OpenAnswers,
    ReadConversation,
    Sources,
    ToolCalls,
    Turn,
    Usage,
)
from schemas.documents import Passage, Recall, Recalled
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError, Refused
from schemas.failure import Code
from schemas.forgetting import TurnsForgotten
from schemas.health import DescribeEngine, EngineDescription
from schemas.projects import Project, ProjectChanged, ProjectRemoved, ReadProject

log = logging.getLogger(__name__)

RECALL_SECONDS = 6.0
"""How long an answer waits for what helps; memory itself waits for a hanging embedder for less."""
CITING_SECONDS = 3.0
"""How long the end of an answer may wait for vectors; without them it is cited by its words alone.
They take some 100 ms; on a busy machine, though, half a second cost half of the citations."""
PASSAGES = 4
CONTEXT = 3
"""Earlier questions of the conversation that a search may need to understand the next one."""
ENDED_KEPT = 64
"""Ended answers that are kept, to publish them again if the bus loses them, and to know a repetition."""


class Brain(Agent):
    """Answers questions with the language model, from the conversation and the owner's files."""

    kind = "brain"
    calls = (Recall, ReadConversation, OpenAnswers, ReadProject, Embed)
    publishes = (Answering, Sources, Delta, ToolCalls, Done, Failed, Turn)
    streams = ("ANSWER",)

    async def start(self, resources: AsyncExitStack) -> None:
        """Load the model."""
        self.running: dict[str, RunningAnswer] = {}
        self.ended: OrderedDict[str, RunningAnswer] = OrderedDict()
        self.conversations: dict[tuple[str, str], str] = {}
        self.histories = Histories()
        self.projects = KnownProjects(self.bus)
        self.repeating: set[asyncio.Future[None]] = set()
        self.watch = orphans.Watch(self.bus)
        self.engine: Engine = await resources.enter_async_context(open_engine(self.settings))
        self.condition.queued = lambda: self.engine.waiting
        if alert := self.engine.description.alert:
            self.condition.detail = alert
            log.warning("%s", alert)
        # What was changed or forgotten while the bus was away was not heard.
        self.bus.reconnected += [self._repeat_all, self.projects.forget, self.histories.drop_logged]

    async def drain(self) -> None:
        """End what runs with a failure that says why; a new brain cannot continue it."""
        for answer in list(self.running.values()):
            answer.stop(cancelled=False)
        tasks = [a.task for a in self.running.values() if a.task]
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    @answers(DescribeEngine)
    async def describe(self, request: DescribeEngine) -> EngineDescription:
        """Return what runs."""
        return self.engine.description

    @answers(Ask, slots=256)
    async def ask(self, ask: Ask) -> Accepted:
        """Write the question to the log and begin to answer it."""
        known = self.running.get(ask.answer) or self.ended.get(ask.answer)
        if known:  # asked again after a lost reply
            await known.recorded.wait()
            return Accepted(answer=ask.answer, conversation=ask.conversation, sequence=known.sequence)
        key = (ask.project, ask.conversation)
        if key in self.conversations:
            raise _busy(ask)
        self.conversations[key] = ask.answer
        self.running[ask.answer] = answer = RunningAnswer(self.bus, ask)
        try:
            await self._tell_running()
            await self._admit(answer)
        except BaseException:
            self.running.pop(ask.answer, None)
            self.conversations.pop(key, None)
            await self._tell_if_quiet()
            raise
        return Accepted(answer=ask.answer, conversation=ask.conversation, sequence=answer.sequence)

    @hears(Cancel)
    async def cancel(self, order: Cancel) -> None:
        """Stop an answer that runs here; its text so far stays."""
        answer = self.running.get(order.answer)
        if answer:
            answer.stop(cancelled=True)

    @hears(ProjectChanged, ProjectRemoved)
    async def hear_of_project(self, entry: ProjectChanged | ProjectRemoved) -> None:
        """Keep to a project's new instructions from the next question on."""
        self.projects.take(entry)

    @hears(TurnsForgotten)
    async def hear_of_forgetting(self, entry: TurnsForgotten) -> None:
        """Keep nothing of what was forgotten: it shall be in no later prompt."""
        key = (entry.project, entry.conversation)
        self.histories.drop(key)
        for answer in self.running.values():
            if (answer.ask.project, answer.ask.conversation) == key:
                answer.outdated = True
        for name in entry.answers:
            self.ended.pop(name, None)
            if name in self.running:
                self.running[name].stop(cancelled=True)

    @every(seconds=1)
    async def check_engine(self) -> None:
        """Leave when the engine died: the supervisor starts a new brain."""
        if not self.engine.healthy:
            self.give_up("The engine failed; the log says why.")

    @every(seconds=2)
    async def end_orphans(self) -> None:
        """End the answers of brains that died."""
        await self.watch.look(set(self.running))

    async def _admit(self, answer: RunningAnswer) -> None:
        """Write the question behind the turn that it follows, and start the answer meanwhile.

        The log itself refuses a question that does not follow the newest turn,
        so several brains can serve one conversation.
        """
        ask = answer.ask
        key = (ask.project, ask.conversation)
        project = await self.projects.get(ask.user, ask.project)
        question = Turn(
            user=ask.user,
            project=ask.project,
            conversation=ask.conversation,
            answer=ask.answer,
            role="user",
            text=ask.text,
            at=time.time(),
            worker=self.bus.instance,
        )
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
                    await self._tell_if_quiet()
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
        self, answer: RunningAnswer, question: Turn, project: Project, remembered: Remembered
    ) -> None:
        """Generate one answer; whatever happens, it ends in the log and on the bus."""
        ask = answer.ask
        usage = Usage()
        ending: dict[str, Any] = {"finish_reason": "stop"}
        try:
            passages = await self._recall(ask, project, remembered) if ask.retrieve else []
            answer.searched = passages is not None if ask.retrieve else None
            messages, used = prompt.build(
                ask.text, remembered.turns, passages or [], self._budget(ask), project.instructions
            )
            async with Generation(self.engine.generate(messages, ask.sampling)) as generation:
                await answer.recorded.wait()
                if answer.cancelled:
                    raise asyncio.CancelledError
                if used:
                    await answer.sources(used)
                async for piece in generation:
                    if piece.text:
                        await answer.delta(piece.text)
                    if piece.usage:
                        first = generation.seconds_to_first
                        usage = msgspec.structs.replace(piece.usage, seconds_to_first_token=first)
                    if piece.finish_reason:
                        ending["finish_reason"] = piece.finish_reason
        except asyncio.CancelledError:
            if not answer.recorded.is_set():
                raise  # the question was not taken
            if answer.cancelled:
                ending["finish_reason"] = "cancelled"
            else:
                ending = _failure(Code.INTERRUPTED, "The brain was stopped while it answered; ask again.")
        except KaraisError as error:
            ending = _failure(error.code, str(error))
        except Exception:
            log.exception("the answer %s failed", ask.answer)
            ending = _failure(Code.INTERNAL, "The brain failed unexpectedly; its log says why.")
        await answer.recorded.wait()
        answer.ending = True
        await self._end(answer, question, remembered, usage, ending)

    async def _end(
        self,
        answer: RunningAnswer,
        question: Turn,
        remembered: Remembered,
        usage: Usage,
        ending: dict[str, Any],
    ) -> None:
        """Write the answer to the log, then tell readers that it ended."""
        ask = answer.ask
        complete = ending["finish_reason"] in ("stop", "length") and not ask.sampling.ignore_end
        found = await self._cite(answer, _asked_before(remembered), quote=complete)
        turn = msgspec.structs.replace(
            question,
            role="assistant",
            text="".join(answer.text),
            at=time.time(),
            model=self.engine.description.model,
            passages=answer.passages,
            cited=citations.cited(found),
            citations=found,
            grounding=citations.grounding(answer.searched, answer.passages, found),
            usage=usage,
            **ending,
        )
        try:
            sequence = 0
            if not ask.temporary:
                sequence = (await self.bus.record(turn, id=f"{ask.answer}.answer", patience=20)).sequence
            key = (ask.project, ask.conversation)
            turns = [*remembered.turns, question, turn]
            if not answer.outdated:
                self.histories.put(key, Remembered(turns, sequence, ask.temporary))
            if ending["finish_reason"] == "failed":
                await answer.failed(ending["code"], ending["message"])
            else:
                await answer.done(turn)
        except KaraisError as error:
            log.error("the answer %s could not be kept: %s", ask.answer, error)
            await answer.failed(error.code, f"The answer could not be kept: {error}")
        finally:
            self._forget(answer)
            await self._tell_if_quiet()

    async def _tell_running(self) -> None:
        """Have what works in the background leave the machine to the answers, or take it again."""
        try:
            await self.bus.publish(Answering(worker=self.bus.instance, running=len(self.running)))
        except KaraisError as error:
            log.info("nobody was told of %d running answers: %s", len(self.running), error)

    async def _tell_if_quiet(self) -> None:
        if not self.running:
            await self._tell_running()

    def _forget(self, answer: RunningAnswer) -> None:
        """Free the conversation for its next question; keep the events for a while."""
        ask = answer.ask
        self.running.pop(ask.answer, None)
        self.conversations.pop((ask.project, ask.conversation), None)
        self.ended[ask.answer] = answer
        while len(self.ended) > ENDED_KEPT:
            self.ended.popitem(last=False)

    async def _recall(self, ask: Ask, project: Project, remembered: Remembered) -> list[Passage] | None:
        """Return passages that help; None when memory cannot be asked now."""
        asked = tuple(turn.text for turn in remembered.turns if turn.role == "user")
        wanted = Recall(
            user=ask.user,
            project=ask.project,
            query=ask.text,
            limit=PASSAGES,
            as_of=ask.as_of,
            with_global=project.uses_global,
            context=asked[-CONTEXT:],
            conversation=ask.conversation,
            # A model that reads its own invention takes it for knowledge.
            unsupported=asks_what_was_said(ask.text),
        )
        try:
            recalled: Recalled = await self.bus.call(wanted, timeout=RECALL_SECONDS)
        except KaraisError as error:
            log.warning("answering without the storage: %s", error)
            return None
        return list(recalled.passages)

    async def _cite(self, answer: RunningAnswer, before: str, *, quote: bool) -> tuple[Citation, ...]:
        """Return which sentences of an answer rest on which passages; where none does, quote one."""
        text = "".join(answer.text)
        found = await asyncio.to_thread(citations.find, answer.ask.text, text, answer.passages, before)
        if len(found.texts) == 1:
            return ()
        vectors: Vectors | None = None
        try:
            embed = Embed(texts=found.texts, purpose="query")
            vectors = await self.bus.call(embed, timeout=CITING_SECONDS)
        except KaraisError as error:
            log.info("citing by the words alone: %s", error)
        chosen = citations.choose(found, vectors.data if vectors else None)
        if chosen.quote is None or not quote:
            return chosen.citations
        passage = answer.passages[chosen.quote.passage - 1]
        more, citation = citations.quotation(chosen.quote, passage, len(text))
        await answer.delta(more)
        return (citation,)

    def _budget(self, ask: Ask) -> int:
        """Return how many tokens a prompt may have beside the answer."""
        return max(256, self.engine.description.context_tokens - ask.sampling.max_tokens)

    def _repeat_all(self) -> None:
        """Publish again what a restarted bus has lost."""
        for answer in [*self.running.values(), *self.ended.values()]:
            if answer.events:
                task = asyncio.ensure_future(answer.repeat())
                self.repeating.add(task)
                task.add_done_callback(self.repeating.discard)


def _busy(ask: Ask) -> KaraisError:
    return KaraisError(
        f"The conversation {ask.conversation} is being answered: wait for the end or stop it.",
        code=Code.CONFLICT,
        field="$.conversation",
    )


def _asked_before(remembered: Remembered) -> str:
    return next((turn.text for turn in reversed(remembered.turns) if turn.role == "user"), "")


def _failure(code: Code, message: str) -> dict[str, Any]:
    return {"finish_reason": "failed", "code": code, "message": message}
