"""Getting vectors from the embedder: enough texts at a time to keep it busy, and not more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bus.connection import Bus
from schemas.embeddings import Embed, Vectors
from schemas.errors import TimedOut, Unavailable

TEXTS_A_CALL = 64
CALLS = 4
"""Calls for one file at a time."""
SECONDS = 300.0
"""For a call: long, since passages are embedded only while nobody else wants the processor."""
PATIENCE_SECONDS = 20.0
"""How long a restarting embedder is waited for before a job fails and is delivered again."""
ROOM = 512
"""Passages of files that were read and are not yet written; beyond, no further file is read."""


class Room:
    """Bounds how many passages are held between reading and writing; one file more may exceed it."""

    def __init__(self, most: int = ROOM) -> None:
        self._most = most
        self._held = 0
        self._freed = asyncio.Condition()

    async def free(self) -> None:
        """Wait until there is room for another file."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._held < self._most)

    @asynccontextmanager
    async def holding(self, passages: int) -> AsyncIterator[None]:
        """Take room for the passages of a file."""
        self._held += passages
        try:
            yield
        finally:
            self._held -= passages
            async with self._freed:
                self._freed.notify_all()


async def embed(bus: Bus, texts: Sequence[str]) -> bytes:
    """Return the texts' vectors, row by row; raises Unavailable when the embedder does not answer."""
    turn = asyncio.Semaphore(CALLS)

    async def call(part: tuple[str, ...]) -> bytes:
        async with turn:
            reply: Vectors = await bus.call(Embed(texts=part), timeout=SECONDS, patience=PATIENCE_SECONDS)
        return reply.data

    parts = [tuple(texts[at : at + TEXTS_A_CALL]) for at in range(0, len(texts), TEXTS_A_CALL)]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call(part)) for part in parts]
    except* (Unavailable, TimedOut) as errors:
        raise Unavailable(f"Files wait for the embedder: {errors.exceptions[0]}") from None
    return b"".join(task.result() for task in tasks)
