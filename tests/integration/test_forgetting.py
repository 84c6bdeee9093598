"""Forgetting on a real bus with real tables: afterwards the text is nowhere, and does not come back."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import msgspec
import pytest

from agents.librarian import Librarian
from agents.memory import Memory
from bus.connection import connect
from bus.erasing import all_entries, erase
from bus.subjects import pattern_of
from schemas.chat import Compacted, Deleted, Delta, ReadConversation, Titled, Turn
from schemas.documents import Recall
from schemas.errors import Refused, Unavailable
from schemas.failure import Code
from schemas.forgetting import Forget, TurnsForgotten
from schemas.memory import AddFact, EditFact, FactForgotten, ListFacts
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


async def until(find, *, seconds=60.0):
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


async def test_what_repeats_a_fact_goes_with_it_and_nothing_else(start_bus, settings):
    """Its source, its versions, the answers that recalled it in other conversations; not their neighbours."""
    async with memory(start_bus, settings) as bus:
        await bus.call(ChangeProject(project="boat", create=True))
        await say(bus, "The engine of the boat is a Yanmar.", conversation="b", answer="b1", project="boat")
        await say(bus, f"I live in {CANARY}.", answer="a1")
        await say(bus, "How is the weather?", answer="a2", reply="Sunny.")
        (fact,) = await learned(bus)
        passages = await until(recalled(bus, f"Where is {CANARY}?", conversation="c2"))
        assert {p.kind for p in passages} >= {"turn", "fact"}
        await say(
            bus, "Where do I live?", conversation="c2", answer="a3", reply=f"In {CANARY}.", passages=passages
        )
        await say(bus, "And tea?", conversation="c2", answer="a4", reply="Green.")
        await say(bus, "Brew coffee?", conversation="c2", answer="a5", reply="Grind it.", passages=passages)
        again = await until(
            recalled(bus, f"Where did I ask about {CANARY}?", conversation="c3", kinds=("turn",))
        )
        await until(recalled(bus, "Grind it.", conversation="c3"))
        await say(bus, "Say it.", conversation="c3", answer="a6", reply=CANARY, passages=again)
        ground = await recalled(bus, "Grind it.", conversation="c4", kinds=("turn",))()
        ground = tuple(p for p in ground if "Grind" in p.text)
        assert ground
        await say(bus, "And then?", conversation="c4", answer="a7", reply="Boil.", passages=ground)
        would = await bus.call(Forget(fact=fact.id, dry_run=True), timeout=SECONDS)
        gone = await bus.call(Forget(fact=fact.id), timeout=SECONDS)
        assert (would.turns, would.facts) == (gone.turns, gone.facts) == (8, 1)
        assert places(settings.home, CANARY) == []
        left = {}
        for conversation in ("c1", "c2", "c3", "c4"):
            turns = (await bus.call(ReadConversation(conversation=conversation))).turns
            left[conversation] = sorted({turn.answer for turn in turns})
        assert left == {"c1": ["a2"], "c2": ["a4"], "c3": [], "c4": ["a7"]}
        assert (await bus.call(ReadConversation(conversation="c1"))).title == "How is the weather?"

        # An answer that was under way, with what it had recalled before.
        await say(bus, "Late?", conversation="c5", answer="a8", reply=f"{CANARY}!", passages=passages)

        async def erased():
            return not places(settings.home, CANARY)

        await until(erased)
        would = await bus.call(RemoveProject(project="boat", dry_run=True), timeout=SECONDS)
        assert places(settings.home, "Yanmar") != []
        removed = await bus.call(RemoveProject(project="boat"), timeout=SECONDS)
        assert removed.turns == would.turns == 2
        assert places(settings.home, "Yanmar") == []
        assert [p.project for p in (await bus.call(ListProjects())).projects] == ["home", "global"]
        for ask, code in (
            (RemoveProject(project="home"), Code.INVALID),
            (RemoveProject(project="ship"), Code.NOT_FOUND),
            (Forget(), Code.INVALID),
            (Forget(fact="nothing"), Code.NOT_FOUND),
            (Forget(conversation="c1", project="boat"), Code.NOT_FOUND),
        ):
            with pytest.raises(Refused) as refused:
                await bus.call(ask)
            assert refused.value.code is code, ask


async def test_it_is_said_until_when_backups_hold_what_is_forgotten(start_bus, settings):
    """By the days for which the owner keeps backups of the data folder."""
    async with memory(start_bus, msgspec.structs.replace(settings, backup_days=30)) as bus:
        added = await bus.call(AddFact(text="The boiler is blue."))
        for dry_run in (True, False):
            gone = await bus.call(Forget(fact=added.fact.id, dry_run=dry_run), timeout=SECONDS)
            assert gone.kept_in_backups_until == pytest.approx(time.time() + 30 * 86_400, abs=60)


async def test_forgetting_is_completed_after_a_kill_and_holds_in_a_rebuilt_memory(start_bus, settings):
    """A marker in the log is enough; what the user put right stays right; the learner brings nothing back."""
    running = start_bus(HashEmbedder, Memory)
    await running.provision()
    async with memory(start_bus, settings, running) as bus:
        await say(bus, f"I live in {CANARY}.")
        (fact,) = await learned(bus)
        wrong = (await bus.call(AddFact(text="The boiler is of 1998."))).fact
        right = (await bus.call(EditFact(fact=wrong.id, text=f"The boiler is of {CANARY}."))).fact
        await learned(bus, 3)
    # Memory does not run: only the markers are written, as by a process that was killed right after.
    async with running.connected() as bus:
        await bus.record(TurnsForgotten(conversation="c1", answers=("a1",), at=time.time()))
        await bus.record(FactForgotten(fact=right.id, at=time.time(), replaced=(wrong.id,)))
        await bus.record(Titled(conversation="c1", title=CANARY, at=time.time()))
        await say(bus, f"Again {CANARY}.", answer="a1")
    assert places(settings.home, CANARY)

    async def erased():
        return not places(settings.home, CANARY)

    async with memory(start_bus, settings, running) as bus:
        await until(erased)
    for file in settings.memory.glob("*.db*"):
        file.unlink()
    async with memory(start_bus, settings, running) as bus:
        await asyncio.sleep(3)
        assert (await bus.call(ReadConversation(conversation="c1"))).turns == ()
        assert await facts_of(bus)() == await until(facts_of(bus))
        assert [(f.id, f.superseded_by) for f in await facts_of(bus)()] == [(wrong.id, right.id)]
        assert (await bus.call(ListFacts())).facts == ()
        assert fact.id != wrong.id
        assert not places(settings.home, CANARY)


async def test_a_conversation_deleted_in_the_old_way_is_forgotten_as_well(start_bus, settings):
    """The log of an earlier version says Deleted; and no other agent may erase."""
    async with memory(start_bus, settings) as bus:
        await say(bus, f"I live in {CANARY}.")
        await learned(bus)
        await bus.record(Deleted(conversation="c1", at=time.time()))

        async def erased():
            return not places(settings.home, CANARY)

        await until(erased)
        assert await facts_of(bus)() == ()
        async with connect(settings, "embedder") as other:
            with pytest.raises(Unavailable):
                await erase(other, "CHAT", [1])
            assert other.denied == 1


async def test_a_deleted_file_leaves_the_tables_files_soon(start_bus, settings):
    """Its text is in the table's data and index files before, and in none some seconds after it went."""
    assert settings.storage
    settings.storage.mkdir()
    (settings.storage / "other.md").write_text("The garden has three ponds.")
    file = settings.storage / "secret.md"
    file.write_text(f"The key of {CANARY} is under the mat.")
    running = start_bus(HashEmbedder, Memory, Librarian)
    await running.provision()
    agents = [HashEmbedder(settings), Memory(settings), Librarian(settings)]
    async with running.running(*agents), running.connected() as bus:
        await until(recalled(bus, CANARY, kinds=("document",)), seconds=SECONDS)
        assert {place.kind for place in places(settings.home, CANARY)} == {"lance"}
        file.unlink()

        async def erased():
            return not places(settings.home, CANARY)

        await until(erased, seconds=2 * SECONDS)
        assert [p.path for p in await recalled(bus, "ponds", kinds=("document",))()] == ["other.md"]


