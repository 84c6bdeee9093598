"""What KARAIS offers over MCP: its own tools, and asking."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from agents.gateway.codec import invalid
from schemas.chat import MAX_QUESTION_CHARS, Ask, Cancel
from schemas.errors import KaraisError
from schemas.tools import (
    RECALL,
    REMEMBER,
    SEARCH_STORAGE,
    CallTool,
    RecallMemory,
    Remember,
    SearchStorage,
)

if TYPE_CHECKING:
    from agents.gateway.rest import Rest
    from schemas.documents import Passage
    from schemas.web import Answer

TOOL_SECONDS = 30.0


class AskKarais(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``ask``."""

    question: Annotated[str, Meta(min_length=1, max_length=MAX_QUESTION_CHARS, description="The question.")]
    conversation: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{0,64}$",
            description="Conversation to continue, as an earlier answer named it; empty for a new one.",
        ),
    ] = ""


class Called(NamedTuple):
    """What came of a call."""

    text: str
    failed: bool = False
    structured: dict[str, Any] | None = None


_OWN = {"search": "search_storage", "recall": "recall", "remember": "remember"}
"""Tools that the tools agent runs, by their names here."""


def _described(name: str, title: str, text: str, arguments: type[Struct], *, reads: bool) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([arguments])
    schema = {key: value for key, value in components[arguments.__name__].items() if key != "description"}
    hints = {"readOnlyHint": reads, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
    return {
        "name": name,
        "title": title,
        "description": text,
        "inputSchema": schema,
        "annotations": {"title": title, **hints},
    }


TOOLS: tuple[dict[str, Any], ...] = (
    _described("search", "Search files", SEARCH_STORAGE, SearchStorage, reads=True),
    _described("recall", "Recall", RECALL, RecallMemory, reads=True),
    _described("remember", "Remember", REMEMBER, Remember, reads=False),
    _described(
        "ask",
        "Ask KARAIS",
        "Have a question answered by the assistant that knows the user's files and memory, with its sources.",
        AskKarais,
        reads=False,
    ),
)
"""In the order in which they are listed. Known without any agent: listing works whatever else is dead."""


class McpTools:
    """Calls them, through the same ways as the REST interface."""

    names = frozenset(tool["name"] for tool in TOOLS)

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def call(self, name: str, arguments: dict[str, Any], project: str) -> Called:
        """Return what a tool gave. Raises KaraisError, which names the argument that is wrong."""
        if name == "ask":
            return await self._ask(arguments, project)
        # Who has the key acts for the owner, and an MCP client asks him before its model changes something.
        result = await self._rest.tools.run(
            CallTool(
                project=project,
                call=secrets.token_hex(16),
                name=_OWN[name],
                arguments=msgspec.json.encode(arguments).decode(),
                approved=True,
                seconds=TOOL_SECONDS,
            )
        )
        return Called(result.text, failed=result.is_error)

    async def _ask(self, arguments: dict[str, Any], project: str) -> Called:
        try:
            given = msgspec.convert(arguments, AskKarais)
        except msgspec.ValidationError as error:
            raise invalid(error) from None
        ask = Ask(
            answer=secrets.token_hex(16),
            conversation=given.conversation or secrets.token_hex(16),
            text=given.question,
            project=project,
        )
        try:
            answer = await self._rest.whole(ask)
        except asyncio.CancelledError:
            if self._rest.bus.connected:
                await self._rest.bus.publish(Cancel(answer=ask.answer))
            raise
        except KaraisError as error:
            return Called(f"The question was not answered: {error}", failed=True)
        return Called(_with_sources(answer), structured=_structured(answer))


def _with_sources(answer: Answer) -> str:
    lines = [f"[{number}] {_place(answer.passages[number - 1])}" for number in answer.cited]
    return answer.text + ("\n\nSources:\n" + "\n".join(lines) if lines else "")


def _structured(answer: Answer) -> dict[str, Any]:
    sources = [(number, answer.passages[number - 1]) for number in answer.cited]
    return {
        "answer": answer.text,
        "conversation": answer.conversation,
        "grounding": answer.grounding,
        "sources": [
            {"number": number, "place": _place(passage), "text": passage.text} for number, passage in sources
        ],
    }


def _place(passage: Passage) -> str:
    if passage.kind != "document":
        return {"turn": "an earlier conversation", "fact": "memory"}[passage.kind]
    path = " ".join(passage.path.split())
    if passage.first_line:
        return f"{path}, lines {passage.first_line}-{passage.last_line}"
    return f"{path}, page {passage.page}" if passage.page else path
