"""Learning in the background: what was said becomes findable, and facts are taken from it.

Both yield to chat: they wait until no answer runs and it is quiet, but not for
ever. Everything is done again after a kill and has the same result: passages
are replaced by their source, and a fact has the same identity each time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal, NamedTuple, Self

from agents.common.table_writer import WriterProcess
from agents.memory.extraction import extract
from agents.memory.extraction.judging import Judge
from agents.memory.judging import Judges
from bus.connection import Bus
from bus.settings import Settings
from bus.tasks import end
from schemas.chat import Turn
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError
from schemas.memory import Fact, FactLearned
from stores.chunking import chunk_text
from stores.conversations import Conversations, turn_source
from stores.facts import FactBook
from stores.passages import Kind, SourcePassages, Written, embedded_text, state

log = logging.getLogger(__name__)

TABLE = "memory"
QUIET_SECONDS = 2.0
"""Without a turn, before what was said is looked at."""
PATIENCE_SECONDS = 60.0
"""After so long it is done in spite of running answers, a batch at a time."""
RETRY_SECONDS = 5.0
BATCH = 64
"""Turns, or facts, at a time."""
CONTEXT = 12
"""Earlier turns of a conversation by which a new one is understood."""
KNOWN_FACTS = 1000
"""Latest facts that a new statement may refer to ("I sold the Golf")."""
EMBED_SECONDS = 120.0
TEXTS_A_CALL = 64
FORGOTTEN_AT_A_TIME = 500
_QUOTATION = re.compile(r"(?:^[^\n]*:[ \t]*\n\s*)?(?:^[ \t]*>[^\n]*(?:\n|\Z))+", re.MULTILINE)
"""Lines of a quotation, with the line that introduces it."""


class Learner:
    """Follows the projections; an async context manager."""

    def __init__(self, bus: Bus, settings: Settings, conversations: Conversations, facts: FactBook) -> None:
        self._bus = bus
        self._model = settings.embedding_model
        self._conversations = conversations
        self._facts = facts
        self._judges = Judges(settings.embedding_model, partial(self._embed, purpose="statement"))
        self._lance = settings.memory / "lance"
        self._writer = WriterProcess(self._lance, TABLE, settings.embedding_model)
        self._reconciled = False
        self._heard = asyncio.Event()
        self._heard.set()  # what an earlier process left undone
        self._heard_at = 0.0
        self.writing = asyncio.Lock()
        """Held while something that was learned is written: whoever forgets holds it meanwhile."""
        self.indexed: Callable[[int], Awaitable[None]] | None = None
        """Called with the table's version after passages were written."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await end([self._task])
        await self._writer.close()

    def heard(self) -> None:
        """Something new is in a projection."""
        self._heard_at = time.monotonic()
        self._heard.set()

    async def forget(self, sources: Sequence[str]) -> int:
        """Remove sources from the table and from every file of it; returns the rows removed.

        Called by whoever holds ``writing``.
        """
        self._judges.forget()
        removed = await self._remove(sources)
        await self._wrote(await self._writer.forget(()))
        return removed

    async def _remove(self, sources: Sequence[str]) -> int:
        removed = 0
        for start in range(0, len(sources), FORGOTTEN_AT_A_TIME):
            group = sources[start : start + FORGOTTEN_AT_A_TIME]
            removed += (await self._writer.remove(group)).touched
        return removed

    async def index_all(self, progress: Callable[[int], None]) -> None:
        """Make all that is known now findable, without learning facts from it: for a rebuilt memory.

        Used instead of entering, until ``close``; ``progress`` gets how many more turns or facts are done.
        """
        while turns := await self._next_turns():
            await self._index_turns(turns)
            await asyncio.to_thread(self._conversations.set_position, "learned", turns[-1][0])
            progress(len(turns))
        while facts := await self._index_facts():
            progress(facts)
        await self._note(await self._writer.tidy())

    async def close(self) -> None:
        """End the writer of the table."""
        await self._writer.close()

    async def _reconcile(self) -> None:
        """Compare the table with the projections, if it is not as it was left (damage, another model).

        What is missing is indexed again, what nobody knows goes. Costs a look
        at one folder otherwise.
        """
        if self._facts.note("table") == await asyncio.to_thread(state, self._lance, TABLE, self._model):
            return
        opened = await self._writer.open()
        wanted = await asyncio.to_thread(self._sources)
        lost = [source for source in wanted if opened.contents.get(source.name, (0, ""))[1] != source.hash]
        if lost:
            log.warning("%d turns and facts are not in their table: they are indexed again.", len(lost))
        for start in range(0, len(lost), BATCH):
            await self._index(lost[start : start + BATCH])
        strangers = list(opened.contents.keys() - {source.name for source in wanted})
        async with self.writing:
            # What was learned meanwhile is no stranger.
            known = {source.name for source in await asyncio.to_thread(self._sources, True)}
            await self._remove([source for source in strangers if source not in known])
            written = await (self._writer.switch() if self._writer.filling else self._writer.tidy())
            await self._wrote(written)

    def _sources(self, all_of_them: bool = False) -> list[_Source]:
        """Return what the table has to hold: what was indexed so far, or all that is known."""
        learned = sys.maxsize if all_of_them else self._conversations.position("learned")
        indexed = sys.maxsize if all_of_them else self._facts.position("indexed")
        turns = self._conversations.learn_from(0, -1)
        found = [_Source.of(t) for n, t in turns if n <= learned and own_words(t)]
        facts = self._facts.numbered_from(0, -1)
        return found + [_Source(fact.id, "fact", fact) for n, fact in facts if n <= indexed]

    async def _run(self) -> None:
        while True:
            await self._heard.wait()
            await self._quiet()
            self._heard.clear()
            try:
                if not self._reconciled:
                    await self._reconcile()
                    self._reconciled = True
                while await self._learn_turns() or await self._index_facts():
                    await self._quiet()
            except KaraisError as error:
                log.warning("learning waits: %s", error)
                await self._again()
            except Exception:
                log.exception("learning failed; it is tried again")
                await self._again()

    async def _again(self) -> None:
        await asyncio.sleep(RETRY_SECONDS)
        self._heard.set()

    async def _quiet(self) -> None:
        """Return when no answer runs and nothing was said for a moment, or when that takes too long."""
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE_SECONDS:
            rest = QUIET_SECONDS - (time.monotonic() - self._heard_at)
            if rest <= 0 and not await asyncio.to_thread(self._conversations.unanswered):
                return
            await asyncio.sleep(max(rest, 0.25))

    async def _learn_turns(self) -> bool:
        """Learn from the next turns; returns whether there were any."""
        turns = await self._next_turns()
        if not turns:
            return False
        fresh: list[tuple[str, Fact]] = []
        for _, turn in turns:
            if turn.role == "user":
                # Whoever forgets does not wait for the embedder: that is asked before.
                judge = await self._judges.of(await self._context(turn))
                async with self.writing:
                    fresh += await self._extract(turn, fresh, judge)
        await self._index_turns(turns)
        await asyncio.to_thread(self._conversations.set_position, "learned", turns[-1][0])
        return True

    async def _next_turns(self) -> tuple[tuple[int, Turn], ...]:
        after = await asyncio.to_thread(self._conversations.position, "learned")
        return await asyncio.to_thread(self._conversations.learn_from, after, BATCH)

    async def _context(self, turn: Turn) -> tuple[Turn, ...]:
        return await asyncio.to_thread(
            self._conversations.until, turn.project, turn.conversation, turn.answer, CONTEXT
        )

    async def _extract(
        self, turn: Turn, fresh: Sequence[tuple[str, Fact]], judge: Judge | None
    ) -> list[tuple[str, Fact]]:
        """Put the facts of a turn into the log, and return those that are new, with their user.

        One that is known or was forgotten changes nothing. ``fresh`` ones may
        not have come back from the log yet.
        """
        if await asyncio.to_thread(self._is_forgotten, turn):
            return []
        history = await self._context(turn)
        known = await asyncio.to_thread(
            self._facts.list, turn.project, turn.user, as_of=turn.at, limit=KNOWN_FACTS
        )
        # Of the owner's clock as it stood then: "yesterday" and "on Monday" are the owner's.
        zone = datetime.fromtimestamp(turn.at, UTC).astimezone().tzinfo or UTC
        try:
            found = await asyncio.to_thread(
                extract,
                history,
                known=(
                    *known.facts,
                    *(fact for user, fact in fresh if (user, fact.project) == (turn.user, turn.project)),
                ),
                zone=zone,
                judge=judge,
            )
        except Exception:
            log.exception("nothing is learned from the question of the answer %s", turn.answer)
            return []
        learned: list[tuple[str, Fact]] = []
        for fact in found:
            if fact.answer != turn.answer:
                continue
            if await asyncio.to_thread(self._facts.knows, fact.project, turn.user, fact.id):
                continue
            entry = FactLearned(user=turn.user, project=fact.project, learned=fact)
            await self._bus.record(entry, id=f"fact.{fact.id}")
            log.info("learned the fact %s from the answer %s", fact.id, turn.answer)
            learned.append((turn.user, fact))
        return learned

    async def _index_facts(self) -> int:
        """Make the next facts findable; returns how many there were."""
        after = await asyncio.to_thread(self._facts.position, "indexed")
        facts = await asyncio.to_thread(self._facts.numbered_from, after, BATCH)
        if not facts:
            return 0
        await self._index([_Source(fact.id, "fact", fact) for _, fact in facts])
        await asyncio.to_thread(self._facts.set_position, "indexed", facts[-1][0])
        return len(facts)

    async def _index_turns(self, turns: Sequence[tuple[int, Turn]]) -> None:
        await self._index([_Source.of(turn) for _, turn in turns if own_words(turn)])

    async def _index(self, sources: Sequence[_Source]) -> None:
        """Embed texts and write their passages."""
        prepared = [(source, chunk_text(own_words(source.entry))) for source in sources]
        texts = [embedded_text(piece) for _, pieces in prepared for piece in pieces]
        if not texts:
            return
        vectors = await self._embed(texts)
        width = len(vectors) // len(texts)
        rows: list[tuple[Turn | Fact, SourcePassages]] = []
        start = 0
        for source, pieces in prepared:
            entry = source.entry
            end = start + width * len(pieces)
            passages = SourcePassages(
                source=source.name,
                kind=source.kind,
                path=entry.conversation,
                at=entry.at,
                content_hash=source.hash,
                pieces=tuple(pieces),
                vectors=vectors[start:end],
                project=entry.project,
            )
            rows.append((entry, passages))
            start = end
        async with self.writing:
            left = [p for entry, p in rows if not await asyncio.to_thread(self._is_forgotten, entry)]
            if left:
                await self._wrote(await self._writer.replace(left))

    async def _embed(
        self, texts: Sequence[str], purpose: Literal["passage", "statement"] = "passage"
    ) -> bytes:
        vectors = bytearray()
        for start in range(0, len(texts), TEXTS_A_CALL):
            ask = Embed(texts=tuple(texts[start : start + TEXTS_A_CALL]), purpose=purpose)
            reply: Vectors = await self._bus.call(ask, timeout=EMBED_SECONDS, patience=EMBED_SECONDS)
            vectors += reply.data
        return bytes(vectors)

    def _is_forgotten(self, entry: Turn | Fact) -> bool:
        """Say whether something was forgotten since it was read."""
        if isinstance(entry, Turn):
            return self._conversations.is_forgotten(entry.project, entry.conversation, entry.answer)
        return entry.id in self._facts.forgotten_at()

    async def _wrote(self, written: Written) -> None:
        await self._note(written)
        if self.indexed is not None:
            await self.indexed(written.version)

    async def _note(self, written: Written) -> None:
        await asyncio.to_thread(self._facts.set_note, "table", written.state)


class _Source(NamedTuple):
    """A turn or a fact as the table has to hold it."""

    name: str
    kind: Kind
    entry: Turn | Fact

    @classmethod
    def of(cls, turn: Turn) -> _Source:
        return cls(turn_source(turn.project, turn.conversation, turn.answer, turn.role), "turn", turn)

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.entry.text.encode()).hexdigest()


def own_words(entry: Turn | Fact) -> str:
    """Return a text without what it quotes: an answer's quotations are in their own source already.

    Kept as new they would be found instead of it, and again in the answer that
    quotes them next.
    """
    if isinstance(entry, Fact) or entry.role == "user":
        return entry.text.strip()
    return _QUOTATION.sub("", entry.text).strip()
