"""`karais bench ingest`: from files on disk to passages that can be found, and what chat feels of it.

KARAIS is started as always; files are copied into its storage, and the time
runs until it reports all of them as indexed. In turns, in the same run, the
comparators embed and store the same chunks, which they are given ready cut and
in memory; their models are loaded and warm, and so are KARAIS's processes.
Everybody has the same priority, that at which KARAIS indexes, so that what else
the machine does hits all alike. The ratio to the best comparator (by its median)
is taken in each round; its median counts. Comparators live in an environment of
their own, which is made of ``ops/bench/peers/ingest.txt`` at the first use.

The time to first token is measured with retrieval, in turns while idle and while
further files are being indexed. Whoever asks pauses between questions, so that
each comes while indexing is at full speed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from agents.embedder.bulk import NICE
from bus import settings as settings_module
from ops.bench.chat import Karais, _questions
from ops.bench.environments import made
from ops.bench.figures import Report, median, percentile
from ops.bench.household import Household, cpu_seconds, household, memory_mb
from schemas.errors import KaraisError, TimedOut
from stores.weights import registry

PEERS = ("torch", "onnxruntime", "openvino", "llama-index", "txtai")
LOCK = Path(__file__).parent / "peers" / "ingest.txt"
SCRIPT = Path(__file__).parent / "peers" / "ingest_texts.py"
STATUS_SECONDS = 0.05
LONGEST_STATUS_SECONDS = 1.0
"""Between two looks while much is left: each look costs some milliseconds of those who index."""
PAUSE_SECONDS = 0.4
"""Between two questions, at least; at most twice as long."""
PARTS = 3
"""Turns of idle and of busy questions."""
LONGEST_SECONDS = 900.0


@dataclass(frozen=True)
class Corpus:
    """Files and what they are cut into."""

    folder: Path
    files: list[str]
    """Relative to the folder."""
    texts: list[str]
    """What is embedded of them, each once."""


class Rate(NamedTuple):
    """How fast chunks were embedded and stored."""

    by_clock: float
    """Chunks a second."""
    by_processor: float
    """Chunks a second of processor time, all processes together."""


def corpus(folder: Path, most: int) -> Corpus:
    """Return the first files of a folder that together have about ``most`` chunks."""
    from agents.common.parsing import ParseFile, parse
    from stores.passages import embedded_text

    files: list[str] = []
    texts: dict[str, None] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith((".", "__")) for part in relative.parts):
            continue
        try:
            pieces = parse(ParseFile(folder=str(folder), path=str(relative))).pieces
        except KaraisError:
            continue
        fresh = [embedded_text(piece) for piece in pieces]
        if fresh and not any(text in texts for text in fresh):
            files.append(str(relative))
            texts |= dict.fromkeys(fresh)
        if len(texts) >= most:
            break
    return Corpus(folder, files, list(texts))


class Peer:
    """A comparator's process."""

    def __init__(self, python: Path, name: str, weights: Path, exports: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, SCRIPT, name, weights, exports],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
        self._answer()

    def rate(self, texts: list[str]) -> Rate:
        """Let it embed and store texts."""
        assert self._process.stdin
        used = cpu_seconds([self._process.pid])
        self._process.stdin.write(json.dumps(texts) + "\n")
        self._process.stdin.flush()
        seconds = float(self._answer()["seconds"])
        return Rate(len(texts) / seconds, len(texts) / (cpu_seconds([self._process.pid]) - used))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            said = (self._process.communicate()[1] or "").strip().splitlines()
            raise KaraisError(said[-1] if said else "it ended without a word")
        return json.loads(line)


@contextlib.contextmanager
def peers(report: Report, names: Sequence[str], environment: Path, weights: Path) -> Iterator[list[Peer]]:
    """Run the comparators that can be run; the others are named in the report."""
    running: list[Peer] = []
    exports = Path(tempfile.mkdtemp(prefix="karais-bench-"))
    try:
        python = made(environment, LOCK) if names else environment
        for name in names:
            try:
                running.append(Peer(python, name, weights, exports))
            except (OSError, KaraisError) as error:
                report.missing.append(f"{name}: {str(error)[:200]}")
        yield running
    except subprocess.CalledProcessError as error:
        report.missing.extend(f"{name}: its environment could not be made ({error})" for name in names)
        yield []
    finally:
        for peer in running:
            peer.close()
        shutil.rmtree(exports, ignore_errors=True)


