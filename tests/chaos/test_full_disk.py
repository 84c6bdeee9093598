"""What becomes of memory and knowledge while the disk of the data folder is full, and afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bench.household import household
from ops.client import Client
from schemas.chat import Ask, Done, Failed
from schemas.errors import KaraisError

BEES = "# Bees\n\nBees live in hives and make honey from nectar.\n"
BOATS = "# Boats\n\nA sail catches wind and moves the boat forward.\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root and a kernel that allows it")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that a disk has."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


async def answer(client: Client, text: str) -> Done | Failed:
    """Ask, in a conversation of its own, and return how it ended."""
    ask = Ask(text=text, conversation=secrets.token_hex(4), answer=secrets.token_hex(8))
    async for event in client.ask(ask):
        if isinstance(event, Done | Failed):
            return event
    raise AssertionError


async def until(find, *, seconds: float = 120.0):
    """Return what ``find`` finds, once it finds something."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(KaraisError):
                if found := await find():
                    return found
            await asyncio.sleep(0.5)


@pytest.mark.skipif(
    "KARAIS_TEST_MODELS" not in os.environ, reason="needs the default models: `make test` fetches them"
)
async def test_a_full_disk_refuses_in_words_reads_go_on_and_room_heals(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was accepted is lost, and nobody has to start anything again."""
    storage, script = tmp_path / "storage", tmp_path / "script.json"
    storage.mkdir()
    (storage / "bees.md").write_text(BEES)
    script.write_text("{}")
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    models = Path(os.environ["KARAIS_TEST_MODELS"])
    with household(models, storage=str(storage), engine="scripted", script=str(script)) as running:
        async with Client(running.url, running.key) as client:

            async def finds(query: str, path: str) -> bool:
                found = (await client.search(query=query)).passages
                return any(passage.path == path for passage in found)

            async def knows(text: str) -> bool:
                return any(text in fact.text for fact in (await client.facts(project="home")).facts)

            async def answers() -> bool:
                return isinstance(await answer(client, "Are you there?"), Done)

            await until(lambda: finds("Where do bees live?", "bees.md"))
            await until(answers)
            assert isinstance(await answer(client, "My sister Anna lives in Bremen."), Done)
            await until(lambda: knows("Bremen"))

            filler = fill(small_disk)
            (storage / "boats.md").write_text(BOATS)
            accepted = []
            refusals = []
            for town in ("Kiel", "Ulm"):
                try:
                    ended = await answer(client, f"My aunt Vera{town} lives in {town}.")
                except KaraisError as error:
                    refusals.append(str(error))
                else:
                    if isinstance(ended, Done):
                        accepted.append(town)
                    else:
                        refusals.append(ended.message)
            with contextlib.suppress(KaraisError):
                await client.add_fact({"project": "home", "text": "The boiler is blue."})
                accepted.append("boiler is blue")
            assert len(accepted) < 3, "the disk was not full"
            assert all(len(said) > 20 for said in refusals)
            assert await finds("Where do bees live?", "bees.md")
            assert await knows("Bremen")

            filler.unlink()
            await until(answers)
            await until(lambda: finds("What moves a boat?", "boats.md"))
            assert isinstance(await answer(client, "My brother Emil lives in Jena."), Done)
            for text in (*accepted, "Jena"):
                await until(lambda text=text: knows(text))
