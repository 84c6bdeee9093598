"""Memory's part that finds what helps to answer: passages of files, turns and facts."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import time
from contextlib import AsyncExitStack
from typing import Any

from agents.memory.conversations import ConversationKeeper
from agents.memory.knowledge import KnowledgeKeeper
from bus.agent import answers, hears
from bus.tasks import end
from schemas.base import GLOBAL
from schemas.documents import OpenPassage, Passage, PassageInContext, Recall, Recalled, StorageChanged
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError, TimedOut
from schemas.failure import Code
from stores.passages import PassagesReader
from stores.ranking import passage_of
from stores.recall import recall
from stores.scope import Scope

log = logging.getLogger(__name__)

EMBED_SECONDS = 4.0
"""How long a search waits for what it asks as a vector. One that is gone says so at once; this is for one
that hangs, and long enough for a machine that has much else to do."""
HUNG_SECONDS = 0.5
"""The same for the searches after that, until the embedder answers again."""
LOADING_SECONDS = 1.0
"""How long a Recall waits for LanceDB, which takes seconds to load after the start."""
LOADING = "Memory is still loading what it knows; ask again in a moment."
DAMAGED = "A part of what is known cannot be read and is being mended; memory's log says which."
LOST = (RuntimeError, ValueError, OSError)
"""What LanceDB raises when the version that is read was removed meanwhile."""


class Searcher(ConversationKeeper, KnowledgeKeeper):
    """Finds passages."""

    calls = (Embed,)

    async def open_tables(self, resources: AsyncExitStack) -> None:
        """Begin to load the tables; nobody waits, as chat needs them last."""
        folder, model = self.settings.memory / "lance", self.settings.embedding_model
        self.documents = PassagesReader(folder, "documents", model)
        self.remembered = PassagesReader(folder, "memory", model)
        self._refreshing = asyncio.Lock()
        self._embedder_hangs = False
        self.loading = asyncio.create_task(self._load())
        resources.push_async_callback(end, [self.loading])

    @answers(Recall)
    async def recall(self, ask: Recall) -> Recalled:
        """Find what helps to answer a question, by meaning and by words."""
        if not await self._loaded():
            return Recalled(passages=(), degraded=LOADING)
        if self.documents.unread or self.remembered.unread:
            await self.look_anew()  # nobody says when a table was mended whose newest version is an older one
        try:
            passages, complete = await self._search(ask)
        except LOST as error:
            # Its version was removed meanwhile, as after a long sleep of this machine.
            log.warning("searching failed (%s): reading the tables anew", error)
            await self.look_anew()
            passages, complete = await self._search(ask)
        return Recalled(passages=passages, degraded=self._why_less(complete))

    @answers(OpenPassage)
    async def open_passage(self, ask: OpenPassage) -> PassageInContext:
        """Return a passage with what stands before and after it in its source."""
        source, _, number = ask.id.rpartition("-")
        if not source or not number.isdecimal() or len(number) > 9:
            raise KaraisError(f"{ask.id!r} is no passage's identity.", code=Code.INVALID, field="$.id")
        if not await self._loaded():
            raise KaraisError(LOADING, code=Code.BUSY)
        at = int(number)
        scope = await self._scope_of(ask)
        for table in (self.documents, self.remembered):
            rows = await table.numbered(source, [at - 1, at, at + 1], scope)
            by_number = {row["number"]: passage_of(row) for row in rows}
            if at in by_number:
                return PassageInContext(
                    passage=by_number[at],
                    before=_text(by_number.get(at - 1)),
                    after=_text(by_number.get(at + 1)),
                )
        raise KaraisError(
            "This passage is not known any more: its source was changed, removed or forgotten.",
            code=Code.NOT_FOUND,
        )

    @hears(StorageChanged)
    async def look_again(self, changed: StorageChanged) -> None:
        """Read from the documents' newest version."""
        await asyncio.shield(self.loading)
        async with self._refreshing:
            await self.documents.refresh(changed.version)

    async def look_anew(self, *, version: int = 0) -> None:
        """Read from the newest versions of all tables; ``version`` is one of what is remembered."""
        async with self._refreshing:
            await self.documents.refresh()
            await self.remembered.refresh(version)

    async def _search(self, ask: Recall) -> tuple[tuple[Passage, ...], bool]:
        """Return the best of both tables, best first, and whether they were searched by meaning too."""
        scope = Scope(
            project=ask.project,
            with_global=ask.with_global,
            kinds=ask.kinds,
            after=ask.after,
            before=ask.before,
            as_of=ask.as_of,
        )

        def keep(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            shown = [row for row in rows if self._may_show(row, ask)]
            if ask.unsupported:
                return shown
            turns = {row["source"] for row in shown if row["kind"] == "turn"}
            made_up = self.conversations.unsupported(turns) if turns else set()
            return [row for row in shown if row["source"] not in made_up]

        deadline = time.monotonic() + (HUNG_SECONDS if self._embedder_hangs else EMBED_SECONDS)

        async def embed(query: str) -> Vectors | None:
            return await self._embed(query, deadline - time.monotonic())

        return await recall((self.documents, self.remembered), ask, scope, embed, keep)

    def _why_less(self, by_meaning: bool) -> str:
        """Say what a search had to leave out; empty when nothing."""
        if self.documents.unread or self.remembered.unread:
            return DAMAGED
        return "" if by_meaning else "The embedder does not answer: searched by words only."

    def _may_show(self, row: dict[str, Any], ask: Recall) -> bool:
        """Tell whether a fact held at the time that is asked for, and a turn is of another conversation."""
        if row["kind"] == "turn":
            return bool(row["path"] != ask.conversation)
        if row["kind"] == "fact":
            moment = time.time() if ask.as_of is None else ask.as_of
            return self.facts.holds(row["project"], ask.user, row["source"], moment)
        return True

    async def _scope_of(self, ask: OpenPassage) -> Scope:
        project = await asyncio.to_thread(self.projects.get, ask.project)
        uses_global = ask.project == GLOBAL or (project is not None and project.uses_global)
        return Scope(project=ask.project, with_global=uses_global)

    async def _load(self) -> None:
        await asyncio.to_thread(importlib.import_module, "lancedb")
        await self.look_anew()
        # The first search reads indexes and starts threads; better now than with the first question.
        for table in (self.documents, self.remembered):
            await table.matching("warm up", Scope(), 1)

    async def _loaded(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.loading), LOADING_SECONDS)
            return True
        return False

    async def _embed(self, query: str, seconds: float) -> Vectors | None:
        try:
            reply: Vectors = await self.bus.call(
                Embed(texts=(query,), purpose="query"), timeout=max(0.05, seconds)
            )
        except KaraisError as error:
            log.info("searching by words only: %s", error)
            self._embedder_hangs = isinstance(error, TimedOut)
            return None
        self._embedder_hangs = False
        return reply


def _text(passage: Passage | None) -> str:
    return passage.text if passage else ""
