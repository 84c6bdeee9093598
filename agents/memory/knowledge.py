"""Memory's part that keeps what was learned: projections of the log MEMORY, and what is asked of them."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from contextlib import AsyncExitStack

import msgspec

from agents.memory.conversations import leave_to_rebuild
from bus.agent import Agent, answers, follows
from schemas.base import Message
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.memory import (
    AddFact,
    EditFact,
    Fact,
    FactEdited,
    FactForgotten,
    FactLearned,
    Facts,
    FactWithHistory,
    ListFacts,
    ShowFact,
)
from schemas.projects import ProjectChanged, ProjectRemoved
from stores.facts import FactBook
from stores.projects import ProjectBook

SEEN_SECONDS = 5.0
"""How long a change may take from the log into the projections before its reply comes anyway."""

Entry = ProjectChanged | ProjectRemoved | FactLearned | FactEdited | FactForgotten


class KnowledgeKeeper(Agent):
    """Remembers facts and projects."""

    async def open_knowledge(self, resources: AsyncExitStack) -> None:
        """Open the projections of the log."""
        self.projects = await asyncio.to_thread(ProjectBook, self.settings.memory / "projects.db")
        resources.callback(self.projects.close)
        self.facts = await asyncio.to_thread(FactBook, self.settings.memory / "facts.db")
        resources.callback(self.facts.close)
        self._projected = asyncio.Condition()
        self._projected_until = 0

    @follows(ProjectChanged, ProjectRemoved, FactLearned, FactEdited, FactForgotten)
    async def project_knowledge(self, entry: Entry, sequence: int) -> None:
        """Take an entry of the log into the projection that it concerns."""
        try:
            match entry:
                case ProjectChanged() | ProjectRemoved():
                    await asyncio.to_thread(self.projects.apply, entry, sequence)
                    await asyncio.to_thread(self.facts.pass_over, sequence)
                case _:
                    await asyncio.to_thread(self.facts.apply, entry, sequence)
                    await asyncio.to_thread(self.projects.pass_over, sequence)
        except sqlite3.DatabaseError:
            leave_to_rebuild("memory")
            raise
        self.knowledge_changed(entry)
        async with self._projected:
            self._projected_until = sequence
            self._projected.notify_all()

    def knowledge_changed(self, entry: Entry) -> None:
        """Tell the other parts that the log went on."""

    async def record_knowledge(self, entry: Message, *, id: str = "") -> None:
        """Write an entry to the log, and return when it can be read."""
        recorded = await self.bus.record(entry, id=id or secrets.token_hex(8))
        try:
            async with asyncio.timeout(SEEN_SECONDS), self._projected:
                await self._projected.wait_for(lambda: self._projected_until >= recorded.sequence)
        except TimeoutError:
            return  # it is in the log, which is what counts

    @answers(ListFacts)
    async def list_facts(self, ask: ListFacts) -> Facts:
        """Return a project's facts, latest first."""
        return await asyncio.to_thread(
            self.facts.list,
            ask.project,
            ask.user,
            matching=ask.matching,
            history=ask.history,
            as_of=ask.as_of,
            with_global=ask.with_global,
            limit=ask.limit,
            after=ask.after,
        )

    @answers(ShowFact)
    async def show_fact(self, ask: ShowFact) -> FactWithHistory:
        """Return a fact with what came before and after it."""
        found = await asyncio.to_thread(
            self.facts.show, ask.project, ask.user, ask.fact, with_global=ask.with_global
        )
        if found is None:
            raise KaraisError(
                f"There is no fact {ask.fact} in the project {ask.project}.",
                code=Code.NOT_FOUND,
                field="$.fact",
            )
        return found

    @answers(AddFact)
    async def add_fact(self, ask: AddFact) -> FactWithHistory:
        """Remember what the user wrote down."""
        now = time.time()
        text = _sentence(ask.text)
        fact = Fact(
            id=secrets.token_hex(16),
            text=text,
            subject="owner",
            attribute=f"note:{text.casefold()}",
            value=text,
            kind="note",
            valid_from=now if ask.valid_from is None else ask.valid_from,
            valid_to=ask.valid_to,
            at=now,
            project=ask.project,
            origin="user",
        )
        await self.record_knowledge(FactLearned(user=ask.user, project=ask.project, learned=fact))
        return await self._shown(ask.user, ask.project, fact.id)

    @answers(EditFact)
    async def edit_fact(self, ask: EditFact) -> FactWithHistory:
        """Put a fact right by a new version."""
        now = time.time()
        old = (await self._shown(ask.user, ask.project, ask.fact)).fact
        text = _sentence(ask.text)
        value = ask.value.strip() or (old.value if old.value and old.value in text else text)
        new = msgspec.structs.replace(
            old,
            id=secrets.token_hex(16),
            text=text,
            value=value,
            valid_from=old.valid_from if ask.valid_from is None else ask.valid_from,
            valid_to=old.valid_to if ask.valid_to is None else ask.valid_to,
            at=now,
            confidence=1.0,
            origin="user",
            superseded_by="",
        )
        entry = FactEdited(user=ask.user, project=ask.project, fact=old.id, replacement=new, at=now)
        await self.record_knowledge(entry)
        return await self._shown(ask.user, ask.project, new.id)

    async def _shown(self, user: str, project: str, fact: str) -> FactWithHistory:
        return await self.show_fact(ShowFact(user=user, project=project, fact=fact))


def _sentence(text: str) -> str:
    """Return a text on one line; raises KaraisError when nothing is in it."""
    plain = " ".join(text.split())
    if not plain:
        raise KaraisError("The fact is empty: write a sentence.", code=Code.INVALID, field="$.text")
    return plain
