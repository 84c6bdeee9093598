"""The comparators of the search for vectors, pgvector and Milvus Lite, at equal recall."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.bench.environments import made
from ops.bench.figures import Report, median

HERE = Path(__file__).parent / "peers"
NAMES = ("pgvector", "milvus")
EFFORTS = (20, 40, 60, 80, 120, 160, 240, 400)
"""Sizes of the comparators' candidate lists, from the fastest; the first that reaches RECALL is theirs."""
RECALL = 0.99
TURNS = 7
"""Of each store at answering all questions; medians are compared."""
CLIENTS = 2


@dataclass(frozen=True)
class Questions:
    """What every store is asked."""

    vectors: Any
    """Float32 (questions, dimensions), of length 1."""
    exact: Any
    """Cosines of the right answers, (questions, TOP), descending."""
    every: Any
    """All vectors that are searched."""


async def compare(
    report: Report,
    environment: Path,
    folder: Path,
    questions: Questions,
    own_rate: Callable[[], Awaitable[float]],
) -> None:
    """Add queries/s at equal recall, with CLIENTS at a time, in turns; ``folder`` has the vectors."""
    import numpy as np

    np.save(folder / "queries.npy", questions.vectors)
    rates: dict[str, list[float]] = {"karais": []}
    running: dict[str, _Peer] = {}
    async with AsyncExitStack() as stack:
        for name in NAMES:
            try:
                python = await asyncio.to_thread(made, environment, HERE / "stores.txt")
                peer = _Peer(python, name, folder)
                stack.callback(peer.close)
                await asyncio.to_thread(peer.choose, questions)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                report.missing.append(f"{name}: {error}")
                continue
            running[name], rates[name] = peer, []
        for _ in range(TURNS):
            rates["karais"].append(await own_rate())
            for name, peer in running.items():
                rates[name].append((await asyncio.to_thread(peer.measured, peer.effort))["per_second"])
    for name, values in rates.items():
        note = f"candidates {running[name].effort}" if name in running else ""
        label = f"{len(questions.every):,} vectors: {name}, {CLIENTS} clients"
        report.add(label, median(values), "queries/s", note=note)
        report.samples[label] = values
    if running:
        best = max(median(rates[name]) for name in running)
        ratio = median(rates["karais"]) / best
        report.add("  against the better of them", ratio, "×", at_least=1.5)


class _Peer:
    """A comparator in a process and an environment of its own."""

    def __init__(self, python: Path, name: str, folder: Path) -> None:
        self.effort = 0
        self._process = subprocess.Popen(
            [str(python), str(HERE / f"store_{name}.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def choose(self, questions: Questions) -> None:
        """Find the least effort that reaches RECALL; raises ValueError when none does."""
        self._line()  # it is loaded
        for effort in EFFORTS:
            found = self.measured(effort)["found"]
            cosines = cosines_of(found, questions.every, questions.vectors)
            if recall(cosines, questions.exact) >= RECALL:
                self.effort = effort
                return
        raise ValueError(f"it does not reach a recall of {RECALL}")

    def measured(self, effort: int) -> dict[str, Any]:
        """Return queries/s and the ids found."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"effort": effort, "clients": CLIENTS}) + "\n")
        self._process.stdin.flush()
        return self._line()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise ValueError("it ended unexpectedly")


def cosines_of(found: list[list[int]], every: Any, queries: Any) -> list[list[float]]:
    """Return the exact cosines of the passages found."""
    return [(every[rows] @ query).tolist() for rows, query in zip(found, queries, strict=True)]


def recall(found: list[list[float]], exact: Any) -> float:
    """Return the share of the exact best that were found; passages of equal cosine are equally good."""
    hits = 0
    for cosines, best in zip(found, exact, strict=True):
        hits += sum(bool(cosine >= best[-1] - 1e-5) for cosine in cosines)
    return float(hits) / float(exact.size)
