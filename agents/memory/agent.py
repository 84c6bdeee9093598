"""The memory agent: its parts together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack

import nats.errors
import nats.js.errors

from agents.memory.conversations import Entry as ChatEntry
from agents.memory.forgetting import Forgetter
from agents.memory.knowledge import Entry as KnowledgeEntry
from agents.memory.learning import Learner
from schemas.chat import Turn
from schemas.embeddings import Embed
from schemas.forgetting import TurnsForgotten
from schemas.memory import FactEdited, FactForgotten, FactLearned
from schemas.projects import ProjectChanged, ProjectRemoved
from stores.projection import Projection

log = logging.getLogger(__name__)


class Memory(Forgetter):
    """Remembers conversations, facts and projects, and finds what helps to answer."""

    kind = "memory"
    calls = (Embed,)
    publishes = (ProjectChanged, ProjectRemoved, FactLearned, FactEdited, FactForgotten, TurnsForgotten)
    streams = ("CHAT", "MEMORY")

    async def start(self, resources: AsyncExitStack) -> None:
        """Open the projections of the logs; the tables are loaded behind."""
        await self.open_conversations(resources)
        await self.open_knowledge(resources)
        await self._check_logs()
        self.bus.reconnected.append(self._reconnected)
        await self.open_tables(resources)
        self.learner = Learner(self.bus, self.settings, self.conversations, self.facts)
        self.learner.indexed = self._look_at
        await resources.enter_async_context(self.learner)
        await self.open_forgetting(resources)

    def followed_until(self, stream: str) -> int:
        """Return where the projections of a log stand."""
        if stream == "CHAT":
            return self.conversations.followed_until()
        return min(self.projects.followed_until(), self.facts.followed_until())

    def conversation_changed(self, entry: ChatEntry) -> None:
        """Have what was said learned, once it is quiet."""
        super().conversation_changed(entry)
        if isinstance(entry, Turn):
            self.learner.heard()

    def knowledge_changed(self, entry: KnowledgeEntry) -> None:
        """Have what was learned made findable."""
        if isinstance(entry, FactLearned | FactEdited):
            self.learner.heard()

    async def _look_at(self, version: int) -> None:
        await asyncio.shield(self.loading)
        await self.look_anew(version=version)

    async def _check_logs(self) -> bool:
        """Make sure that the projections are of the logs that are there; False if one began anew."""
        parts: dict[str, tuple[Projection, ...]] = {
            "CHAT": (self.conversations,),
            "MEMORY": (self.projects, self.facts),
        }
        same = True
        for stream, projections in parts.items():
            try:
                info = await self.bus.jetstream.stream_info(stream)
            except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
                log.warning("the log %s cannot be looked at: %s", stream, error)
                continue
            created = str(getattr(info, "created", "") or "")
            for projection in projections:
                last = info.state.last_seq
                same = await asyncio.to_thread(projection.belongs_to, created, last) and same
        return same

    def _reconnected(self) -> None:
        async def check() -> None:
            if not await self._check_logs():
                os.kill(os.getpid(), signal.SIGTERM)  # follow from the start, in a new process
            elif self.loading.done():
                await self.look_anew()  # what was announced meanwhile was not heard

        self._checking = asyncio.ensure_future(check())
