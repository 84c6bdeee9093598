"""Embedding passages in a process of its own that runs only while nobody else wants the processor.

Bulk work in threads of the embedder would hold up queries: a thread of low
priority that is put aside while it holds the interpreter's lock keeps every
other thread waiting. The process has one thread a core, each computing whole
micro-batches, which is faster than all of them together on one. It ends when
it has been idle for a minute, and its memory with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agents.common.child import Child, serve_parent
from agents.embedder import computing, model
from schemas.base import Message
from schemas.errors import TimedOut, Unavailable

MODULE = "agents.embedder.bulk"
CALL_SECONDS = 600.0
MOST_THREADS = 8


class EmbedBulk(Message, frozen=True, kw_only=True):
    """Embed texts by the model in a folder."""

    folder: str
    texts: tuple[str, ...]


class BulkEmbedded(Message, frozen=True, kw_only=True):
    """Reply to EmbedBulk."""

    data: bytes
    """One vector a text: float32, little-endian, row by row."""


class BulkProcess:
    """Embeds in a child process, which it starts as needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._child = Child(MODULE)

    async def compute(self, texts: list[str]) -> bytes:
        """Return the texts' vectors; raises Unavailable when the process died of it."""
        order = EmbedBulk(folder=self._folder, texts=tuple(texts))
        try:
            return (await self._child.call(order, BulkEmbedded, timeout=CALL_SECONDS)).data
        except (TimedOut, Unavailable) as error:
            raise Unavailable(f"{len(texts)} texts could not be embedded: {error}") from None

    async def close(self) -> None:
        """End the process."""
        await self._child.close()


def cores() -> int:
    """Return how many threads compute passages."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)


class _Hand:
    """Carries orders out, in the child process."""

    def __init__(self) -> None:
        self._models: dict[str, model.EmbeddingModel] = {}
        self._threads: ThreadPoolExecutor | None = None

    def carry_out(self, order: EmbedBulk) -> BulkEmbedded:
        import torch

        if self._threads is None:
            torch.set_num_threads(1)
            self._threads = ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,))
        if order.folder not in self._models:
            self._models = {order.folder: model.load(Path(order.folder), bulk=True)}
        data = computing.compute(self._models[order.folder], order.texts, self._threads)
        return BulkEmbedded(data=data)


def main() -> None:
    """Run the child process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    serve_parent(EmbedBulk, _Hand().carry_out)


if __name__ == "__main__":
    main()
