"""Memory: what was said, and what the storage knows about a question."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sqlite3
from contextlib import AsyncExitStack
from typing import Any

import nats.errors
import nats.js.errors

from bus.agent import Agent, answers, follows, hears
from schemas.chat import (
    Conversations,
    Deleted,
    History,
    ListConversations,
    OpenAnswers,
    ReadConversation,
    Titled,
    Turn,
    Unanswered,
)
from schemas.documents import OpenPassage, Passage, PassageInContext, Recall, Recalled, StorageChanged
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError
from schemas.failure import Code
from stores import conversations
from stores.passages import PassagesReader
from stores.ranking import passage_of
from stores.recall import recall
from stores.scope import Scope

log = logging.getLogger(__name__)

EMBED_SECONDS = 1.0
LOADING_SECONDS = 1.0
"""How long a Recall waits for LanceDB, which takes seconds to load after the start."""


class Memory(Agent):
    """Remembers conversations and finds passages of the storage that help to answer."""

    kind = "memory"
    calls = (Embed,)
    streams = ("CHAT",)

    async def start(self, resources: AsyncExitStack) -> None:
        """Open the projection of the log; the documents are loaded behind, as chat needs them last."""
        file = self.settings.memory / "conversations.db"
        self._conversations = await asyncio.to_thread(conversations.Conversations, file)
        resources.callback(self._conversations.close)
        await self._check_log()
        self.bus.reconnected.append(self._reconnected)
        self._documents = PassagesReader(
            self.settings.memory / "lance", "documents", self.settings.embedding_model
        )
        self._refreshing = asyncio.Lock()
        self._loading = asyncio.create_task(self._load())
        resources.push_async_callback(_cancel, self._loading)

    def followed_until(self) -> int:
        """Return where the projection stands."""
        return self._conversations.followed_until()

    @follows(Turn, Titled, Deleted)
    async def project(self, entry: Turn | Titled | Deleted, sequence: int) -> None:
        """Take an entry of the log into the projection."""
        try:
            await asyncio.to_thread(self._conversations.apply, entry, sequence)
        except sqlite3.DatabaseError:
            # Opening it again finds what is wrong and builds it anew; the supervisor starts us again.
            log.exception("the projection of conversations cannot be written")
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    @answers(ListConversations)
    async def list_conversations(self, ask: ListConversations) -> Conversations:
        """List a project's conversations, newest first."""
        found = await asyncio.to_thread(
            self._conversations.list,
            ask.project,
            ask.user,
            limit=ask.limit,
            before=ask.before,
            matching=ask.matching,
        )
        return Conversations(conversations=found)

    @answers(ReadConversation)
    async def read_conversation(self, ask: ReadConversation) -> History:
        """Return a conversation's turns."""
        return await asyncio.to_thread(
            self._conversations.history, ask.project, ask.user, ask.conversation, last=ask.last
        )

    @answers(OpenAnswers)
    async def open_answers(self, ask: OpenAnswers) -> Unanswered:
        """Return the questions that have no answer yet."""
        return Unanswered(turns=await asyncio.to_thread(self._conversations.unanswered))

    @answers(Recall)
    async def recall(self, ask: Recall) -> Recalled:
        """Find the passages that help to answer a question, by meaning and by words."""
        if self.settings.storage is None:
            return Recalled(passages=())
        if not await self._loaded():
            return Recalled(
                passages=(), degraded="Memory is still loading the storage; ask again in a moment."
            )
        embedding = asyncio.create_task(self._embed(ask.query))
        try:
            passages, complete = await recall(
                self._documents, ask.query, embedding, Scope(project=ask.project), ask.limit
            )
        except (RuntimeError, ValueError, OSError) as error:
            # Its version was removed meanwhile, as after a long sleep of this machine.
            log.warning("searching failed (%s): reading the table anew", error)
            await self._refresh()
            passages, complete = await recall(
                self._documents, ask.query, embedding, Scope(project=ask.project), ask.limit
            )
        degraded = "" if complete else "The embedder does not answer: searched by words only."
        return Recalled(passages=passages, degraded=degraded)

    @answers(OpenPassage)
    async def open_passage(self, ask: OpenPassage) -> PassageInContext:
        """Return a passage with what stands before and after it in its file."""
        file, _, number = ask.id.rpartition("-")
        if not file or not number.isdecimal() or len(number) > 9:
            raise KaraisError(f"{ask.id!r} is no passage's identity.", code=Code.INVALID, field="$.id")
        if not await self._loaded():
            raise KaraisError("Memory is still loading the storage; ask again in a moment.", code=Code.BUSY)
        at = int(number)
        rows = await self._documents.numbered(file, [at - 1, at, at + 1], Scope(project=ask.project))
        by_number = {row["number"]: passage_of(row) for row in rows}
        if at not in by_number:
            raise KaraisError(
                "This passage is not known any more: its file was changed or removed.", code=Code.NOT_FOUND
            )
        return PassageInContext(
            passage=by_number[at], before=_text(by_number.get(at - 1)), after=_text(by_number.get(at + 1))
        )

    @hears(StorageChanged)
    async def look_again(self, changed: StorageChanged) -> None:
        """Read from the table's newest version."""
        await asyncio.shield(self._loading)
        await self._refresh(changed.version)

    async def _load(self) -> None:
        if self.settings.storage is None:
            return
        await asyncio.to_thread(importlib.import_module, "lancedb")
        await self._refresh()
        # The first search reads indexes and starts threads; better now than with the first question.
        await self._documents.matching("warm up", Scope(), 1)

    async def _refresh(self, version: int = 0) -> None:
        async with self._refreshing:
            await self._documents.refresh(version)

    async def _loaded(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._loading), LOADING_SECONDS)
            return True
        return False

    async def _embed(self, query: str) -> Vectors | None:
        try:
            reply: Vectors = await self.bus.call(
                Embed(texts=(query,), purpose="query"), timeout=EMBED_SECONDS
            )
        except KaraisError as error:
            log.info("searching by words only: %s", error)
            return None
        return reply

    async def _check_log(self) -> bool:
        """Make sure that the projection is one of the log that is there; False if it began anew."""
        try:
            info = await self.bus.jetstream.stream_info("CHAT")
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            log.warning("the log of conversations cannot be looked at: %s", error)
            return True
        created = str(getattr(info, "created", "") or "")
        return await asyncio.to_thread(self._conversations.belongs_to, created, info.state.last_seq)

    def _reconnected(self) -> None:
        async def check() -> None:
            if not await self._check_log():
                os.kill(os.getpid(), signal.SIGTERM)  # follow from the start, in a new process
            elif self._loading.done():
                await self._refresh()  # what was announced meanwhile was not heard

        self._checking = asyncio.ensure_future(check())


def _text(passage: Passage | None) -> str:
    return passage.text if passage else ""


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
