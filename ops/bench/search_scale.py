"""The stores of passages by size: how fast they find, how exactly, and how single writes leave them.

``measure`` is called by `karais bench recall --parts scale`. Tables are filled
by the real writer from ``ops.bench.search_corpus``, searched by the real reader
and ranked as an answer's passages are; only the question's embedding is not in
the times, as it is made before. The comparators, pgvector and Milvus Lite, get
the same vectors, in an environment of their own below the bench's folder
(``ops/bench/peers/stores.txt``).
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ops.bench import search_corpus
from ops.bench.figures import Report, median, percentile
from ops.bench.search_peers import CLIENTS, RECALL, Questions, compare, cosines_of, recall

TOP = 10
GOALS = {100_000: 15.0, 1_000_000: 40.0}
"""Milliseconds that 95 of 100 searches may take at most, by rows."""
ROUNDS = 3
VECTORS = "vectors.npy"
MODEL = "bench"


@dataclass
class Options:
    """What is measured, on which data."""

    data: Path
    model: Path
    """Folder of the embedding model."""
    folder: Path
    """For tables and the cache of embeddings; tables are deleted afterwards."""
    rows: list[int] = field(default_factory=lambda: [100_000, 1_000_000])
    queries: int = 200
    seed: int = 7
    peers: bool = True
    singles: int = 10_000
    """Single writes; 0 leaves that part out."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this part's options to the command line of `karais bench recall`."""
    parser.add_argument(
        "--scale-data", type=Path, help="a folder with storage-sample, cranfield and locomo: the seeds"
    )
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000], help="sizes of tables")
    parser.add_argument("--queries", type=int, default=200, help="questions asked of each table")
    parser.add_argument("--seed", type=int, default=7, help="of the passages mixed and the questions chosen")
    parser.add_argument("--singles", type=int, default=10_000, help="single writes; 0 leaves them out")
    parser.add_argument("--no-stores", action="store_true", help="leave pgvector and Milvus Lite out")


async def measure(report: Report, options: argparse.Namespace) -> None:
    """Add the figures of every size, the comparison at the smallest, and those of single writes."""
    if options.scale_data is None:
        report.missing.append("scale: name a folder of seeds by --scale-data")
        return
    await measure_stores(
        report,
        Options(
            data=options.scale_data,
            model=options.model,
            folder=options.cache / "scale",
            rows=options.rows,
            queries=options.queries,
            seed=options.seed,
            peers=not options.no_stores,
            singles=options.singles,
        ),
    )


async def measure_stores(report: Report, options: Options) -> None:
    """Measure as ``measure`` does, by typed options."""
    seeds = await asyncio.to_thread(
        search_corpus.seeds, options.data, options.model, options.folder / "embeddings"
    )
    for rows in sorted(options.rows):
        peers = options.peers and rows == min(options.rows)
        await _size(report, options, seeds, rows, peers=peers)
    if options.singles:
        await _single_writes(report, options, seeds)


