"""`karais rebuild`: memory made anew from storage and logs is the same, and takes the old one's place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agents.librarian import Librarian
from agents.memory import Memory
from bus.settings import Settings
from ops.rebuild import rebuild
from ops.rebuild import rebuilding as module
from schemas.chat import ReadConversation
from schemas.documents import GetStorageStatus
from schemas.errors import KaraisError
from schemas.forgetting import Forget
from schemas.memory import AddFact, ListFacts
from schemas.projects import ChangeProject, ListProjects
from tests.hashing import HashEmbedder
from tests.integration.test_forgetting import CANARY, SECONDS, recalled, say, until
from tests.remains import places


@pytest.fixture
def storage(settings: Settings) -> Path:
    """A small storage with a project's folder."""
    assert settings.storage
    (settings.storage / "boat").mkdir(parents=True)
    (settings.storage / "bees.md").write_text("# Bees\n\nBees live in hives and make honey.\n")
    (settings.storage / "boat" / "mast.md").write_text("# Mast\n\nThe mast is eleven metres high.\n")
    return settings.storage


async def test_a_rebuilt_memory_is_the_same_and_takes_the_place(start_bus, settings, storage, monkeypatch):
    """Nothing differs and nothing is embedded again; what was forgotten stays so; damage is mended."""
    running = start_bus(HashEmbedder, Memory, Librarian)
    await running.provision()
    # The bus of the test stands for the one that runs; without a supervisor nobody restarts agents.
    attached = msgspec.structs.replace(settings, nats="")
    monkeypatch.setattr(module.running, "is_up", lambda _: True)
    told = []

    async def run(**options):
        return await rebuild(attached, told.append, **options)

    agents = [HashEmbedder(settings), Memory(settings), Librarian(settings)]
    async with running.running(*agents), running.connected() as bus:
        await bus.call(ChangeProject(project="boat", create=True, folder="boat"))
        await say(bus, "I live in Hamburg.", answer="a1")
        await say(bus, f"I work for {CANARY}.", answer="a2")
        await bus.call(AddFact(text="The boiler is of 1998."))
        await until(recalled(bus, "The boiler is of 1998.", kinds=("fact",)))
        await bus.call(Forget(answer="a2"), timeout=SECONDS)
        await until(recalled(bus, "hives and honey", kinds=("document",)))

        async def read():
            now = await bus.call(GetStorageStatus())
            return now.files == 2 and not now.waiting and not now.scanning

        await until(read)
        await until(recalled(bus, "How high is the mast?", project="boat"))
        before = (await bus.call(ListFacts(history=True))).facts
    async with running.running(HashEmbedder(settings)):
        checked = await run(check=True)
        assert [d.part for d in checked.differences if not d.same] == [], checked.differences
        assert {d.part for d in checked.differences if d.before} == {d.part for d in checked.differences}
        assert (checked.same, checked.switched, checked.embedded) == (True, False, 0)
        assert checked.reused > 0
        assert {"files", "log CHAT", "turns and facts"} <= {p.step for p in told}
        assert not settings.rebuilding.exists()

        # Another file, a fact that the projection lost, a table that is gone: the logs and files tell.
        (settings.memory / "facts.db").unlink()
        for folder in (settings.memory / "lance").glob("memory-*.lance"):
            folder.rename(folder.with_name("gone"))
        found = {d.part: d for d in (await run(check=True)).differences}
        assert found["facts"].missing == 0 < found["facts"].added
        assert found["memory"].added > 0
        again = await run()
        assert again.switched
        assert again.embedded > 0
        assert (await run(check=True)).same

        def fail(*_):
            raise KaraisError("The disk is full.")

        monkeypatch.setattr(module, "switch", fail)
        files = sorted(path.name for path in settings.memory.rglob("*"))
        with pytest.raises(KaraisError, match="full"):
            await run(embed=True)
        assert sorted(path.name for path in settings.memory.rglob("*")) == files
        assert not settings.rebuilding.exists()
    assert places(settings.memory, CANARY) == []
    async with running.running(HashEmbedder(settings), Memory(settings)), running.connected() as bus:
        assert (await bus.call(ListFacts(history=True))).facts == before
        projects = (await bus.call(ListProjects())).projects
        assert ("boat", "boat") in [(p.project, p.folder) for p in projects]
        turns = (await bus.call(ReadConversation(conversation="c1"))).turns
        assert [turn.answer for turn in turns] == ["a1", "a1"]
        high = await until(recalled(bus, "How high is the mast?", project="boat"))
        assert high[0].path == "boat/mast.md"
        await say(bus, "I own a kayak.", conversation="c9", answer="a9")
        await until(recalled(bus, "kayak", kinds=("turn",)), seconds=SECONDS)
