"""`karais bench ingest`: from files on disk to passages that can be found, and what chat feels of it.

KARAIS is started as always; files are copied into its storage, and the time
runs until it reports all of them as indexed. In turns, in the same run, the
comparators embed and store the same chunks, which they are given ready cut and
in memory; their models are loaded and warm, and so are KARAIS's processes. The
ratio is of the medians. Comparators live in an environment of their own, which
is made of ``ops/bench/peers/ingest.txt`` at the first use.

The time to first token is measured with retrieval, first idle and then while
further files are being indexed.
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
from typing import Any

import aiohttp

from bus import settings as settings_module
from ops.bench.chat import Karais, _questions
from ops.bench.figures import Report, median, percentile
from ops.bench.household import Household, household, memory_mb
from schemas.errors import KaraisError, TimedOut
from stores.weights import registry

PEERS = ("torch", "onnxruntime", "openvino", "llama-index", "txtai")
LOCK = Path(__file__).parent / "peers" / "ingest.txt"
SCRIPT = Path(__file__).parent / "peers" / "ingest_texts.py"
STATUS_SECONDS = 0.05
LONGEST_SECONDS = 900.0


@dataclass(frozen=True)
class Corpus:
    """Files and what they are cut into."""

    folder: Path
    files: list[str]
    """Relative to the folder."""
    texts: list[str]
    """What is embedded of them, each once."""


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
        self._answer()

    def seconds(self, texts: list[str]) -> float:
        """Let it embed and store texts; returns how long it took."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(texts) + "\n")
        self._process.stdin.flush()
        return float(self._answer()["seconds"])

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
        python = _python(environment) if names else environment
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


def _python(environment: Path) -> Path:
    """Return the interpreter of the comparators' environment, which is made when it is not there."""
    python = environment / "bin" / "python"
    done = environment / "karais-bench.txt"
    if not done.exists() or done.read_text("utf-8") != LOCK.read_text("utf-8"):
        print(f"making the comparators' environment in {environment} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", LOCK], check=True, stdout=sys.stderr)
        shutil.copyfile(LOCK, done)
    return python


class Indexing:
    """A KARAIS whose storage is filled."""

    def __init__(self, running: Household, session: aiohttp.ClientSession, storage: Path) -> None:
        self._running = running
        self._session = session
        self._storage = storage
        self._headers = {"Authorization": f"Bearer {running.key}"}

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
            await asyncio.sleep(STATUS_SECONDS)
        raise TimedOut(f"The storage was not indexed within {LONGEST_SECONDS:g} s.")

    async def rate(self, corpus: Corpus) -> float:
        """Index a corpus; returns chunks a second from the first copied file to the last written row."""
        before = await self.settled(1)
        begun = time.perf_counter()
        for file in corpus.files:
            target = self._storage / "corpus" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(corpus.folder / file, target)
        await self.rescan()
        after = await self.settled(before["files"] + len(corpus.files))
        return float(after["passages"] - before["passages"]) / (time.perf_counter() - begun)

    async def keep_busy(self, corpus: Corpus, copies: int) -> None:
        """Give it further files, other than any before."""
        folder = self._storage / "more"
        folder.mkdir()
        for copy in range(copies):
            for number, text in enumerate(corpus.texts):
                (folder / f"{copy}-{number}.txt").write_text(f"Copy {copy} of {number}. {text}", "utf-8")
            await asyncio.sleep(0)
        await self.rescan()


async def _first_tokens(
    report: Report, indexing: Indexing, karais: Karais, corpus: Corpus, asked: int, rate: float
) -> None:
    """Compare the time to first token while idle with that while files are indexed."""

    async def firsts(start: int) -> list[float]:
        taken = []
        for number in range(asked + 3):
            sample = (await karais.round(_questions(1, start + number), 8, retrieve=True)).samples[0]
            taken.append(sample.first * 1000)
        return taken[3:]

    idle = await firsts(1000)
    copies = 1 + int(3 * asked * rate / len(corpus.texts))
    await indexing.keep_busy(corpus, copies)
    while not (await indexing.status())["waiting"]:
        await asyncio.sleep(STATUS_SECONDS)
    busy = await firsts(2000)
    left = (await indexing.status())["waiting"]
    report.samples |= {"first_token_idle_ms": idle, "first_token_indexing_ms": busy}
    report.add("first token, idle, p95", percentile(idle, 0.95), "ms")
    report.add("first token, indexing, p95", percentile(busy, 0.95), "ms")
    ratio = percentile(busy, 0.95) / percentile(idle, 0.95) if left else None
    note = "" if left else "indexing ended before the questions did"
    report.add("  indexing to idle, p95", ratio, "×", at_most=1.3, note=note)
    report.add("  indexing to idle, p50", median(busy) / median(idle), "×")


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
    rates: dict[str, list[float]] = {"karais": []}
    with peers(report, names, options.environment, weights) as comparators:
        for number in range(options.rounds):
            for peer in comparators:
                seconds = await asyncio.to_thread(peer.seconds, texts_of.texts)
                rates.setdefault(peer.name, []).append(len(texts_of.texts) / seconds)
            last = number == options.rounds - 1
            if last:
                for peer in comparators:
                    peer.close()  # what they keep in memory is no part of what follows
            rates["karais"].append(await _karais(report, given, texts_of, options.firsts if last else 0))
    report.samples |= {f"chunks_per_second_{name}": values for name, values in rates.items()}
    middle = {name: median(values) for name, values in rates.items()}
    report.add("chunks/s, KARAIS, files to passages", middle["karais"], "chunks/s")
    for name in names:
        if name in middle:
            report.add(f"  {name}", middle[name], "chunks/s")
    best = max((value for name, value in middle.items() if name != "karais"), default=None)
    if best is not None:
        report.add("  to the best of them", middle["karais"] / best, "×", at_least=1.05)
    return report


async def _karais(report: Report, given: settings_module.Settings, texts_of: Corpus, firsts: int) -> float:
    """Index the corpus in a new KARAIS, and compare first tokens if asked to; returns chunks a second."""
    with tempfile.TemporaryDirectory(prefix="karais-bench-") as name:
        storage = Path(name)
        (storage / "warm.txt").write_text("A first file, so that everything is loaded.", "utf-8")
        chosen = {"storage": str(storage), "model": given.model}
        timeout = aiohttp.ClientTimeout(total=None)
        with household(given.models, **chosen) as running:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                karais = Karais(session, running.url, running.key)
                await karais.round(["Hello"], 1)
                indexing = Indexing(running, session, storage)
                rate = await indexing.rate(texts_of)
                if firsts:
                    report.add("memory (PSS) after indexing, all processes", memory_mb(running.pids()), "MB")
                    await _first_tokens(report, indexing, karais, texts_of, firsts, rate)
                return rate


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
