"""Computing the vectors of many texts, those of alike lengths together; blocking."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from agents.embedder.model import EmbeddingModel

MICRO_BATCH_TOKENS = 512
"""Tokens computed at a time, about. More is no faster on a CPU, and threads end farther apart."""


def batches(sizes: Sequence[int]) -> list[list[int]]:
    """Return the places of texts of alike lengths that together have about MICRO_BATCH_TOKENS.

    The longest come first: threads that share the batches then end at nearly
    the same time, as what is left to the end is small.
    """
    found: list[list[int]] = []
    total = 0
    for at in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        if not found or total + sizes[at] > MICRO_BATCH_TOKENS:
            found.append([])
            total = 0
        found[-1].append(at)
        total += sizes[at]
    return found


def compute(model: EmbeddingModel, texts: Sequence[str], threads: ThreadPoolExecutor | None = None) -> bytes:
    """Return the texts' vectors, row by row, computed by these threads or else in this one."""
    items, sizes = model.prepare(texts)
    width = 4 * model.dimensions
    vectors = bytearray(width * len(items))

    def embed(places: list[int]) -> None:
        rows = model.embed([items[at] for at in places])
        for number, at in enumerate(places):
            vectors[at * width : (at + 1) * width] = rows[number * width : (number + 1) * width]

    for _ in (threads.map if threads else map)(embed, batches(sizes)):
        pass
    return bytes(vectors)
