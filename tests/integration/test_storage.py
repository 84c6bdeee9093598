"""Embedder, librarian and memory together on a real bus, with the real embedding model."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agents.embedder import Embedder
from agents.librarian import Librarian
from agents.memory import Memory
from agents.memory.searching import LOADING
from bus.agent import answers
from bus.settings import Settings
from schemas.chat import Deleted, ListConversations, OpenAnswers, ReadConversation, Titled, Turn
from schemas.documents import (
    GetStorageStatus,
    IndexFile,
    ListFiles,
    OpenPassage,
    Recall,
    Rescan,
    StorageChanged,
    StorageStatus,
)
from schemas.embeddings import Embed, Vectors
from schemas.errors import Refused
from schemas.failure import Code
from schemas.projects import ChangeProject, ListProjects, Projects
from stores.files import file_identity
from stores.passages import Book, state

PAGES = {
    "bees.md": (
        "# Bees\n\nBees live in hives and make honey from nectar.\n\n## Winter\n\nThey eat stored honey.\n"
    ),
    "boats/sails.md": "# Sails\n\nA sail catches wind and moves the boat forward.\n",
    "boats/knots.txt": "The bowline is a knot that makes a loop which does not slip.\n",
    "\u6d88\u606f.md": (
        "# \u6d88\u606f\u961f\u5217\n\n"
        "\u6d88\u606f\u961f\u5217\u4fdd\u5b58\u5c1a\u672a\u5904\u7406\u7684\u6d88\u606f\u3002\n"
    ),
}


@pytest.fixture
def settings(tmp_path: Path, models: Path) -> Settings:
    home, storage = tmp_path / "home", tmp_path / "storage"
    home.mkdir()
    (home / "models").symlink_to(models)
    storage.mkdir()
    for path, text in PAGES.items():
        (storage / path).parent.mkdir(exist_ok=True)
        (storage / path).write_text(text)
    return Settings(home=home, storage=storage, port=0)


@asynccontextmanager
async def storage_agents(start_bus, settings, *kinds):
    """Run agents on a real bus and yield it with a connection."""
    running = start_bus(Embedder, Librarian, Memory)
    await running.provision()
    agents = [kind(settings) for kind in kinds or (Embedder, Librarian, Memory)]
    async with running.running(*agents), running.connected() as bus:
        yield running, bus


async def settled(bus, *, files: int | None = None) -> StorageStatus:
    """Walk the storage and wait until every file is indexed or skipped."""
    await bus.call(Rescan())
    async with asyncio.timeout(60):
        while True:
            status = await bus.call(GetStorageStatus())
            if not status.scanning and not status.waiting and files in (None, status.files):
                await asyncio.sleep(0.7)  # readers have heard of it
                return status
            await asyncio.sleep(0.1)


async def paths(bus, query: str) -> list[str]:
    recalled = await bus.call(Recall(query=query), timeout=20)
    assert not recalled.degraded
    return [passage.path for passage in recalled.passages]


async def test_files_are_indexed_found_cited_changed_and_forgotten(start_bus, settings):
    """The whole life of a storage."""
    async with storage_agents(start_bus, settings) as (_, bus):
        status = await settled(bus)
        assert (status.files, status.indexed, status.skipped) == (4, 4, 0)
        assert status.passages >= 4
        assert (await paths(bus, "Where do bees live?"))[0] == "bees.md"
        assert (await paths(bus, "which knot makes a loop?"))[0] == "boats/knots.txt"
        assert (await paths(bus, "\u4ec0\u4e48\u662f\u6d88\u606f\u961f\u5217"))[0] == "\u6d88\u606f.md"
        assert await paths(bus, "Who won the football world cup in 2014?") == []

        recalled = await bus.call(Recall(query="How do bees get through the winter?"))
        best = recalled.passages[0]
        lines = PAGES["bees.md"].splitlines(keepends=True)
        assert best.text in "".join(lines[best.first_line - 1 : best.last_line])
        opened = await bus.call(OpenPassage(id=best.id))
        assert opened.passage.text == best.text

        (settings.storage / "bees.md").write_text("# Ants\n\nAnts live in nests below the ground.\n")
        (settings.storage / "boats" / "knots.txt").unlink()
        (settings.storage / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
        status = await settled(bus, files=4)
        assert (status.indexed, status.skipped, status.awaiting) == (3, 0, 1)
        assert (await paths(bus, "Where do ants live?"))[0] == "bees.md"
        assert "boats/knots.txt" not in await paths(bus, "which knot makes a loop?")
        with pytest.raises(Refused) as raised:
            await bus.call(OpenPassage(id=f"{file_identity('boats/knots.txt')}-0"))
        assert raised.value.code is Code.NOT_FOUND
        waiting = (await bus.call(ListFiles(state="waiting", awaits="image"))).files
        assert [(f.path, f.reason) for f in waiting] == [
            ("photo.jpg", "It is an image (JPEG): it waits for the vision agent.")
        ]


async def test_progress_is_published_while_it_runs_and_not_when_idle(start_bus, settings):
    """Counts grow to the end; an idle librarian says nothing."""
    running = start_bus(Embedder, Librarian, Memory)
    await running.provision()
    async with running.connected() as bus, bus.subscribe(StorageStatus, StorageChanged) as events:
        heard = []

        async def listen():
            async for event in events:
                heard.append(event.message)  # noqa: PERF401  # it never ends

        listening = asyncio.create_task(listen())
        async with running.running(Embedder(settings), Librarian(settings)):
            await settled(bus)
            await asyncio.sleep(1)
            statuses = [event for event in heard if isinstance(event, StorageStatus)]
            assert statuses[-1].indexed == 4
            assert any(isinstance(event, StorageChanged) for event in heard)
            count = len(heard)
            await asyncio.sleep(2)
            assert len(heard) == count
        listening.cancel()


async def test_a_projects_folder_takes_its_files_there_and_back(start_bus, settings):
    """What lies in a project's folder is found in that project alone, as soon as the owner says so."""
    async with storage_agents(start_bus, settings) as (_, bus):
        await settled(bus)
        assert await paths(bus, "which knot makes a loop?") == ["boats/knots.txt"]

        async def found(project: str) -> list[str]:
            recalled = await bus.call(Recall(query="which knot makes a loop?", project=project))
            return [passage.path for passage in recalled.passages]

        async def until(home: list[str], boat: list[str]) -> None:
            async with asyncio.timeout(20):
                while (await found("home"), await found("boat")) != (home, boat):
                    await asyncio.sleep(0.2)

        await bus.call(ChangeProject(project="boat", create=True, folder="boats"))
        await until([], ["boats/knots.txt"])
        await bus.call(ChangeProject(project="boat", folder=""))
        await until(["boats/knots.txt"], [])