class Indexing:
    """A KARAIS whose storage is filled."""

    def __init__(self, running: Household, session: aiohttp.ClientSession, storage: Path) -> None:
        self._running = running
        self._session = session
        self._storage = storage
        self._headers = {"Authorization": f"Bearer {running.key}"}
        self._round = 0

    async def status(self) -> dict[str, Any]:
        """Return the storage's status."""
        url = f"{self._running.url}/api/v1/storage"
        async with self._session.get(url, headers=self._headers) as response:
            return dict(await response.json()) if response.ok else {}

    async def rescan(self) -> None:
        """Have the storage walked."""
        url = f"{self._running.url}/api/v1/storage/rescan"
        async with self._session.post(url, headers=self._headers) as response:
            await response.read()

    async def settled(self, files: int) -> dict[str, Any]:
        """Wait until so many files are there and all are indexed."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            status = await self.status()
            if status.get("files", 0) >= files and not status["waiting"] and not status["scanning"]:
                return status
            left = status.get("seconds_left") or 0.0
            await asyncio.sleep(max(STATUS_SECONDS, min(left / 4, LONGEST_STATUS_SECONDS)))
        raise TimedOut(f"The storage was not indexed within {LONGEST_SECONDS:g} s.")

    async def rate(self, corpus: Corpus) -> Rate:
        """Index a corpus from the first copied file to the last written row, and forget it."""
        self._round += 1
        said = "so that all that takes part is loaded. " * 20
        warm = "".join(f"# Part {part}\n\nRound {self._round} begins, {said}\n\n" for part in range(12))
        (self._storage / "warm.md").write_text(warm, "utf-8")
        await self.rescan()
        before = await self.settled(1)
        used, begun = self._cpu_seconds(), time.perf_counter()
        for file in corpus.files:
            target = self._storage / "corpus" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(corpus.folder / file, target)
        await self.rescan()
        after = await self.settled(1 + len(corpus.files))
        seconds = time.perf_counter() - begun
        chunks = after["passages"] - before["passages"]
        # A helper that ended for want of work was idle all the time; one that began counts whole.
        spent = sum(now - used.get(pid, 0.0) for pid, now in self._cpu_seconds().items())
        rate = Rate(chunks / seconds, chunks / spent)
        await self._clear("corpus")
        return rate

    async def keep_busy(self, corpus: Corpus, copies: int) -> None:
        """Give it further files, other than any before; returns when it is indexing them."""
        folder = self._storage / "more"
        folder.mkdir()
        self._round += 1
        for copy in range(copies):
            for number, text in enumerate(corpus.texts):
                said = f"Copy {copy} of {number}, {self._round}. {text}"
                (folder / f"{self._round}-{copy}-{number}.txt").write_text(said, "utf-8")
            await asyncio.sleep(0)
        await self.rescan()
        some = (await self.status()).get("passages", 0) + 16
        while (await self.status()).get("passages", 0) < some:
            await asyncio.sleep(STATUS_SECONDS)

    async def stop(self) -> None:
        """Take those files away again."""
        await self._clear("more")

    def _cpu_seconds(self) -> dict[int, float]:
        return {pid: cpu_seconds([pid]) for pid in self._running.pids()}

    async def _clear(self, folder: str) -> None:
        shutil.rmtree(self._storage / folder)
        await self.rescan()
        while (await self.status()).get("files") != 1:
            await asyncio.sleep(STATUS_SECONDS)
        await self.settled(1)


async def _first_tokens(
    report: Report, indexing: Indexing, karais: Karais, corpus: Corpus, asked: int, rate: float
) -> None:
    """Compare the time to first token while idle with that while files are indexed."""
    numbers = iter(range(1000, 1_000_000))
    each = -(-asked // PARTS)

    async def firsts() -> list[float]:
        taken = []
        for number in range(each + 1):
            sample = (await karais.round(_questions(1, next(numbers)), 8, retrieve=True)).samples[0]
            if number:
                taken.append(sample.first * 1000)
            await asyncio.sleep(PAUSE_SECONDS * (1 + number * 0.618 % 1))
        return taken

    await firsts()
    idle: list[float] = []
    busy: list[float] = []
    chunks, seconds, ended = 0, 0.0, False
    for _ in range(PARTS):
        idle += await firsts()
        await indexing.keep_busy(corpus, 1 + int(2 * each * rate / len(corpus.texts)))
        before, begun = await indexing.status(), time.perf_counter()
        busy += await firsts()
        after = await indexing.status()
        chunks += after["passages"] - before["passages"]
        seconds += time.perf_counter() - begun
        ended = ended or not after["waiting"]
        await indexing.stop()
    report.samples |= {"first_token_idle_ms": idle, "first_token_indexing_ms": busy}
    report.add("first token, idle, p95", percentile(idle, 0.95), "ms")
    report.add("first token, indexing, p95", percentile(busy, 0.95), "ms")
    ratio = None if ended else percentile(busy, 0.95) / percentile(idle, 0.95)
    note = "indexing ended before the questions did" if ended else ""
    report.add("  indexing to idle, p95", ratio, "×", at_most=1.3, note=note)
    report.add("  indexing to idle, p50", median(busy) / median(idle), "×")
    report.add("chunks/s while questions are asked", chunks / seconds, "chunks/s")


async def _run(options: argparse.Namespace) -> Report:
    report = Report("ingest", ("torch", "lancedb", "tokenizers", "xllamacpp"))
    given = settings_module.load({"model": options.model, "home": options.home})
    weights = registry.find(given.models, given.embedding_model).folder
    texts_of = await asyncio.to_thread(corpus, options.storage, options.chunks)
    if not texts_of.texts:
        raise KaraisError(f"{options.storage} holds no file that can be indexed.")
    report.add("files", len(texts_of.files), "")
    report.add("chunks", len(texts_of.texts), "")
    names = [name for name in PEERS if name in options.peers]
    report.missing += [f"{name}: left out by --peers" for name in PEERS if name not in names]
    rates: dict[str, list[Rate]] = {}
    chosen = {"model": given.model}
    with (
        peers(report, names, options.environment, weights) as comparators,
        tempfile.TemporaryDirectory(prefix="karais-bench-") as storage,
        household(given.models, storage=storage, **chosen) as running,
    ):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            karais = Karais(session, running.url, running.key)
            await karais.round(["Hello"], 1)
            indexing = Indexing(running, session, Path(storage))
            for number in range(options.rounds):
                turns: list[Peer | Indexing] = [*comparators, indexing]
                # Nobody is always the first or always the last.
                for turn in turns[number % len(turns) :] + turns[: number % len(turns)]:
                    if isinstance(turn, Peer):
                        rate = await asyncio.to_thread(turn.rate, texts_of.texts)
                        rates.setdefault(turn.name, []).append(rate)
                    else:
                        rates.setdefault("karais", []).append(await turn.rate(texts_of))
            for peer in comparators:
                peer.close()  # what they keep in memory is no part of what follows
            _compare(report, rates)
            if options.firsts:
                report.add("memory (PSS) after indexing, all processes", memory_mb(running.pids()), "MB")
                speed = median([rate.by_clock for rate in rates["karais"]])
                await _first_tokens(report, indexing, karais, texts_of, options.firsts, speed)
    return report


def _compare(report: Report, rates: dict[str, list[Rate]]) -> None:
    """Add each one's rate, and KARAIS's to the best."""
    clock = {name: [rate.by_clock for rate in found] for name, found in rates.items()}
    cpu = {name: [rate.by_processor for rate in found] for name, found in rates.items()}
    for name in rates:
        report.samples[f"chunks_per_second_{name}"] = clock[name]
        report.samples[f"chunks_per_processor_second_{name}"] = cpu[name]
    report.add("chunks/s, KARAIS, files to passages", median(clock["karais"]), "chunks/s")
    for name in rates:
        if name != "karais":
            report.add(f"  {name}", median(clock[name]), "chunks/s")
    best = max((name for name in rates if name != "karais"), key=lambda n: median(clock[n]), default=None)
    if best is None:
        report.add("  to the best of them", None, "×", at_least=1.05, note="no comparator ran")
        return
    ratios = [own / other for own, other in zip(clock["karais"], clock[best], strict=True)]
    report.samples["ratio_by_round"] = ratios
    spread = f"{best}; rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}"
    report.add("  to the best of them", median(ratios), "×", at_least=1.05, note=spread)
    thrifty = max((name for name in rates if name != "karais"), key=lambda n: median(cpu[n]))
    by_processor = [own / other for own, other in zip(cpu["karais"], cpu[thrifty], strict=True)]
    report.add("  by processor time", median(by_processor), "×", note=thrifty)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; return 0 when every goal is met."""
    parser = argparse.ArgumentParser(prog="karais bench ingest", description=__doc__)
    parser.add_argument(
        "--storage", type=Path, default=Path(__file__).parents[2], help="folder with the files"
    )
    parser.add_argument("--chunks", type=int, default=600, help="about so many of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--firsts", type=int, default=60, help="questions for the time to first token; 0: none"
    )
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS, help="comparators")
    parser.add_argument(
        "--environment", type=Path, default=Path(sys.prefix) / "peers" / "ingest", help="comparators' place"
    )
    parser.add_argument("--home", type=Path, help="data folder whose weights are used")
    parser.add_argument("--model", help="name of the language model")
    parser.add_argument("--samples", action="store_true", help="add the raw samples to the JSON")
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    options = parser.parse_args(argv)
    options.storage = options.storage.expanduser().absolute()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    return asyncio.run(_run(options)).show(json_only=options.json, samples=options.samples)
