"""Searching the storage, recalling, remembering: what the memory agent answers, as tools."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from agents.tools.builtin.making import make
from agents.tools.tool import Given, Tool, cleaned
from schemas.documents import Kind, Passage, Recall, Recalled
from schemas.errors import KaraisError, Refused
from schemas.memory import AddFact, FactWithHistory
from schemas.projects import ProjectFound, ReadProject
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
    from bus.connection import Bus

SECONDS = 20.0


def search_storage(bus: Bus) -> Tool:
    """Return the tool that searches files."""

    async def run(ask: CallTool, given: SearchStorage) -> Given:
        return await _recalled(bus, ask, given.query, given.limit, ("document",))

    return make("search_storage", SEARCH_STORAGE, "reads", SearchStorage, run)


def recall(bus: Bus) -> Tool:
    """Return the tool that looks up facts and earlier turns."""

    async def run(ask: CallTool, given: RecallMemory) -> Given:
        return await _recalled(bus, ask, given.query, given.limit, ("fact", "turn"))

    return make("recall", RECALL, "reads", RecallMemory, run)


def remember(bus: Bus) -> Tool:
    """Return the tool that writes a fact down, as the user's own: it needs the user's yes."""

    async def run(ask: CallTool, given: Remember) -> Given:
        text = cleaned(given.text)
        known: FactWithHistory = await bus.call(
            AddFact(user=ask.user, project=ask.project, text=text), timeout=SECONDS
        )
        return Given(f"Remembered: {known.fact.text}")

    return make("remember", REMEMBER, "changes", Remember, run)


async def _recalled(bus: Bus, ask: CallTool, query: str, limit: int, kinds: tuple[Kind, ...]) -> Given:
    found: Recalled = await bus.call(
        Recall(
            user=ask.user,
            project=ask.project,
            query=query,
            limit=limit,
            kinds=kinds,
            with_global=await _uses_global(bus, ask),
            conversation=ask.conversation,
        ),
        timeout=SECONDS,
    )
    parts = [
        f"[{number}] {_place(passage)}\n{passage.text}" for number, passage in enumerate(found.passages, 1)
    ]
    if not parts:
        parts.append("Nothing was found.")
    if found.degraded:
        parts.append(f"(The search was not complete: {found.degraded})")
    return Given("\n\n".join(parts), passages=found.passages)


async def _uses_global(bus: Bus, ask: CallTool) -> bool:
    """Tell whether the project's answers may rest on ``global`` as well; without an answer they may not."""
    try:
        found: ProjectFound = await bus.call(ReadProject(user=ask.user, project=ask.project), timeout=SECONDS)
    except Refused:
        raise
    except KaraisError:
        return False
    return found.project.uses_global


def _place(passage: Passage) -> str:
    if passage.kind == "document":
        path = " ".join(passage.path.split())  # a file's name may hold line ends
        if passage.first_line:
            return f"{path}, lines {passage.first_line}-{passage.last_line}"
        return f"{path}, page {passage.page}" if passage.page else path
    day = datetime.datetime.fromtimestamp(passage.at, datetime.UTC).date().isoformat() if passage.at else ""
    what = "remembered" if passage.kind == "fact" else "said"
    return f"{what} {day}".rstrip()
