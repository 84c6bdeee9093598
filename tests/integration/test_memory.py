"""Memory on a real bus with the real embedding model: it learns from turns and finds what it learned."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agents.embedder import Embedder
from agents.memory import Memory
from bus.settings import Settings
from schemas.chat import Turn
from schemas.documents import OpenPassage, Recall
from schemas.errors import Refused
from schemas.failure import Code
from schemas.memory import AddFact, EditFact, ListFacts, ShowFact
from schemas.projects import ChangeProject, ListProjects, ReadProject
from tests.integration.test_forgetting import recalled, until

DAY = 86_400.0
NOW = time.time()


@pytest.fixture
def settings(tmp_path: Path, models: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(models)
    return Settings(home=home, port=0)


@asynccontextmanager
async def memory(start_bus, settings):
    """Run memory and embedder on a real bus and yield a connection."""
    running = start_bus(Embedder, Memory)
    await running.provision()
    async with running.running(Embedder(settings), Memory(settings)), running.connected() as bus:
        yield bus


async def say(bus, text: str, *, conversation="c1", answer="", reply="I see.", project="home", at=NOW):
    """Put a question and its answer into the log, as the brain does."""
    fields = {"conversation": conversation, "answer": answer or f"a{time.monotonic_ns()}", "project": project}
    await bus.record(Turn(**fields, role="user", text=text, at=at))
    await bus.record(Turn(**fields, role="assistant", text=reply, at=at + 1, finish_reason="stop"))


async def test_what_was_said_is_found_in_another_conversation_and_never_in_another_project(
    start_bus, settings
):
    """Turns become passages with their conversation and time; a project sees its own alone."""
    async with memory(start_bus, settings) as bus:
        await bus.call(ChangeProject(project="boat", create=True))
        await say(bus, "The mast of the boat is eleven metres high.", conversation="b1", project="boat")
        await say(bus, "Our heat pump was installed by Kessler in May.", conversation="c1")
        found = await until(recalled(bus, "Who installed the heat pump?", conversation="c2"))
        assert (found[0].kind, found[0].path, found[0].project) == ("turn", "c1", "home")
        assert "Kessler" in found[0].text
        assert await recalled(bus, "How high is the mast of the boat?")() == ()
        assert "eleven" in (await until(recalled(bus, "How high is the mast?", project="boat")))[0].text
        of_its_own = await recalled(bus, "heat pump installed", conversation="c1")()
        assert not any(p.kind == "turn" and p.path == "c1" for p in of_its_own)
        opened = await bus.call(OpenPassage(id=found[0].id))
        assert opened.passage.text == found[0].text


async def test_what_the_model_made_up_is_not_offered_as_knowledge(start_bus, settings):
    """An answer that nothing supported is found by who looks for it, and left out where that is asked for."""
    async with memory(start_bus, settings) as bus:
        await say(bus, "Which bolts hold the keel?", answer="a1", reply="Titanium bolts hold the keel.")
        ask = Recall(query="Which bolts hold the keel?", conversation="c2")
        await until(recalled(bus, ask.query, conversation="c2"))
        found = (await bus.call(ask)).passages
        assert {p.text for p in found} == {"Which bolts hold the keel?", "Titanium bolts hold the keel."}
        (left,) = (await bus.call(msgspec.structs.replace(ask, unsupported=False))).passages
        assert left.text == "Which bolts hold the keel?"


async def test_a_fact_is_learned_superseded_and_answered_as_of_then(start_bus, settings):
    """A newer fact takes an older one's place; both stay, and the past is answered from what held."""
    async with memory(start_bus, settings) as bus:
        await say(bus, "I live in Hamburg.", at=NOW - 400 * DAY)
        await say(bus, "I moved to Bremen.", conversation="c2", at=NOW - 10 * DAY)

        async def towns():
            facts = (await bus.call(ListFacts(history=True))).facts
            return facts if len(facts) > 1 else None

        facts = await until(towns)
        assert {fact.value for fact in facts} == {"Hamburg", "Bremen"}
        now = (await bus.call(ListFacts())).facts
        assert [fact.value for fact in now] == ["Bremen"]
        then = (await bus.call(ListFacts(as_of=NOW - 100 * DAY))).facts
        assert [fact.value for fact in then] == ["Hamburg"]
        shown = await bus.call(ShowFact(fact=now[0].id))
        assert [fact.value for fact in shown.earlier] == ["Hamburg"]
        assert shown.fact.conversation == "c2"
        assert shown.fact.quote in "I moved to Bremen."

        wanted = {"query": "Which town does the owner live in?", "kinds": ("fact",)}
        assert "Bremen" in (await until(recalled(bus, **wanted)))[0].text
        before = await recalled(bus, **wanted, as_of=NOW - 100 * DAY)()
        assert ["Hamburg" in p.text for p in before] == [True]


async def test_what_no_rule_understands_is_kept_as_it_was_said(start_bus, settings):
    """The learned judge works with the real embedder: a lasting fact is kept, a request is not."""
    async with memory(start_bus, settings) as bus:
        said = "Our greyhound Bertie is allergic to chicken, so he only gets the salmon food from Hooper's."
        await say(bus, "Can you write me a poem about a greyhound that eats salmon?")
        await say(bus, said, conversation="c2")

        async def learned():
            return (await bus.call(ListFacts())).facts

        facts = await until(learned)
        assert any(said in fact.text for fact in facts)
        assert {fact.conversation for fact in facts} == {"c2"}


async def test_the_owner_adds_and_corrects_facts(start_bus, settings):
    """What the owner writes counts; the version before it stays in the history."""
    async with memory(start_bus, settings) as bus:
        added = await bus.call(AddFact(text="The boiler is a Viessmann of 1998."))
        assert added.fact.origin == "user"
        edited = await bus.call(EditFact(fact=added.fact.id, text="The boiler is a Viessmann of 1999."))
        assert [fact.id for fact in edited.earlier] == [added.fact.id]
        assert [f.text for f in (await bus.call(ListFacts())).facts] == ["The boiler is a Viessmann of 1999."]
        with pytest.raises(Refused) as refused:
            await bus.call(ShowFact(fact="nothing"))
        assert refused.value.code is Code.NOT_FOUND


async def test_projects_are_made_changed_and_named(start_bus, settings):
    """Home and global are always there; a folder belongs to one project."""
    async with memory(start_bus, settings) as bus:
        made = await bus.call(ChangeProject(project="boat", create=True, name="The boat", folder="/boat/"))
        assert (made.project.name, made.project.folder) == ("The boat", "boat")
        changed = await bus.call(ChangeProject(project="boat", instructions="Answer like a sailor."))
        assert changed.project.folder == "boat"
        assert [p.project for p in (await bus.call(ListProjects())).projects] == ["home", "boat", "global"]
        read = await bus.call(ReadProject(project="boat"))
        assert read.project.instructions == "Answer like a sailor."
        refusals = {
            Code.CONFLICT: (
                ChangeProject(project="boat", create=True),
                ChangeProject(project="ship", create=True, folder="boat"),
            ),
            Code.NOT_FOUND: (ReadProject(project="ship"), ChangeProject(project="ship", name="x")),
            Code.INVALID: (
                ChangeProject(project="boat", folder="../outside"),
                ChangeProject(project="home", folder="boat"),
            ),
        }
        for code, asks in refusals.items():
            for ask in asks:
                with pytest.raises(Refused) as refused:
                    await bus.call(ask)
                assert refused.value.code is code, ask
