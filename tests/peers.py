"""Small agents that play the gateway's partners over a real bus, for tests of the gateway and the page."""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from contextlib import AsyncExitStack

from agents.memory.conversations import ConversationKeeper
from agents.memory.projects import ProjectKeeper
from bus.agent import Agent, answers, hears
from schemas.chat import (
    Accepted,
    Ask,
    Cancel,
    Citation,
    Delta,
    Done,
    Explanation,
    Failed,
    LeftOut,
    PromptPart,
    Sources,
    Titled,
    Turn,
    Usage,
)
from schemas.documents import (
    FileEntry,
    Files,
    GetStorageStatus,
    ListFiles,
    OpenPassage,
    Passage,
    PassageInContext,
    Recall,
    Recalled,
    Rescan,
    StorageStatus,
)
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.forgetting import Forget, Forgotten, TurnsForgotten
from schemas.health import DescribeEngine, EngineDescription
from schemas.memory import FactEdited, FactForgotten, FactLearned, ShowFact
from schemas.projects import ProjectChanged, ProjectRemoved, RemoveProject

BEFORE = "# Streams\n\nA stream stores messages on disk.\n\n"
PASSAGE = Passage(
    id="f1-2",
    path="concepts/streams.md",
    text="Messages are kept until a limit is reached.",
    first_line=5,
    last_line=5,
    heading="Streams > Limits",
    score=0.8,
)
EXPLANATION = Explanation(
    context_tokens=8192,
    answer_tokens=512,
    prompt_tokens=1030,
    cached_tokens=1000,
    parts=(
        PromptPart(name="system", tokens=1000, cached=1000),
        PromptPart(name="passages", tokens=20, most=700, pieces=("concepts/streams.md",)),
        PromptPart(name="question", tokens=10),
    ),
    left_out=(LeftOut(name="history", what="2 exchanges", tokens=90, reason="too_old"),),
)
AFTER = "\n\nOther policies remove them sooner.\n"


class PlayedBrain(Agent):
    """Answers with ``reply``, a word at a time, ``pause`` seconds apart.

    The question ``fail`` fails in the middle; ``refuse`` is refused.
    """

    kind = "brain"
    publishes = (Sources, Delta, Done, Failed, Turn, Titled)
    reply = "Messages are kept **until** a limit is reached [1]."
    pause = 0.0
    passages: tuple[Passage, ...] = (PASSAGE,)

    async def start(self, resources: AsyncExitStack) -> None:
        self.running: dict[str, asyncio.Task[None]] = {}
        self.cancelled: set[str] = set()
        self.asked: list[Ask] = []

    @answers(Ask)
    async def ask(self, ask: Ask) -> Accepted:
        self.asked.append(ask)
        if ask.text == "refuse":
            raise KaraisError("This question is refused.", code=Code.CONFLICT)
        fields = {"conversation": ask.conversation, "answer": ask.answer, "project": ask.project}
        turn = Turn(**fields, role="user", text=ask.text, at=time.time())
        sequence = 0
        if not ask.temporary:
            sequence = (await self.bus.record(turn, id=f"{ask.answer}-q")).sequence
        if ask.answer not in self.running:
            self.running[ask.answer] = asyncio.create_task(self._answer(ask, fields))
        return Accepted(answer=ask.answer, conversation=ask.conversation, sequence=sequence)

    @hears(Cancel)
    async def cancel(self, order: Cancel) -> None:
        self.cancelled.add(order.answer)

    @answers(DescribeEngine)
    async def describe(self, ask: DescribeEngine) -> EngineDescription:
        return EngineDescription(
            engine="played", model="played-1", context_tokens=1, slots=1, threads=1, device="cpu"
        )

    async def _answer(self, ask: Ask, fields: dict[str, str]) -> None:
        name, index = ask.answer, 0
        passages = self.passages if ask.retrieve else ()
        await self.bus.publish(Sources(answer=name, index=0, passages=passages))
        reason, said = "stop", ""
        pieces = self.reply.split(" ")
        for number, word in enumerate(pieces):
            piece = word + (" " if number + 1 < len(pieces) else "")
            if name in self.cancelled:
                reason = "cancelled"
                break
            if ask.text == "fail" and number == 3:
                reason = "failed"
                break
            index += 1
            said += piece
            await self.bus.publish(Delta(answer=name, index=index, text=piece))
            if self.pause:
                await asyncio.sleep(self.pause)
        end: Done | Failed
        if reason == "failed":
            end = Failed(answer=name, index=index + 1, code=Code.INTERRUPTED, message="The model stopped.")
        else:
            cited = tuple(n for n in range(1, len(passages) + 1) if f"[{n}]" in said)
            usage = Usage(prompt_tokens=10, completion_tokens=index)
            end = Done(
                answer=name,
                index=index + 1,
                finish_reason=reason,  # type: ignore[arg-type]
                cited=cited,
                citations=tuple(Citation(start=0, end=said.find(".") + 1, passage=n) for n in cited),
                grounding=("supported" if cited else "unsupported") if ask.retrieve else "",
                usage=usage,
                explained=EXPLANATION if ask.explain else None,
            )
        turn = Turn(
            **fields,
            role="assistant",
            text=said,
            at=time.time(),
            passages=passages,
            cited=getattr(end, "cited", ()),
            citations=getattr(end, "citations", ()),
            grounding=getattr(end, "grounding", ""),
            finish_reason=reason,  # type: ignore[arg-type]
            code=getattr(end, "code", None),
            message=getattr(end, "message", ""),
        )
        if not ask.temporary:
            await self.bus.record(turn, id=f"{name}-a")
        await self.bus.publish(end)
        if ask.temporary:
            return
        title = Titled(
            conversation=ask.conversation, project=ask.project, title=ask.text[:40], at=time.time()
        )
        await self.bus.record(title, id=f"{ask.conversation}-title")


