"""REST: what is remembered is listed, explained, added, edited, forgotten and searched."""

from __future__ import annotations

import msgspec
from aiohttp import web

from agents.gateway.codec import decode_body
from agents.gateway.conversations import FORGET_SECONDS
from agents.gateway.openapi import Operation
from agents.gateway.part import API, Part, fitted, given
from schemas.documents import Recall, Recalled
from schemas.forgetting import Forget, Forgotten
from schemas.memory import AddFact, EditFact, Facts, FactWithHistory, ListFacts, ShowFact
from schemas.web import FactChange, Forgetting, InProject, NewFact, Search


class MemoryPart(Part):
    """Facts, and searching everything."""

    def operations(self) -> list[Operation]:
        """Return the operations about memory."""
        one = f"{API}/facts/{{fact}}"
        return [
            Operation(
                "GET",
                f"{API}/facts",
                "List what is known, latest learned first.",
                self.facts,
                Facts,
                query=ListFacts,
            ),
            Operation(
                "POST", f"{API}/facts", "Remember a fact.", self.add_fact, FactWithHistory, body=NewFact
            ),
            Operation(
                "GET",
                one,
                "See why a fact is believed: where from, since when, what it replaced.",
                self.fact,
                FactWithHistory,
                query=ShowFact,
            ),
            Operation(
                "PATCH",
                one,
                "Put a fact right.",
                self.edit_fact,
                FactWithHistory,
                body=FactChange,
                query=InProject,
            ),
            Operation(
                "DELETE",
                one,
                "Forget a fact, with the exchanges that it came from or was used in, for good.",
                self.forget_fact,
                Forgotten,
                query=Forgetting,
            ),
            Operation(
                "GET",
                f"{API}/search",
                "Search files, conversations and facts.",
                self.search,
                Recalled,
                query=Search,
            ),
        ]

    async def facts(self, request: web.Request) -> web.Response:
        """List facts."""
        return await self.reply(given(request, ListFacts))

    async def fact(self, request: web.Request) -> web.Response:
        """Return a fact with its history."""
        return await self.reply(given(request, ShowFact))

    async def add_fact(self, request: web.Request) -> web.Response:
        """Remember what the user wrote down."""
        new = decode_body(NewFact, await request.read())
        return await self.reply(AddFact(**msgspec.structs.asdict(new)))

    async def edit_fact(self, request: web.Request) -> web.Response:
        """Put a fact right by a new version."""
        change = decode_body(FactChange, await request.read())
        wanted = given(request, ShowFact)
        return await self.reply(
            EditFact(project=wanted.project, fact=wanted.fact, **msgspec.structs.asdict(change))
        )

    async def forget_fact(self, request: web.Request) -> web.Response:
        """Forget a fact; ``dry_run`` only says what would go."""
        return await self.reply(given(request, Forget), timeout=FORGET_SECONDS)

    async def search(self, request: web.Request) -> web.Response:
        """Search everything, by meaning and by words."""
        wanted = given(request, Search)
        fields = {name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "kinds"}
        if kinds := [kind for kind in wanted.kinds.split(",") if kind]:
            fields["kinds"] = kinds
        return await self.reply(fitted(fields, Recall))