async def test_a_summary_goes_with_a_turn_that_it_stands_for(start_bus, settings):
    """After forgetting one exchange its words are in no summary's entry or row; the other turns stay."""
    async with memory(start_bus, settings) as bus:
        await say(bus, f"The garage opens with {CANARY}.", answer="a1", reply="Noted.")
        await say(bus, "How is the weather?", answer="a2", reply="Sunny.")
        fields = {"conversation": "c1", "at": time.time()}
        first = Compacted(**fields, text=f"I said: The garage opens with {CANARY}.", turns=("a1",))
        sequence = (await bus.record(first)).sequence
        more = Compacted(**fields, text=f"{first.text}\nYou said: Sunny.", turns=("a2",), after="a1")
        await bus.record(more, expect=sequence)

        async def summary():
            return (await bus.call(ReadConversation(conversation="c1"))).summary == more

        await until(summary)
        await bus.call(Forget(answer="a1"), timeout=SECONDS)
        assert places(settings.home, CANARY) == []
        history = await bus.call(ReadConversation(conversation="c1"))
        assert (history.summary, history.summarised) == (None, 0)
        assert [turn.answer for turn in history.turns] == ["a2", "a2"]
        await bus.record(more)  # that of a brain which had not heard of it
        await until(lambda: nothing_of(bus, Compacted))
        assert places(settings.home, CANARY) == []


async def nothing_of(bus, kind) -> bool:
    return not await all_entries(bus, "CHAT", pattern_of(kind, project="home", conversation="c1"))
