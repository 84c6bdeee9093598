"""Memory's part that keeps conversations: the projection of the log CHAT, and what is asked of it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
from contextlib import AsyncExitStack

from bus.agent import Agent, answers, follows
from schemas.chat import (
    Compacted,
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
from schemas.forgetting import TurnsForgotten
from stores import conversations

log = logging.getLogger(__name__)

Entry = Turn | Compacted | Titled | Deleted | TurnsForgotten


class ConversationKeeper(Agent):
    """Remembers conversations."""

    async def open_conversations(self, resources: AsyncExitStack) -> None:
        """Open the projection of the log."""
        file = self.settings.memory / "conversations.db"
        self.conversations = await asyncio.to_thread(conversations.Conversations, file)
        resources.callback(self.conversations.close)

    @follows(Turn, Compacted, Titled, Deleted, TurnsForgotten)
    async def project_conversation(self, entry: Entry, sequence: int) -> None:
        """Take an entry of the log into the projection."""
        try:
            await asyncio.to_thread(self.conversations.apply, entry, sequence)
        except sqlite3.DatabaseError:
            leave_to_rebuild("conversations")
            raise
        self.conversation_changed(entry)

    def conversation_changed(self, entry: Entry) -> None:
        """Tell the other parts that the log went on."""

    @answers(ListConversations)
    async def list_conversations(self, ask: ListConversations) -> Conversations:
        """List a project's conversations, newest first."""
        found = await asyncio.to_thread(
            self.conversations.list,
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
            self.conversations.history, ask.project, ask.user, ask.conversation, last=ask.last
        )

    @answers(OpenAnswers)
    async def open_answers(self, ask: OpenAnswers) -> Unanswered:
        """Return the questions that have no answer yet."""
        return Unanswered(turns=await asyncio.to_thread(self.conversations.unanswered))


def leave_to_rebuild(what: str) -> None:
    """End this process: opening the file again finds what is wrong and builds it anew from the log."""
    log.exception("the projection of %s cannot be written", what)
    os.kill(os.getpid(), signal.SIGTERM)
