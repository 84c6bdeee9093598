"""Small agents that play the gateway's partners over a real bus, for tests of the gateway and the page."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from bus.agent import Agent, answers, follows, hears
from schemas.chat import (
    Accepted,
    Ask,
    Cancel,
    Conversation,
    Conversations,
    Deleted,
    Delta,
    Done,
    Failed,
    History,
    ListConversations,
    ReadConversation,
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
    Rescan,
    StorageStatus,
)
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.health import DescribeEngine, EngineDescription

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
        recorded = await self.bus.record(turn, id=f"{ask.answer}-q")
        if ask.answer not in self.running:
            self.running[ask.answer] = asyncio.create_task(self._answer(ask, fields))
        return Accepted(answer=ask.answer, conversation=ask.conversation, sequence=recorded.sequence)

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
            end = Done(answer=name, index=index + 1, finish_reason=reason, cited=cited, usage=usage)  # type: ignore[arg-type]
        turn = Turn(
            **fields,
            role="assistant",
            text=said,
            at=time.time(),
            passages=passages,
            cited=getattr(end, "cited", ()),
            finish_reason=reason,  # type: ignore[arg-type]
            code=getattr(end, "code", None),
            message=getattr(end, "message", ""),
        )
        await self.bus.record(turn, id=f"{name}-a")
        await self.bus.publish(end)
        title = Titled(
            conversation=ask.conversation, project=ask.project, title=ask.text[:40], at=time.time()
        )
        await self.bus.record(title, id=f"{ask.conversation}-title")


class PlayedMemory(Agent):
    """Keeps conversations in this process, from the log."""

    kind = "memory"

    async def start(self, resources: AsyncExitStack) -> None:
        self.turns: dict[str, list[Turn]] = {}
        self.titles: dict[str, Titled] = {}
        self.sequence = 0

    @follows(Turn, Titled, Deleted)
    async def project(self, entry: Turn | Titled | Deleted, sequence: int) -> None:
        self.sequence = sequence
        match entry:
            case Turn():
                self.turns.setdefault(entry.conversation, []).append(entry)
            case Titled():
                old = self.titles.get(entry.conversation)
                if entry.by_user or old is None or not old.by_user:
                    self.titles[entry.conversation] = entry
            case Deleted():
                self.turns.pop(entry.conversation, None)

    @answers(ListConversations)
    async def conversations(self, ask: ListConversations) -> Conversations:
        lines = [self._line(name) for name in self.turns]
        lines = [
            line
            for line in lines
            if line.project == ask.project
            and (ask.before == 0 or line.updated < ask.before)
            and ask.matching.lower() in line.title.lower()
        ]
        lines.sort(key=lambda line: -line.updated)
        return Conversations(conversations=tuple(lines[: ask.limit]))

    @answers(ReadConversation)
    async def read(self, ask: ReadConversation) -> History:
        turns = tuple(self.turns.get(ask.conversation, ()))
        return History(
            conversation=ask.conversation,
            title=self._title(ask.conversation),
            turns=turns[-ask.last :],
            sequence=self.sequence,
            answering=self._answering(ask.conversation),
        )

    @answers(OpenPassage)
    async def passage(self, ask: OpenPassage) -> PassageInContext:
        if ask.id != PASSAGE.id:
            raise KaraisError(f"There is no passage {ask.id}.", code=Code.NOT_FOUND)
        return PassageInContext(passage=PASSAGE, before=BEFORE, after=AFTER)

    def _title(self, name: str) -> str:
        titled = self.titles.get(name)
        return titled.title if titled else ""

    def _answering(self, name: str) -> str:
        turns = self.turns.get(name, [])
        done = {turn.answer for turn in turns if turn.role == "assistant"}
        return next((turn.answer for turn in turns if turn.answer not in done), "")

    def _line(self, name: str) -> Conversation:
        turns = self.turns[name]
        return Conversation(
            conversation=name,
            project=turns[0].project,
            title=self._title(name),
            created=turns[0].at,
            updated=turns[-1].at,
            turns=len(turns),
            answering=self._answering(name),
        )


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
