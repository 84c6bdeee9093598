"""What happens to the storage while KARAIS runs: noticed at once, moved, ignored, given to projects."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.librarian import Librarian
from agents.librarian.projects import project_of
from bus.agent import answers
from bus.settings import Settings
from schemas.documents import FileAwaits, GetStorageStatus, ListFiles, Rescan
from schemas.embeddings import Embed, Vectors
from stores.passages import PassagesReader
from tests.hashing import HashEmbedder

PAGES = {
    "bees.md": "# Bees\n\nBees live in hives and make honey from nectar.\n",
    "boats/sails.md": "# Sails\n\nA sail catches wind and moves the boat forward.\n",
    "boats/knots.txt": "The bowline is a knot that makes a loop which does not slip.\n",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home, storage = tmp_path / "home", tmp_path / "storage"
    home.mkdir()
    for path, text in PAGES.items():
        (storage / path).parent.mkdir(exist_ok=True, parents=True)
        (storage / path).write_text(text)
    return Settings(home=home, storage=storage, port=0)


class CountingEmbedder(HashEmbedder):
    """Remembers the passages that it was asked for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.texts: list[str] = []

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        self.texts += ask.texts
        return await super().embed(ask)


class World:
    """A librarian and an embedder at work, and what a test asks of them."""

    def __init__(self, settings: Settings, bus, embedder: CountingEmbedder, librarian: Librarian) -> None:
        self.storage = settings.storage
        self.settings = settings
        self.bus = bus
        self.embedder = embedder
        self.librarian = librarian

    async def files(self) -> dict[str, tuple[str, int]]:
        listed = (await self.bus.call(ListFiles())).files
        return {file.path: (file.state, file.passages) for file in listed}

    async def until_listed(self, expected: dict[str, tuple[str, int]]) -> float:
        """Wait until exactly these files are listed so; returns the seconds that it took."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(60):
                while await self.files() != expected:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"{await self.files()} instead of {expected}")
        return time.monotonic() - begun

    async def rows(self) -> list[dict]:
        reader = PassagesReader(self.settings.memory / "lance", "documents", self.settings.embedding_model)
        await reader.refresh()
        return await reader.everything()


@asynccontextmanager
async def world(start_bus, settings):
    running = start_bus(HashEmbedder, Librarian)
    await running.provision()
    embedder, librarian = CountingEmbedder(settings), Librarian(settings)
    async with running.running(embedder, librarian), running.connected() as bus:
        here = World(settings, bus, embedder, librarian)
        await here.until_listed(dict.fromkeys(PAGES, ("indexed", 1)))
        await asyncio.sleep(0.3)  # the watch stands
        embedder.texts.clear()
        yield here


async def test_changes_are_noticed_within_about_a_second(start_bus, settings):
    """New, changed, removed files and folders, without anybody asking for a walk."""
    async with world(start_bus, settings) as here:
        (here.storage / "new.md").write_text("Something new about foxes.\n")
        expected = dict.fromkeys(PAGES, ("indexed", 1)) | {"new.md": ("indexed", 1)}
        seconds = [await here.until_listed(expected)]
        (here.storage / "deep" / "er").mkdir(parents=True)
        (here.storage / "deep" / "er" / "a.txt").write_text("Deep things.\n")
        seconds.append(await here.until_listed(expected | {"deep/er/a.txt": ("indexed", 1)}))
        (here.storage / "deep" / "er" / "b.txt").write_text("More deep things.\n")
        both = {"deep/er/a.txt": ("indexed", 1), "deep/er/b.txt": ("indexed", 1)}
        seconds.append(await here.until_listed(expected | both))
        shutil.rmtree(here.storage / "deep")
        (here.storage / "bees.md").unlink()
        del expected["bees.md"]
        seconds.append(await here.until_listed(expected))
        assert min(seconds) < 3, seconds  # an own share of a busy machine
        status = await here.bus.call(GetStorageStatus())
        assert (status.polling, status.problem) == ("", "")


async def test_renames_move_and_nothing_is_embedded_again(start_bus, settings):
    """Of files and whole folders; the passages are the same under their new paths."""
    async with world(start_bus, settings) as here:
        before = {row["path"]: row["vector"].tobytes() for row in await here.rows()}
        (here.storage / "bees.md").rename(here.storage / "insects.md")
        (here.storage / "boats").rename(here.storage / "ships")
        names = {
            "insects.md": "bees.md",
            "ships/sails.md": "boats/sails.md",
            "ships/knots.txt": "boats/knots.txt",
        }
        await here.until_listed(dict.fromkeys(names, ("indexed", 1)))
        assert here.embedder.texts == []
        rows = await here.rows()
        assert {row["path"]: row["vector"].tobytes() for row in rows} == {
            name: before[old] for name, old in names.items()
        }


async def test_a_rename_while_karais_is_off_moves_too(start_bus, settings):
    """The walk at start finds the same content under another name."""
    async with world(start_bus, settings) as here:
        await here.bus.call(Rescan())
    (settings.storage / "bees.md").rename(settings.storage / "boats" / "bees.md")
    running = start_bus(HashEmbedder, Librarian)
    await running.provision()
    embedder = CountingEmbedder(settings)
    librarian = Librarian(settings)
    async with running.running(embedder, librarian), running.connected() as bus:
        here = World(settings, bus, embedder, librarian)
        await here.until_listed(
            dict.fromkeys(("boats/bees.md", "boats/knots.txt", "boats/sails.md"), ("indexed", 1))
        )
        assert embedder.texts == []


async def test_nothing_is_embedded_twice(start_bus, settings):
    """Copies take the vectors that there are; of an edited file only what changed is embedded."""
    sections = [f"# Part {n}\n\n" + f"Sentence {n} about topic {n}. " * 25 + "\n\n" for n in range(8)]
    async with world(start_bus, settings) as here:
        long = here.storage / "long.md"
        long.write_text("".join(sections))
        state = dict.fromkeys(PAGES, ("indexed", 1)) | {"long.md": ("indexed", 8)}
        await here.until_listed(state)
        assert len(here.embedder.texts) == 8
        here.embedder.texts.clear()
        shutil.copy(long, here.storage / "copy.md")
        shutil.copy(long, here.storage / "boats" / "copy.md")
        state |= {"copy.md": ("indexed", 8), "boats/copy.md": ("indexed", 8)}
        await here.until_listed(state)
        assert here.embedder.texts == []
        sections[3] = sections[3].replace("topic 3", "another topic")
        long.write_text("".join(sections))
        async with asyncio.timeout(30):
            while not here.embedder.texts:
                await asyncio.sleep(0.05)
        await here.until_listed(state)
        assert len(here.embedder.texts) == 1
        assert "another topic" in here.embedder.texts[0]
        long.touch()
        await asyncio.sleep(1.5)
        await here.until_listed(state)
        assert len(here.embedder.texts) == 1


async def test_new_copies_at_the_same_time_are_embedded_once(start_bus, settings):
    """Twelve files of one content, found by one walk."""
    async with world(start_bus, settings) as here:
        for number in range(12):
            (here.storage / f"same-{number}.txt").write_text("Twelve times the same words.\n")
        state = dict.fromkeys(PAGES, ("indexed", 1))
        await here.until_listed(state | {f"same-{n}.txt": ("indexed", 1) for n in range(12)})
        assert here.embedder.texts == ["Twelve times the same words."]


async def test_karaisignore_is_heeded_at_every_level_and_when_it_changes(start_bus, settings):
    """As git does it: patterns, negation, the deeper file first; defaults can be taken in again."""
    async with world(start_bus, settings) as here:
        (here.storage / "boats" / "yarn.lock").write_text("locked words")
        (here.storage / ".karaisignore").write_text("*.txt\n/bees.md\n!.notes/\n")
        (here.storage / ".notes").mkdir()
        (here.storage / ".notes" / "idea.md").write_text("An idea about kites.\n")
        await here.until_listed({"boats/sails.md": ("indexed", 1), ".notes/idea.md": ("indexed", 1)})
        (here.storage / "boats" / ".karaisignore").write_text("!knots.txt\n!yarn.lock\nsails.*\n")
        await here.until_listed(
            dict.fromkeys(("boats/knots.txt", "boats/yarn.lock", ".notes/idea.md"), ("indexed", 1))
        )
        (here.storage / ".karaisignore").unlink()
        (here.storage / "boats" / ".karaisignore").unlink()
        await here.until_listed(dict.fromkeys(PAGES, ("indexed", 1)))


async def test_images_and_recordings_wait_and_are_told_of(start_bus, settings):
    """Each is published once and stays listed; it counts neither as waiting here nor as skipped."""
    async with world(start_bus, settings) as here, here.bus.subscribe(FileAwaits) as events:
        (here.storage / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
        with (here.storage / "film.mp4").open("wb") as film:
            film.write(b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00")
            film.truncate(3 * 10**9)
        heard = {}
        async with asyncio.timeout(30):
            async for event in events:
                heard[event.message.path] = event.message
                if len(heard) == 2:
                    break
        assert {path: message.kind for path, message in heard.items()} == {
            "photo.jpg": "image",
            "film.mp4": "video",
        }
        (listed,) = (await here.bus.call(ListFiles(state="waiting", awaits="video"))).files
        assert (listed.path, listed.file) == ("film.mp4", heard["film.mp4"].file)
        status = await here.bus.call(GetStorageStatus())
        assert (status.waiting, status.awaiting, status.skipped) == (0, 2, 0)


async def test_files_go_with_their_projects_folder(start_bus, settings):
    """A file is of the project with the longest folder that holds it; nothing is embedded again."""
    async with world(start_bus, settings) as here:
        assert await here.librarian._catalogue.set_folders({"sea": "boats", "none": ""}) == 2
        assert {row["path"]: row["project"] for row in await here.rows()} == {
            "bees.md": "home",
            "boats/sails.md": "sea",
            "boats/knots.txt": "sea",
        }
        (here.storage / "boats" / "oars.md").write_text("Oars move a boat by hand.\n")
        (here.storage / "bees.md").rename(here.storage / "boats" / "bees.md")
        names = ("boats/bees.md", "boats/knots.txt", "boats/oars.md", "boats/sails.md")
        await here.until_listed(dict.fromkeys(names, ("indexed", 1)))
        assert {row["project"] for row in await here.rows()} == {"sea"}
        assert len(here.embedder.texts) == 1
        assert await here.librarian._catalogue.set_folders({}) == 4
        assert {row["project"] for row in await here.rows()} == {"home"}
        assert len(here.embedder.texts) == 1


async def test_without_watches_the_storage_is_looked_through_and_the_reason_is_shown(
    start_bus, settings, monkeypatch
):
    """As on a network's file system, or with more folders than may be watched."""
    monkeypatch.setattr("agents.librarian.watch.remoteness", lambda root: f"{root} is a nfs4 file system.")
    monkeypatch.setattr("agents.librarian.keeping.POLL_SECONDS", 0.5)
    monkeypatch.setattr("agents.librarian.keeping.WALK_SHARE", 0.5)
    async with world(start_bus, settings) as here:
        status = await here.bus.call(GetStorageStatus())
        assert "nfs4" in status.polling
        assert status.problem == ""
        (here.storage / "new.md").write_text("Something new about foxes.\n")
        await here.until_listed(dict.fromkeys((*PAGES, "new.md"), ("indexed", 1)))


async def test_an_idle_librarian_costs_nothing(start_bus, settings):
    """No file of its own changes and hardly any processor time goes while nothing happens."""
    async with world(start_bus, settings) as here:
        await asyncio.sleep(2)
        book = settings.memory / "files.db-wal"
        before = book.stat().st_mtime_ns, time.thread_time()
        await asyncio.sleep(3)
        assert book.stat().st_mtime_ns == before[0]
        (here.storage / ".hidden").write_text("not for anybody")
        await asyncio.sleep(1.5)
        assert book.stat().st_mtime_ns == before[0]


@pytest.mark.parametrize(
    ("path", "project"),
    [
        ("a.md", "home"),
        ("house/a.md", "house"),
        ("house/boat/a.md", "boat"),
        ("house/boats/a.md", "house"),
        ("houses/a.md", "home"),
        ("house", "house"),
        ("House/a.md", "home"),
    ],
)
def test_the_longest_folder_that_holds_a_file_has_it(path, project):
    """By whole folder names."""
    folders = {"house": "house/", "boat": "/house/boat", "empty": "", "zzz": "house"}
    assert project_of(path, folders) == project
