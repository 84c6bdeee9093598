"""Reading a set of passages, from any process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from stores import lance_files
from stores.passages import indexes
from stores.passages.book import Book, TableName
from stores.passages.keeper import LOST, Keeper
from stores.passages.resident import Resident
from stores.passages.rows import NAMED, READ, unpacked, vectors_of
from stores.scope import Scope, among, plain

if TYPE_CHECKING:
    import pyarrow as pa
    from lance import LanceDataset
    from lancedb import AsyncConnection, AsyncTable

log = logging.getLogger(__name__)

AROUND = 200
"""Turns at most that one search reads around others."""


class _View(Struct, frozen=True, eq=False):
    """One version of a table; a new handle for each, so that a search sees no other one meanwhile."""

    name: TableName
    folder: int
    """Inode of its folder: a table that was set aside as damaged has a successor of the same name."""
    table: AsyncTable
    files: LanceDataset
    """The same for searches, which block: they cost two thirds of what they do by ``table``."""
    version: int
    probes: int
    """Partitions of the vectors that a search of the table looks into; 0 while it compares every vector."""
    resident: Resident | None = None
    """The same version in memory; None while it is loaded, or where there is no room for it."""
    narrow: set[object] = field(default_factory=set)
    """Scopes of which so few rows are that a search must filter first."""


class PassagesReader:
    """A reader's view of a set of passages: one version of its table, until ``refresh``.

    Vectors are searched in memory (``stores.passages.resident``) where they are
    loaded, else in the table. A version that the writer has dropped meanwhile
    raises RuntimeError, ValueError or OSError from any search: ``refresh`` and
    search again.
    """

    def __init__(self, folder: Path, name: str, model: str) -> None:
        """Read the set called ``name`` ("documents", "memory") below a folder."""
        self.model = model
        """Embedding model of the vectors that are searched: for a while after a change, the one before."""
        self._configured = model
        self._folder = folder
        self._name = name
        self._database: AsyncConnection | None = None
        self._session: Any = None
        """Of ``lance``: what was read of the indexes, of whatever version."""
        self._view: _View | None = None
        self._keeper = Keeper()
        self._loading: asyncio.Task[None] | None = None
        self.unread = False
        """There is a table, and ``refresh`` could not read it: its owner may be mending it."""

    async def refresh(self, version: int = 0) -> None:
        """Look at the newest version, at least ``version``; no table is an empty one.

        Some thousand new rows are in memory on return; more are loaded behind
        it (``loaded``), while the table is searched.
        """
        book, folder = await asyncio.to_thread(self._present)
        view = self._view
        if view is not None and (book.current, folder) == (view.name, view.folder):
            if version and version == view.version and self.model == self._configured:
                return
        else:
            # First time, or the table was made anew: nothing of the one before is kept.
            self._view = view = None
            self._keeper, self._session = Keeper(), None
        self.unread = False
        if book.current is None:
            return
        self.model = book.current.model
        keeper = self._keeper
        try:
            newest = await self._newest(book.current, folder)
            if view is not None and view.resident is not None and view.version == newest.version:
                return
            if view is not None and view.version > newest.version:
                # Versions that it has seen were damaged and set aside: row ids may be given anew.
                keeper, self._session = Keeper(), None
                self._keeper = keeper
                newest = await self._newest(book.current, folder)
            view = newest
            resident = await keeper.at_once(view.table)
        except LOST as error:
            self._view = None
            self.unread = bool(lance_files.latest_version(book.files(book.current)))
            if self.unread:
                log.warning("The table %s cannot be read yet: %s", book.current.table, error)
            return
        self._view = msgspec.structs.replace(view, resident=resident)
        if resident is None and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load())

    async def loaded(self) -> bool:
        """Wait until the newest version is in memory; returns whether it is."""
        if self._loading is not None:
            await asyncio.shield(self._loading)
        return self._view is not None and self._view.resident is not None

    async def nearest(self, vector: bytes, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """Return the rows whose vectors are nearest, nearest first.

        Each row has what ``rows.unpacked`` says, its ``vector`` (numpy float32)
        and ``_distance`` (1 - cosine). The query's vector is float32 of length
        1.
        """
        return await with_texts(await asyncio.to_thread(self.nearest_here, vector, scope, limit))

    def nearest_here(self, vector: bytes, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """Return the same, in the calling thread; the rows need ``with_texts`` before they are shown."""
        import numpy as np

        view, query = self._view, np.frombuffer(vector, dtype="<f4")
        if view is None:
            return []
        if (resident := view.resident) is None or resident.dimensions != query.size:
            return _nearest_in_table(view, query, scope, limit)
        places, cosines = resident.nearest(query, scope, limit)
        rows = resident.unpacked(places)
        for row, cosine in zip(rows, cosines.tolist(), strict=True):
            row["_distance"] = 1.0 - cosine
        return _of(view, rows)

    async def nearest_ids(self, vector: bytes, scope: Scope, limit: int) -> list[tuple[str, float]]:
        """Return the ids of the rows whose vectors are nearest, and their cosines, nearest first."""
        import numpy as np

        view, query = self._view, np.frombuffer(vector, dtype="<f4")
        if view is None:
            return []
        if (resident := view.resident) is None or resident.dimensions != query.size:
            found = await asyncio.to_thread(_nearest_in_table, view, query, scope, limit)
            return [(row["id"], 1.0 - row["_distance"]) for row in found]

        def search() -> list[tuple[str, float]]:
            places, cosines = resident.nearest(query, scope, limit)
            return list(zip(resident.names(places), cosines.tolist(), strict=True))

        return await asyncio.to_thread(search)

    async def matching(
        self, words: str, scope: Scope, limit: int, *, texts: bool = True
    ) -> list[dict[str, Any]]:
        """Return the rows with the highest BM25 ``_score`` for these words, each with its ``vector``."""
        view = self._view
        if view is None or not words.strip():
            return []
        resident = view.resident

        def search(count: int, where: str | None) -> pa.Table:
            query = {"query": words, "columns": ["words"]}
            columns = ["_score"] if resident is not None else [*READ, "vector", "_score"]
            return _scanned(view, columns, count, where, full_text_query=query)

        def taken(found: pa.Table) -> list[dict[str, Any]]:
            if resident is None:
                return [row for row in unpacked(found) if scope.holds(row)]
            places, held = resident.places(found.column("_rowid").to_numpy(), scope)
            rows = resident.unpacked(places[:limit])
            for row, score in zip(
                rows, found.column("_score").to_numpy()[held[:limit]].tolist(), strict=True
            ):
                row["_score"] = score
            return _of(view, rows)

        found = (await asyncio.to_thread(_within, view, scope, limit, search, taken))[:limit]
        return await with_texts(found) if texts else found

    async def count(self, sources: Sequence[str]) -> int:
        """Return how many passages these sources have, of whatever project."""
        found = 0
        for start in range(0, len(sources) if self._view is not None else 0, NAMED):
            assert self._view is not None
            found += await self._view.table.count_rows(among("source", tuple(sources[start : start + NAMED])))
        return found

    async def everything(self) -> list[dict[str, Any]]:
        """Return every row, to compare tables that fit into memory."""
        if self._view is None:
            return []
        return unpacked(await self._view.table.query().select([*READ, "vector"]).to_arrow())

    async def vectors_of(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the vectors of texts that were embedded before, by ``rows.text_hash``, of any source."""
        return {} if self._view is None else await vectors_of(self._view.table, hashes)

    async def numbered(self, source: str, numbers: Sequence[int], scope: Scope) -> list[dict[str, Any]]:
        """Return the rows of one source with these numbers, in order."""
        view = self._view
        if view is None:
            return []
        if (resident := view.resident) is None:
            listed = ", ".join(str(int(number)) for number in numbers)
            where = f"{scope.where()} AND source = '{plain(source)}' AND number IN ({listed})"
            rows = unpacked(await view.table.query().where(where).select([*READ, "vector"]).to_arrow())
        else:
            places = await asyncio.to_thread(resident.of_source, source, scope)
            rows = [
                row
                for row in _of(view, resident.unpacked(places))
                if row["source"] == source and row["number"] in numbers
            ]
            rows = await with_texts(rows)
        return sorted(rows, key=lambda row: row["number"])

    async def said_around(
        self, moments: Sequence[float], seconds: float, scope: Scope, *, texts: bool = True
    ) -> list[dict[str, Any]]:
        """Return turns that were said within ``seconds`` of these moments, each with its ``vector``."""
        view = self._view
        if view is None or not moments:
            return []
        if (resident := view.resident) is not None:
            places = await asyncio.to_thread(resident.said_around, moments, seconds, scope, AROUND)
            rows = _of(view, resident.unpacked(places))
            return await with_texts(rows) if texts else rows
        spans = " OR ".join(
            f"(at >= {moment - seconds:.6f} AND at <= {moment + seconds:.6f})"
            for moment in sorted(set(moments))
        )
        where = f"{scope.where()} AND kind = 'turn' AND ({spans})"
        found = await view.table.query().where(where).select([*READ, "vector"]).limit(AROUND).to_arrow()
        return unpacked(found)

    def _present(self) -> tuple[Book, int]:
        """Return the book, and what tells the current table's folder from another of the same name."""
        book = Book(self._folder, self._name)
        with contextlib.suppress(OSError):
            if book.current is not None:
                return book, book.files(book.current).stat().st_ino
        return book, 0

    async def _newest(self, name: TableName, folder: int) -> _View:
        import lancedb

        if self._database is None:
            self._database = await lancedb.connect_async(self._folder)
        table = await self._database.open_table(name.table)
        version, probes = await table.version(), await indexes.probes(table)
        files = await asyncio.to_thread(self._files, await table.uri(), version)
        return _View(name=name, folder=folder, table=table, files=files, version=version, probes=probes)

    def _files(self, uri: str, version: int) -> LanceDataset:
        import lance

        files = lance.dataset(uri, version=version, session=self._session)
        self._session = files.session()
        return files

    async def _load(self) -> None:
        """Bring the newest version into memory, while the table is searched."""
        while (view := self._view) is not None and view.resident is None:
            keeper = self._keeper
            try:
                resident = await keeper.loaded(view.table)
            except LOST as error:
                # Its files were dropped meanwhile; the next look will find others.
                log.info("The table %s changed while it was read into memory: %s", view.name.table, error)
                resident = None
            if self._view is view:
                if resident is not None:
                    self._view = msgspec.structs.replace(view, resident=resident)
                return