class PlayedMemory(ConversationKeeper, ProjectKeeper):
    """Keeps conversations, projects and facts as memory does; searching and forgetting are played."""

    kind = "memory"
    publishes = (ProjectChanged, ProjectRemoved, FactLearned, FactEdited, FactForgotten, TurnsForgotten)
    streams = ("CHAT", "MEMORY")
    found: tuple[Passage, ...] = (PASSAGE,)
    kept_until: float | None = None

    async def start(self, resources: AsyncExitStack) -> None:
        self.recalled: list[Recall] = []
        await self.open_conversations(resources)
        await self.open_knowledge(resources)

    def followed_until(self, stream: str) -> int:
        if stream == "CHAT":
            return self.conversations.followed_until()
        return min(self.projects.followed_until(), self.facts.followed_until())

    @answers(Recall)
    async def recall(self, ask: Recall) -> Recalled:
        self.recalled.append(ask)
        return Recalled(passages=tuple(p for p in self.found if p.kind in ask.kinds)[: ask.limit])

    @answers(OpenPassage)
    async def passage(self, ask: OpenPassage) -> PassageInContext:
        for passage in self.found:
            if passage.id == ask.id:
                around = (BEFORE, AFTER) if passage.kind == "document" else ("", "")
                return PassageInContext(passage=passage, before=around[0], after=around[1])
        raise KaraisError(f"There is no passage {ask.id}.", code=Code.NOT_FOUND)

    @answers(Forget)
    async def forget(self, ask: Forget) -> Forgotten:
        """Forget in the logs' projections; a fact takes the exchange with it that it came from."""
        known = self.facts.list(ask.project, ask.user, history=True, limit=1000).facts
        if ask.fact:
            shown = await self.show_fact(ShowFact(user=ask.user, project=ask.project, fact=ask.fact))
            facts = (*shown.earlier, shown.fact, *shown.later)
            exchanges = {(fact.conversation, fact.answer) for fact in facts if fact.conversation}
        elif ask.answer:
            facts = tuple(fact for fact in known if fact.answer == ask.answer)
            exchanges = {
                (turn.conversation, turn.answer)
                for _, turn in self.conversations.learn_from(0, 1000)
                if (turn.project, turn.answer) == (ask.project, ask.answer)
            }
        else:
            facts = tuple(fact for fact in known if fact.conversation == ask.conversation)
            history = self.conversations.history(ask.project, ask.user, ask.conversation, last=2000)
            exchanges = {(ask.conversation, turn.answer) for turn in history.turns}
            if not exchanges:
                raise KaraisError(f"There is no conversation {ask.conversation}.", code=Code.NOT_FOUND)
        gone = Forgotten(
            turns=2 * len(exchanges),
            facts=len(facts),
            passages=2 * len(exchanges) + len(facts),
            kept_in_backups_until=self.kept_until,
        )
        if ask.dry_run:
            return gone
        now = time.time()
        for conversation, answer in exchanges:
            entry = TurnsForgotten(
                user=ask.user, project=ask.project, conversation=conversation, answers=(answer,), at=now
            )
            recorded = await self.bus.record(entry, id=secrets.token_hex(8))
            while self.conversations.followed_until() < recorded.sequence:
                await asyncio.sleep(0.005)
        for fact in facts:
            await self.record_knowledge(
                FactForgotten(user=ask.user, project=ask.project, fact=fact.id, at=now)
            )
        return gone

    @answers(RemoveProject)
    async def remove_project(self, ask: RemoveProject) -> Forgotten:
        await self.known_project(ask.project)
        if ask.dry_run:
            return Forgotten(kept_in_backups_until=self.kept_until)
        await self.record_knowledge(ProjectRemoved(user=ask.user, project=ask.project, at=time.time()))
        return Forgotten(kept_in_backups_until=self.kept_until)


class PlayedEmbedder(Agent):
    """Gives each text the vector (number of its characters, 1, 0)."""

    kind = "embedder"

    async def start(self, resources: AsyncExitStack) -> None:
        self.asked: list[Embed] = []

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        self.asked.append(ask)
        data = b"".join(struct.pack("<3f", len(text), 1, 0) for text in ask.texts)
        return Vectors(model="played", rows=len(ask.texts), dimensions=3, data=data)


class PlayedLibrarian(Agent):
    """Knows two files."""

    kind = "librarian"
    publishes = (StorageStatus,)
    known = StorageStatus(folder="/home/me/notes", files=2, indexed=1, skipped=1, passages=3)

    @answers(GetStorageStatus)
    async def status(self, ask: GetStorageStatus) -> StorageStatus:
        return self.known

    @answers(ListFiles)
    async def files(self, ask: ListFiles) -> Files:
        entries = (
            FileEntry(path="broken.pdf", state="skipped", reason="The PDF has no readable page."),
            FileEntry(path="concepts/streams.md", state="indexed", bytes=900, passages=3),
        )
        return Files(files=tuple(e for e in entries if ask.state in (None, e.state) and e.path > ask.after))

    @answers(Rescan)
    async def rescan(self, ask: Rescan) -> StorageStatus:
        await self.bus.publish(self.known)
        return self.known