async def _size(
    report: Report, options: Options, seeds: search_corpus.Seeds, rows: int, *, peers: bool
) -> None:
    import numpy as np

    folder = options.folder / f"rows-{rows}"
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        await _filled(folder / "table", _kept(seeds, rows, options.seed, folder / VECTORS))
        built = time.monotonic() - begun
        every = np.load(folder / VECTORS, mmap_mode="r")
        random = np.random.default_rng(options.seed)
        chosen = random.choice(
            len(seeds.questions), min(options.queries, len(seeds.questions)), replace=False
        )
        questions = [seeds.questions[at] for at in chosen]
        vectors = seeds.question_vectors[chosen]
        exact = await asyncio.to_thread(_exact, every, vectors)
        before = psutil.Process().memory_info().rss
        begun = time.monotonic()
        reader = await _reader(folder)
        loaded, taken = time.monotonic() - begun, psutil.Process().memory_info().rss - before
        ((times, found),) = (await _searched([reader], questions, vectors)).values()
        name = f"{rows:,} passages"
        p95 = median(percentile(round_, 0.95) for round_ in times)
        goal = GOALS.get(rows)
        report.add(f"{name}: hybrid top 10, p95", p95 * 1000, "ms", at_most=goal)
        report.add(f"{name}: hybrid top 10, p50", median(median(r) for r in times) * 1000, "ms")
        least = percentile([min(rounds) for rounds in zip(*times, strict=True)], 0.95)
        note = "of each question's quickest: what other work on the machine adds is not in it"
        report.add(f"{name}: hybrid top 10, p95 of the least", least * 1000, "ms", note=note)
        share = recall(cosines_of(found, every, vectors), exact)
        report.add(f"{name}: recall@10 of the vectors", share, "", at_least=RECALL)
        report.add(f"{name}: read into memory", loaded, "s")
        report.add(f"{name}: memory taken, about", taken / 2**20, "MiB")
        report.add(f"{name}: filling and indexing", built, "s")
        report.add(f"{name}: on disk", _bytes(folder / "table") / 2**20, "MiB")
        report.samples[name] = [t * 1000 for round_ in times for t in round_]
        if peers:
            await compare(
                report,
                options.folder / "peers",
                folder,
                Questions(vectors, exact, every),
                lambda: _own_rate(reader, vectors),
            )


def _kept(seeds: search_corpus.Seeds, rows: int, seed: int, file: Path) -> Iterator[list[Any]]:
    """Yield the sources to write, and leave all vectors in a file."""
    import numpy as np

    every: Any = None
    done = 0
    for group in search_corpus.passages(seeds, rows, seed):
        part = np.frombuffer(b"".join(source.vectors for source in group), "<f4")
        part = part.reshape(sum(len(source.pieces) for source in group), -1)
        if every is None:
            shape = (rows, part.shape[1])
            every = np.lib.format.open_memmap(file, mode="w+", dtype="<f4", shape=shape)
        every[done : done + len(part)] = part
        done += len(part)
        yield group
    every.flush()


async def _filled(folder: Path, groups: Iterable[list[Any]]) -> None:
    from stores.passages import PassagesWriter

    shutil.rmtree(folder, ignore_errors=True)
    writer = PassagesWriter(folder, "documents", MODEL)
    await writer.open()
    for group in groups:
        await writer.replace(group)
    await writer.tidy()
    writer.close()


async def _reader(folder: Path) -> Any:
    from stores.passages import PassagesReader

    reader = PassagesReader(folder / "table", "documents", MODEL)
    await reader.refresh()
    await reader.loaded()
    return reader


async def _searched(
    readers: Sequence[Any], questions: list[str], vectors: Any
) -> dict[Any, tuple[list[list[float]], list[list[int]]]]:
    """Return, by reader, the seconds of each hybrid search, by rounds, and each question's nearest rows.

    Readers take turns at each question, so that other work on the machine slows all of them.
    """
    asked = list(zip(questions, vectors, strict=True))
    for question, vector in asked[:50]:
        for reader in readers:
            await _hybrid(reader, question, vector)
    times: dict[Any, list[list[float]]] = {reader: [] for reader in readers}
    for number in range(ROUNDS):
        for rounds in times.values():
            rounds.append([])
        for question, vector in asked:
            for reader in readers[::-1] if number % 2 else readers:
                begun = time.perf_counter()
                await _hybrid(reader, question, vector)
                times[reader][-1].append(time.perf_counter() - begun)
    return {
        reader: (rounds, [await _nearest(reader, vector) for vector in vectors])
        for reader, rounds in times.items()
    }


async def _hybrid(reader: Any, question: str, vector: Any) -> int:
    from schemas.documents import Recall
    from schemas.embeddings import Vectors
    from stores.recall import recall
    from stores.scope import Scope

    async def embed(_: str) -> Vectors:
        return Vectors(model=MODEL, rows=1, dimensions=vector.size, data=vector.tobytes())

    passages, _ = await recall([reader], Recall(query=question, limit=TOP), Scope(), embed, lambda rows: rows)
    return len(passages)


