"""Memory and its writer get kill -9 while they learn and forget; a damaged table is mended from the logs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import lancedb

from agents.memory import Memory
from bus.settings import Settings, environment
from schemas.errors import KaraisError
from schemas.forgetting import Forget
from schemas.memory import ListFacts
from stores import lance_files
from stores.passages import Book
from tests.hashing import HashEmbedder
from tests.integration.test_forgetting import CANARY, say, until
from tests.remains import places

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("KARAIS_TEST_KILLS", "2"))
TURNS = 6


class Process:
    """Memory in a process of its own, started again by whoever needs it."""

    def __init__(self, settings: Settings) -> None:
        self._environ = {**os.environ, **environment(settings), "PYTHONPATH": str(ROOT)}
        self._log = settings.home / "memory.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "ops.cli", "run", "memory"]
            self._process = subprocess.Popen(command, env=self._environ, cwd=ROOT, stdout=log, stderr=log)

    def kill(self, *, writer: bool = False) -> None:
        """Kill it, or its child alone, without warning."""
        assert self._process
        if writer:
            children = (
                Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            )
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        else:
            self._process.kill()
            self._process.wait()


async def rows(settings: Settings) -> Counter[str]:
    """Return how often each text is in the table that readers use."""
    folder = settings.memory / "lance"
    book = Book(folder, "memory")
    if book.current is None:
        return Counter()
    try:
        table = await (await lancedb.connect_async(folder)).open_table(book.current.table)
        found = (await table.query().select(["words"]).to_arrow()).column("words").to_pylist()
    except (RuntimeError, ValueError, OSError):
        return Counter()  # it is being replaced
    return Counter(found)


async def test_kills_while_learning_and_forgetting_lose_nothing_and_keep_nothing(start_bus, settings) -> None:
    """Every turn ends up in the table once; what was forgotten in no file; damage is mended by itself."""
    chance = random.Random(3)
    running = start_bus(HashEmbedder, Memory)
    await running.provision()
    memory = Process(settings)
    wanted: set[str] = set()
    async with running.running(HashEmbedder(settings)), running.connected() as bus:
        for number in range(ROUNDS):
            memory.start()
            for turn in range(TURNS):
                name = f"r{number}t{turn}"
                await say(
                    bus, f"About {name}.", conversation=f"k{number}", answer=name, reply=f"Said {name}."
                )
                wanted |= {f"About {name}.", f"Said {name}."}
            await say(bus, f"I live in {CANARY}.", conversation=f"f{number}", answer=f"f{number}")
            await asyncio.sleep(chance.uniform(3, 8))
            asking = asyncio.ensure_future(
                bus.call(Forget(conversation=f"f{number}"), timeout=60, patience=20)
            )
            await asyncio.sleep(chance.uniform(0, 1))
            memory.kill(writer=number % 2 == 1)
            asking.cancel()
            with contextlib.suppress(KaraisError, asyncio.CancelledError):
                await asking
            memory.kill()
        memory.start()
        for number in range(ROUNDS):
            with contextlib.suppress(KaraisError):  # forgotten already
                await bus.call(Forget(conversation=f"f{number}"), timeout=60, patience=20)

        async def complete():
            found = await rows(settings)
            return found if wanted <= found.keys() else None

        found = await until(complete, seconds=90)
        assert set(found) == wanted
        assert set(found.values()) == {1}
        assert (await bus.call(ListFacts(history=True))).facts == ()
        assert places(settings.home, CANARY) == []

        # The newest version was not written whole, as after a power cut.
        memory.kill()
        book = Book(settings.memory / "lance", "memory")
        assert book.current
        newest = lance_files._newest(book.files(book.current))
        assert newest
        newest.write_bytes(b"")
        memory.start()
        found = await until(complete, seconds=90)
        assert set(found.values()) == {1}
        assert "damaged" in (settings.home / "memory.log").read_text()

        # The whole table is gone.
        memory.kill()
        book = Book(settings.memory / "lance", "memory")
        assert book.current
        await asyncio.to_thread(shutil.rmtree, book.files(book.current))
        memory.start()
        found = await until(complete, seconds=90)
        assert set(found.values()) == {1}
    memory.kill()
