"""Embedding passages in a process of its own, of low priority, which can be stopped at any moment.

Bulk work in threads of the embedder would hold up queries: a thread of low
priority that is put aside while it holds the interpreter's lock keeps every
other thread waiting. The process has one thread a core, each computing whole
micro-batches, which is faster than all of them together on one. While an
answer runs it stands still (``hold``), in the midst of a batch if need be. It
ends when it has been idle for a while, and its memory with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from agents.common.child import Child
from schemas.base import Message
from schemas.errors import TimedOut, Unavailable

MODULE = "agents.embedder.bulk_worker"
CALL_SECONDS = 600.0
MOST_THREADS = 8
NICE = 10
"""As the librarian: behind everything that somebody waits for, but on a busy machine not starved."""
IDLE_SECONDS = 20.0
"""After so long without work it ends: it holds some 200 MB."""


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
        self._child = Child(MODULE, idle_seconds=IDLE_SECONDS)

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child.pid is not None

    async def compute(self, texts: list[str]) -> bytes:
        """Return the texts' vectors; raises Unavailable when the process died of it."""
        order = EmbedBulk(folder=self._folder, texts=tuple(texts))
        try:
            return (await self._child.call(order, BulkEmbedded, timeout=CALL_SECONDS)).data
        except (TimedOut, Unavailable) as error:
            raise Unavailable(f"{len(texts)} texts could not be embedded: {error}") from None

    def hold(self, held: bool) -> None:
        """Stop the process where it stands, or let it go on."""
        self._child.hold(held)

    async def close(self) -> None:
        """End the process."""
        await self._child.close()


def cores() -> int:
    """Return how many threads compute passages."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)
