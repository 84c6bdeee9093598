"""Reading a set of passages, from any process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stores import lance_files
from stores.passages.book import Book, TableName
from stores.passages.rows import NAMED, READ, unpacked, vectors_of
from stores.scope import Scope, among, plain

if TYPE_CHECKING:
    from lancedb import AsyncTable

log = logging.getLogger(__name__)


class PassagesReader:
    """A reader's view of a set of passages: one version of its table, until ``refresh``.

    A version that the writer has dropped meanwhile raises RuntimeError,
    ValueError or OSError from any search: ``refresh`` and search again.
    """

    def __init__(self, folder: Path, name: str, model: str) -> None:
        """Read the set called ``name`` ("documents", "memory") below a folder."""
        self.model = model
        """Embedding model of the vectors that are searched: for a while after a change, the one before."""
        self._configured = model
        self._folder = folder
        self._name = name
        self._opened: TableName | None = None
        self._table: AsyncTable | None = None
        self._exact = True

    async def refresh(self, version: int = 0) -> None:
        """Look at the newest version, at least ``version``; no table is an empty one."""
        book = await asyncio.to_thread(Book, self._folder, self._name)
        if self._table is not None and book.current == self._opened:
            current = await self._table.version()
            if version and version == current and self.model == self._configured:
                return
            with contextlib.suppress(RuntimeError, ValueError, OSError):
                await self._table.checkout_latest()  # type: ignore[no-untyped-call]
                if await self._table.version() >= max(version, current):
                    await self._look()
                    return
        # First time, or the table was made anew.
        self._table, self._opened = None, book.current
        if book.current is None:
            return
        self.model = book.current.model
        try:
            import lancedb

            database = await lancedb.connect_async(self._folder)
            self._table = await database.open_table(book.current.table)
            await self._look()
        except (RuntimeError, ValueError, OSError) as error:
            if lance_files.latest_version(book.files(book.current)):
                log.warning("The table %s cannot be read yet: %s", book.current.table, error)

    async def nearest(self, vector: bytes, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """Return the rows whose vectors are nearest, nearest first.

        Each row has what ``rows.unpacked`` says, its ``vector`` (numpy float32)
        and ``_distance`` (1 - cosine). The query's vector is float32 of length 1.
        """
        import numpy as np

        if self._table is None:
            return []
        query = (
            self._table.query()
            .nearest_to(np.frombuffer(vector, dtype="<f4"))
            .distance_type("cosine")
            .where(scope.where())
            .select([*READ, "vector", "_distance"])
            .limit(limit)
        )
        if not self._exact:
            query = query.ef(4 * limit).refine_factor(2)
        return unpacked(await query.to_arrow())

    async def matching(self, words: str, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """Return the rows with the highest BM25 ``_score`` for these words, each with its ``vector``."""
        if self._table is None or not words.strip():
            return []
        query = await self._table.search(words, query_type="fts", fts_columns="words")
        found = query.where(scope.where()).select([*READ, "vector", "_score"]).limit(limit)
        return unpacked(await found.to_arrow())

    async def count(self, sources: Sequence[str]) -> int:
        """Return how many passages these sources have, of whatever project."""
        found = 0
        for start in range(0, len(sources) if self._table is not None else 0, NAMED):
            assert self._table is not None
            found += await self._table.count_rows(among("source", tuple(sources[start : start + NAMED])))
        return found

    async def vectors_of(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the vectors of texts that were embedded before, by ``rows.text_hash``, of any source."""
        return {} if self._table is None else await vectors_of(self._table, hashes)

    async def numbered(self, source: str, numbers: Sequence[int], scope: Scope) -> list[dict[str, Any]]:
        """Return the rows of one source with these numbers, in order."""
        if self._table is None:
            return []
        among = ", ".join(str(int(number)) for number in numbers)
        where = f"{scope.where()} AND source = '{plain(source)}' AND number IN ({among})"
        found = await self._table.query().where(where).select([*READ, "vector"]).to_arrow()
        return sorted(unpacked(found), key=lambda row: row["number"])

    async def _look(self) -> None:
        if self._table is not None:
            self._exact = not any(index.columns == ["vector"] for index in await self._table.list_indices())