async def test_a_project_that_is_made_while_the_projects_are_asked_for_is_not_lost(start_bus, settings):
    """The librarian hears of it before the reply arrives that knows nothing of it yet."""
    replied, made = asyncio.Event(), asyncio.Event()

    class LateMemory(Memory):
        @answers(ListProjects)
        async def list_projects(self, ask: ListProjects) -> Projects:
            known = await super().list_projects(ask)
            replied.set()
            await made.wait()
            return known

    async with storage_agents(start_bus, settings, Librarian, Embedder, LateMemory) as (_, bus):
        await replied.wait()
        await bus.call(ChangeProject(project="boat", create=True, folder="boats"))
        await asyncio.sleep(0.2)  # the change is heard
        made.set()
        recall = Recall(query="which knot makes a loop?", project="boat")
        async with asyncio.timeout(20):
            while not (await bus.call(recall)).passages:
                await asyncio.sleep(0.1)


async def test_files_wait_for_an_embedder_and_are_then_indexed(start_bus, settings, monkeypatch):
    """Jobs fail, are redelivered, and nothing is lost; questions meanwhile are answered by words."""
    monkeypatch.setattr("agents.librarian.embedding.PATIENCE_SECONDS", 0.5)
    async with storage_agents(start_bus, settings, Librarian, Memory) as (running, bus):
        await bus.call(Rescan())
        async with asyncio.timeout(20):
            while not (status := await bus.call(GetStorageStatus())).problem:
                await asyncio.sleep(0.1)
        assert status.waiting == 4
        assert "embedder" in status.problem
        recalled = await bus.call(Recall(query="Where do bees live?"))
        assert recalled.passages == ()
        assert recalled.degraded.endswith(".")
        async with running.running(Embedder(settings)):
            status = await settled(bus)
            assert (status.indexed, status.problem) == (4, "")
        recalled = await bus.call(Recall(query="Where do bees live and make honey?"))
        assert recalled.passages[0].path == "bees.md"
        assert "words only" in recalled.degraded


class SlowEmbedder(Embedder):
    """The real embedder, which takes its time for what is asked."""

    seconds = 2.0

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        if ask.purpose == "query":
            await asyncio.sleep(self.seconds)
        return await super().embed(ask)


async def test_a_slow_embedder_is_waited_for_and_one_that_hangs_is_not(start_bus, settings, monkeypatch):
    """A busy machine costs no question its meaning; after one that waited in vain the others wait little."""
    running = start_bus(SlowEmbedder, Librarian, Memory)
    await running.provision()
    embedder = SlowEmbedder(settings)
    async with running.running(embedder, Librarian(settings), Memory(settings)), running.connected() as bus:
        await settled(bus)
        assert (await paths(bus, "Where do bees live?"))[0] == "bees.md"
        monkeypatch.setattr("agents.memory.searching.EMBED_SECONDS", 1.0)
        embedder.seconds = 60.0
        waited = []
        for _ in range(2):
            begun = time.monotonic()
            recalled = await bus.call(Recall(query="Where do bees live and make honey?"), timeout=20)
            waited.append(time.monotonic() - begun)
            assert "words only" in recalled.degraded
        assert waited[0] > 0.9
        assert waited[1] < waited[0]
        embedder.seconds = 0.0
        monkeypatch.setattr("agents.memory.searching.HUNG_SECONDS", 5.0)  # for a busy machine
        assert (await paths(bus, "Where do bees live?"))[0] == "bees.md"