async def _nearest(reader: Any, vector: Any) -> list[int]:
    """Return the numbers of the nearest passages, nearest first."""
    from stores.scope import Scope

    found = await reader.nearest_ids(vector.tobytes(), Scope(), TOP)
    return [search_corpus.number_of(name) for name, _ in found]


def _exact(every: Any, queries: Any) -> Any:
    """Return each question's TOP highest cosines among all passages, best first."""
    import numpy as np

    best = np.full((len(queries), 0), -1.0, "<f4")
    for start in range(0, len(every), 50_000):
        scores = queries @ np.asarray(every[start : start + 50_000]).T
        best = np.concatenate([best, scores], axis=1)
        best = -np.partition(-best, TOP - 1, axis=1)[:, :TOP]
    return -np.sort(-best, axis=1)


async def _own_rate(reader: Any, queries: Any) -> float:
    async def client(number: int) -> None:
        for vector in queries[number::CLIENTS]:
            await _nearest(reader, vector)

    begun = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return len(queries) / (time.monotonic() - begun)


async def _single_writes(report: Report, options: Options, seeds: search_corpus.Seeds) -> None:
    """Compare a table that was written passage by passage with one that was loaded at once."""
    from msgspec import structs

    from agents.common.table_writer import WriterProcess
    from stores.passages.upkeep import KEEP_VERSIONS

    many = [
        structs.replace(source, source=f"{source.source}{at:02}", pieces=(piece,), vectors=vector)
        for group in search_corpus.passages(seeds, options.singles, options.seed)
        for source in group
        for at, (piece, vector) in enumerate(zip(source.pieces, _cut(source), strict=True))
    ]
    questions, vectors = seeds.questions[: options.queries], seeds.question_vectors[: options.queries]
    singly, fresh = options.folder / "singly", options.folder / "fresh"
    try:
        shutil.rmtree(singly, ignore_errors=True)
        writer = WriterProcess(singly / "table", "documents", MODEL)
        took = []
        for source in many:
            begun = time.perf_counter()
            await writer.replace((source,))
            took.append(time.perf_counter() - begun)
        await _filled(fresh / "table", [many])
        bulk = await _reader(fresh)
        at_once = await _beside(await _reader(singly), bulk, questions, vectors)
        await writer.tidy()
        # As its owner does: once more when readers have left the versions before.
        await asyncio.sleep(2 * KEEP_VERSIONS.total_seconds())
        await writer.tidy()
        await writer.close()
        ratio = await _beside(await _reader(singly), bulk, questions, vectors)
        count = f"{options.singles:,} single writes"
        report.add(f"{count}: acknowledged, p50", median(took) * 1000, "ms")
        report.add(f"{count}: acknowledged, p99", percentile(took, 0.99) * 1000, "ms")
        report.add(f"{count}: search p95 against a fresh table", ratio, "×", at_most=1.2)
        note = "before the quiet moment's tidying"
        report.add(f"{count}: the same at once", at_once, "×", at_most=1.2, note=note)
        size = _bytes(singly / "table") / _bytes(fresh / "table")
        report.add(f"{count}: disk against a fresh table", size, "×", at_most=1.5)
    finally:
        for folder in (singly, fresh):
            shutil.rmtree(folder, ignore_errors=True)


async def _beside(reader: Any, other: Any, questions: list[str], vectors: Any) -> float:
    """Return how many times the other's p95 a reader's is."""
    found = await _searched([reader, other], questions, vectors)
    mine, others = (median(percentile(round_, 0.95) for round_ in found[one][0]) for one in (reader, other))
    return mine / others


def _cut(source: Any) -> list[bytes]:
    size = len(source.vectors) // len(source.pieces)
    return [source.vectors[at : at + size] for at in range(0, len(source.vectors), size)]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
