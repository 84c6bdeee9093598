"""Reading a set of passages, from any process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stores import lance_files
from stores.passages import indexes
from stores.passages.book import Book, TableName
from stores.passages.rows import NAMED, READ, unpacked, vectors_of
from stores.scope import Scope, among, plain

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb import AsyncTable

log = logging.getLogger(__name__)

AROUND = 200
"""Turns at most that one search reads around others."""


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
        self._probes = 0
        """Partitions of the vectors that a search looks into; 0 while every vector is compared."""
        self._narrow: set[object] = set()
        """Scopes of which so few rows are that a search must filter first."""

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
        table, query_vector = self._table, np.frombuffer(vector, dtype="<f4")

        async def search(count: int, where: str | None) -> pa.Table:
            query = table.query().nearest_to(query_vector).distance_type("cosine")
            query = query.select([*READ, "vector", "_distance"]).limit(count)
            if self._probes:
                query = query.nprobes(self._probes)
            return await (query.where(where) if where else query).to_arrow()

        found = await self._within(scope, limit, search)
        for row in found:
            # By the index it is an estimate.
            row["_distance"] = 1.0 - float(np.dot(row["vector"], query_vector))
        found.sort(key=lambda row: row["_distance"])
        return found[:limit]

    async def matching(self, words: str, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """Return the rows with the highest BM25 ``_score`` for these words, each with its ``vector``."""
        if self._table is None or not words.strip():
            return []
        table = self._table

        async def search(count: int, where: str | None) -> pa.Table:
            query = await table.search(words, query_type="fts", fts_columns="words")
            query = query.select([*READ, "vector", "_score"]).limit(count)
            return await (query.where(where) if where else query).to_arrow()

        return (await self._within(scope, limit, search))[:limit]

    async def count(self, sources: Sequence[str]) -> int:
        """Return how many passages these sources have, of whatever project."""
        found = 0
        for start in range(0, len(sources) if self._table is not None else 0, NAMED):
            assert self._table is not None
            found += await self._table.count_rows(among("source", tuple(sources[start : start + NAMED])))
        return found

    async def everything(self) -> list[dict[str, Any]]:
        """Return every row, to compare tables that fit into memory."""
        if self._table is None:
            return []
        return unpacked(await self._table.query().select([*READ, "vector"]).to_arrow())

    async def vectors_of(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the vectors of texts that were embedded before, by ``rows.text_hash``, of any source."""
        return {} if self._table is None else await vectors_of(self._table, hashes)

    async def numbered(self, source: str, numbers: Sequence[int], scope: Scope) -> list[dict[str, Any]]:
        """Return the rows of one source with these numbers, in order."""
        if self._table is None:
            return []
        listed = ", ".join(str(int(number)) for number in numbers)
        where = f"{scope.where()} AND source = '{plain(source)}' AND number IN ({listed})"
        found = await self._table.query().where(where).select([*READ, "vector"]).to_arrow()
        return sorted(unpacked(found), key=lambda row: row["number"])

    async def said_around(
        self, moments: Sequence[float], seconds: float, scope: Scope
    ) -> list[dict[str, Any]]:
        """Return turns that were said within ``seconds`` of these moments, each with its ``vector``."""
        if self._table is None or not moments:
            return []
        spans = " OR ".join(
            f"(at >= {moment - seconds:.6f} AND at <= {moment + seconds:.6f})"
            for moment in sorted(set(moments))
        )
        where = f"{scope.where()} AND kind = 'turn' AND ({spans})"
        found = await self._table.query().where(where).select([*READ, "vector"]).limit(AROUND).to_arrow()
        return unpacked(found)

    async def _within(
        self, scope: Scope, limit: int, search: Callable[[int, str | None], Awaitable[pa.Table]]
    ) -> list[dict[str, Any]]:
        """Return the first rows of a search that are in a scope, ``limit`` of them or some more.

        A filter is evaluated for every row of the table before the search,
        which costs more than the search. So a few more rows than asked for are
        taken without one, and those outside the scope dropped; where too few
        are left, and for like scopes from then on, the filter must be.
        """
        where = scope.where()
        bounds = (scope.after is None, scope.before is None, scope.as_of is None)
        like = (scope.project, scope.with_global, scope.kinds, *bounds)
        wanted = limit + max(10, limit // 8)
        if like not in self._narrow:
            found = await search(wanted, None)
            kept = [row for row in unpacked(found) if scope.holds(row)]
            if len(kept) >= limit or found.num_rows < wanted:
                return kept
            self._narrow.add(like)
        return [row for row in unpacked(await search(wanted, where)) if scope.holds(row)]

    async def _look(self) -> None:
        """Take in which indexes this version has."""
        self._narrow.clear()
        if self._table is not None:
            self._probes = await indexes.probes(self._table)
