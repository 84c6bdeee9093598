"""Forgetting on a real bus with real tables: afterwards the text is nowhere, and does not come back."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from agents.memory import Memory
from schemas.chat import Delta, ReadConversation, Titled, Turn
from schemas.documents import Recall
from schemas.errors import Refused
from schemas.failure import Code
from schemas.forgetting import Forget, TurnsForgotten
from schemas.memory import AddFact, EditFact, ListFacts
from schemas.projects import ChangeProject, ListProjects, RemoveProject
from tests.hashing import HashEmbedder
from tests.remains import places

CANARY = "Quixzorb"
SECONDS = 60.0


@asynccontextmanager
async def memory(start_bus, settings, running=None):
    """Run memory on a real bus and yield a connection."""
    if running is None:
        running = start_bus(HashEmbedder, Memory)
        await running.provision()
    async with running.running(HashEmbedder(settings), Memory(settings)), running.connected() as bus:
        yield bus


async def say(bus, text, *, conversation="c1", answer="a1", reply="I see.", project="home", passages=()):
    """Put a question and its answer into the log, as the brain does."""
    fields = {"conversation": conversation, "answer": answer, "project": project}
    await bus.record(Turn(**fields, role="user", text=text, at=time.time()))
    await bus.publish(Delta(answer=answer, index=0, text=reply))
    await bus.record(
        Turn(**fields, role="assistant", text=reply, at=time.time(), finish_reason="stop", passages=passages)
    )


async def until(find, *, seconds=30.0):
    """Return what ``find`` finds, once it finds something."""
    async with asyncio.timeout(seconds):
        while not (found := await find()):
            await asyncio.sleep(0.1)
    return found


def recalled(bus, query, **scope):
    async def find():
        return (await bus.call(Recall(query=query, **scope))).passages

    return find


def facts_of(bus, **scope):
    async def find():
        return (await bus.call(ListFacts(history=True, **scope))).facts

    return find


async def learned(bus, count=1, **scope):
    """Wait until this many facts are known and findable; return them."""

    async def all_of_them():
        facts = await facts_of(bus, **scope)()
        found = await bus.call(
            Recall(query=CANARY, kinds=("fact",), limit=20, project=scope.get("project", "home"))
        )
        return facts if len(facts) >= count and len(found.passages) >= min(count, 1) else None

    return await until(all_of_them)


async def test_a_forgotten_conversation_is_in_no_file_any_more(start_bus, settings):
    """Question, answer, title, fact and passages are found in the files before, and in none after."""
    async with memory(start_bus, settings) as bus:
        for n in range(3):
            await say(bus, f"The garden has {n} ponds.", conversation="other", answer=f"o{n}")
        await say(bus, f"I live in {CANARY}.", reply=f"{CANARY} is a fine town.")
        await bus.record(Titled(conversation="c1", title=f"About {CANARY}", at=time.time(), by_user=True))
        await learned(bus)
        before = places(settings.home, CANARY)
        assert {place.kind for place in before} >= {"stream", "lance", "sqlite"}, before
        would = await bus.call(Forget(conversation="c1", dry_run=True), timeout=SECONDS)
        gone = await bus.call(Forget(conversation="c1"), timeout=SECONDS)
        assert (would.turns, would.facts, would.passages) == (gone.turns, gone.facts, gone.passages)
        assert (gone.turns, gone.facts) == (2, 1)
        assert gone.passages >= 3
        assert gone.kept_in_backups_until is None
        assert places(settings.home, CANARY) == []
        assert (await bus.call(ReadConversation(conversation="c1"))).turns == ()
        assert len((await bus.call(ReadConversation(conversation="other"))).turns) == 6
        assert await facts_of(bus)() == ()
        assert any("ponds" in p.text for p in await recalled(bus, "How many ponds has the garden?")())
        again = await bus.call(Forget(conversation="c1"), timeout=SECONDS)
        assert (again.turns, again.facts, again.passages) == (0, 0, 0)
