"""Writing passages in groups: files that are ready at the same time share one commit.

A commit is some ten files that must reach the disk; shared, its price hardly
counts, and there are fewer fragments to search and to merge later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.common.table_writer import WriterProcess
from stores.passages import SourcePassages, Written

MOST_BYTES = 32 * 2**20
"""Vectors in one commit, about; a rough bound of the memory it takes."""


class Shelf:
    """Puts files' passages into the table, as many at a time as wait."""

    def __init__(self, writer: WriterProcess, written: Callable[[Written], None]) -> None:
        self._writer = writer
        self._written = written
        self._waiting: list[tuple[SourcePassages, asyncio.Future[None]]] = []
        self._working: asyncio.Task[None] | None = None

    async def put(self, file: SourcePassages) -> None:
        """Return when the file's passages are on disk; raises what the writer raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((file, done))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        await done

    async def _work(self) -> None:
        while self._waiting:
            group = self._waiting[:1]
            size = len(group[0][0].vectors)
            for item in self._waiting[1:]:
                # One merge holds a file once.
                size += len(item[0].vectors)
                if size > MOST_BYTES or any(item[0].source == other.source for other, _ in group):
                    break
                group.append(item)
            del self._waiting[: len(group)]
            try:
                self._written(await self._writer.replace(tuple(file for file, _ in group)))
            except Exception as error:  # noqa: BLE001  # it is raised again by each who waits
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)