async def with_texts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the same rows, each with its ``text``, read from the versions that they were found in."""
    lacking: dict[int, tuple[_View, list[dict[str, Any]]]] = {}
    for row in rows:
        if "text" not in row:
            lacking.setdefault(id(row["_view"]), (row["_view"], []))[1].append(row)
    for view, some in lacking.values():
        # In the order of the file, each once.
        ids = sorted({row["_rowid"] for row in some})
        words = await _words(view.table, ids)
        for row in some:
            row["text"] = words[row["_rowid"]][row["text_at"] :]
    return rows


def _nearest_in_table(view: _View, vector: Any, scope: Scope, limit: int) -> list[dict[str, Any]]:
    import numpy as np

    def search(count: int, where: str | None) -> pa.Table:
        near = {"column": "vector", "q": vector, "k": count, "metric": "cosine"}
        near |= {"nprobes": view.probes} if view.probes else {}
        return _scanned(view, [*READ, "vector", "_distance"], count, where, nearest=near)

    def taken(found: pa.Table) -> list[dict[str, Any]]:
        return [row for row in unpacked(found) if scope.holds(row)]

    found = _within(view, scope, limit, search, taken)
    for row in found:
        # By the index it is an estimate.
        row["_distance"] = 1.0 - float(np.dot(row["vector"], vector))
    found.sort(key=lambda row: row["_distance"])
    return found[:limit]


def _scanned(view: _View, columns: list[str], count: int, where: str | None, **search: Any) -> pa.Table:
    """Return what a search of the table finds: these columns and ``_rowid``."""
    found = view.files.scanner(
        columns=columns, with_row_id=True, limit=count, filter=where, prefilter=True, **search
    )
    return found.to_table()


def _within(
    view: _View,
    scope: Scope,
    limit: int,
    search: Callable[[int, str | None], pa.Table],
    taken: Callable[[pa.Table], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Return the first rows of a search of the table that are in a scope, ``limit`` of them or some more.

    A filter is evaluated for every row of the table before the search,
    which costs more than the search. So a few more rows than asked for are
    taken without one, and those outside the scope dropped; where too few
    are left, and for like scopes from then on, the filter must be.
    """
    where = scope.where()
    bounds = (scope.after is None, scope.before is None, scope.as_of is None)
    like = (scope.project, scope.with_global, scope.kinds, *bounds)
    wanted = limit + max(10, limit // 8)
    if like not in view.narrow:
        found = search(wanted, None)
        kept = taken(found)
        if len(kept) >= limit or found.num_rows < wanted:
            return kept
        view.narrow.add(like)
    return taken(search(wanted, where))


def _of(view: _View, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        row["_view"] = view
    return rows


async def _words(table: AsyncTable, ids: list[int]) -> dict[int, str]:
    """Return what full text searches of these rows, by row id; it ends with their text."""
    found = await table.take_row_ids(ids).select(["words"]).with_row_id().to_arrow() if ids else None
    if found is None:
        return {}
    return dict(zip(found.column("_rowid").to_pylist(), found.column("words").to_pylist(), strict=True))
