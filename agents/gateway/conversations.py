"""REST: conversations are listed, read, renamed and forgotten."""

from __future__ import annotations

import secrets
import time

from aiohttp import web

from agents.gateway.codec import decode_body
from agents.gateway.openapi import Operation
from agents.gateway.part import API, Part, as_json, given
from schemas.chat import Cancel, Conversations, History, ListConversations, ReadConversation, Titled
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.forgetting import Forget, Forgotten
from schemas.web import Forgetting, InProject, NewTitle

FORGET_SECONDS = 120.0
"""How long forgetting may take: files of tables and blocks of the log are written anew."""


class ConversationsPart(Part):
    """Conversations and the exchanges in them."""

    def operations(self) -> list[Operation]:
        """Return the operations about conversations."""
        one = f"{API}/conversations/{{conversation}}"
        return [
            Operation(
                "GET",
                f"{API}/conversations",
                "List conversations, newest first.",
                self.conversations,
                Conversations,
                query=ListConversations,
            ),
            Operation("GET", one, "Read a conversation.", self.conversation, History, query=ReadConversation),
            Operation("PATCH", one, "Rename a conversation.", self.rename, body=NewTitle, query=InProject),
            Operation(
                "DELETE",
                one,
                "Forget a conversation and what was learned from it, for good.",
                self.forget_conversation,
                Forgotten,
                query=Forgetting,
            ),
            Operation(
                "DELETE",
                f"{API}/exchanges/{{answer}}",
                "Forget a question, its answer and what was learned from them, for good.",
                self.forget_exchange,
                Forgotten,
                query=Forgetting,
            ),
        ]

    async def conversations(self, request: web.Request) -> web.Response:
        """List conversations."""
        return await self.reply(given(request, ListConversations))

    async def conversation(self, request: web.Request) -> web.Response:
        """Return a conversation's turns."""
        return as_json(await self._read(given(request, ReadConversation)))

    async def rename(self, request: web.Request) -> web.Response:
        """Give a conversation a title that no automatic one replaces."""
        title = decode_body(NewTitle, await request.read()).title.strip()
        if not title:
            raise KaraisError("The title is empty: give it a word.", code=Code.INVALID, field="$.title")
        wanted = given(request, ReadConversation)
        await self._read(wanted)
        entry = Titled(
            conversation=wanted.conversation,
            project=wanted.project,
            title=title,
            at=time.time(),
            by_user=True,
        )
        await self.bus.record(entry, id=secrets.token_hex(8))
        return web.Response(status=204)

    async def forget_conversation(self, request: web.Request) -> web.Response:
        """Forget a conversation, stopping its answer; ``dry_run`` only says what would go."""
        wanted = given(request, Forget)
        named = ReadConversation(project=wanted.project, conversation=wanted.conversation)
        if not wanted.dry_run and (answering := (await self.call(named)).answering):
            await self.bus.publish(Cancel(answer=answering))
        return await self.reply(wanted, timeout=FORGET_SECONDS)

    async def forget_exchange(self, request: web.Request) -> web.Response:
        """Forget a question with its answer; ``dry_run`` only says what would go."""
        return await self.reply(given(request, Forget), timeout=FORGET_SECONDS)

    async def _read(self, wanted: ReadConversation) -> History:
        history: History = await self.call(wanted)
        if not history.turns:
            raise KaraisError(
                f"There is no conversation {wanted.conversation}; the list shows those there are.",
                code=Code.NOT_FOUND,
            )
        return history