async def test_a_second_start_reads_nothing_again(start_bus, settings):
    """An unchanged storage is only walked: no job, no table opened."""
    running = start_bus(Embedder, Librarian, Memory)
    await running.provision()
    async with running.connected() as bus:
        async with running.running(Embedder(settings), Librarian(settings)):
            before = await settled(bus)
        table = state(settings.memory / "lance", "documents", settings.embedding_model)
        librarian = Librarian(settings)
        async with running.running(librarian):
            after = await settled(bus)
            assert librarian._writer._child.pid is None
        assert msgspec.structs.replace(after, files_per_second=0.0, passages_per_second=0.0) == before
        assert state(settings.memory / "lance", "documents", settings.embedding_model) == table


async def test_a_damaged_table_is_mended(start_bus, settings):
    """The files whose passages were lost with the newest version are indexed again."""
    running = start_bus(Embedder, Librarian, Memory)
    await running.provision()
    async with running.connected() as bus:
        async with running.running(Embedder(settings), Librarian(settings)):
            await settled(bus)
            (settings.storage / "late.md").write_text("Late swallows fly south in October.\n")
            await settled(bus, files=5)
        book = Book(settings.memory / "lance", "documents")
        for manifest in sorted((book.files(book.current) / "_versions").glob("*.manifest"))[:2]:
            manifest.write_bytes(b"")
        async with running.running(Embedder(settings), Memory(settings)):
            # Memory looks before the librarian has mended it, and nobody tells it afterwards.
            while (recalled := await bus.call(Recall(query="Where do bees live?"))).degraded == LOADING:
                await asyncio.sleep(0.1)
            assert "cannot be read" in recalled.degraded
            async with running.running(Librarian(settings)):
                await settled(bus)
                assert (await paths(bus, "When do swallows fly south?"))[0] == "late.md"
                assert (await paths(bus, "Where do bees live?"))[0] == "bees.md"


async def test_a_storage_that_vanished_is_not_forgotten(start_bus, settings):
    """A folder that is not there, such as a network disk, is a problem and no deletion."""
    async with storage_agents(start_bus, settings) as (_, bus):
        await settled(bus)
        settings.storage.rename(settings.storage.with_name("elsewhere"))
        status = await bus.call(Rescan())
        assert str(settings.storage) in status.problem
        assert status.indexed == 4
        assert (await paths(bus, "Where do bees live?"))[0] == "bees.md"
        settings.storage.with_name("elsewhere").rename(settings.storage)
        assert (await bus.call(Rescan())).problem == ""


async def test_a_job_from_anybody_cannot_read_outside_the_storage(start_bus, settings):
    """Neither by a path that leads out nor by one that the walk did not find."""
    (settings.storage.parent / "secret.md").write_text("The secret word is xylophone.\n")
    async with storage_agents(start_bus, settings) as (_, bus):
        await settled(bus)
        for path in ("../secret.md", str(settings.storage.parent / "secret.md")):
            await bus.submit(IndexFile(file=file_identity(path), path=path))
        await bus.submit(IndexFile(file="0" * 32, path="bees.md"))
        await asyncio.sleep(1)
        assert await paths(bus, "xylophone secret word") == []


async def test_conversations_come_from_the_log_and_can_be_built_again(start_bus, settings):
    """Also after the projection was thrown away."""
    running = start_bus(Embedder, Librarian, Memory)
    await running.provision()
    now = time.time()
    async with running.connected() as bus:
        for round_ in range(2):
            async with running.running(Memory(settings)):
                if round_ == 0:
                    turn = {"conversation": "c1", "answer": "a1", "at": now}
                    await bus.record(Turn(**turn, role="user", text="What is honey?"), id="1")
                    await bus.record(Turn(**turn, role="assistant", text="Bees make it."), id="2")
                    await bus.record(Titled(conversation="c1", title="Honey", at=now, by_user=True), id="3")
                    await bus.record(
                        Turn(conversation="c2", answer="a2", at=now, role="user", text="Open?"), id="4"
                    )
                    await bus.record(
                        Turn(conversation="c3", answer="a3", at=now, role="user", text="Gone"), id="5"
                    )
                    await bus.record(Deleted(conversation="c3", at=now), id="6")
                async with asyncio.timeout(10):
                    while len((await bus.call(ListConversations())).conversations) != 2 or (
                        (await bus.call(ReadConversation(conversation="c3"))).turns
                    ):
                        await asyncio.sleep(0.05)
                found = await bus.call(ListConversations(matching="hon"))
                assert [c.title for c in found.conversations] == ["Honey"]
                history = await bus.call(ReadConversation(conversation="c1"))
                assert [turn.text for turn in history.turns] == ["What is honey?", "Bees make it."]
                unanswered = (await bus.call(OpenAnswers())).turns
                assert [turn.answer for turn in unanswered] == ["a2"]
            (settings.memory / "conversations.db").write_bytes(b"no database")
