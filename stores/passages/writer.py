"""The writer of a set of passages: what it returns from is on the disk."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from schemas.errors import KaraisError
from schemas.failure import Code
from stores import lance_files
from stores.passages import indexes, upkeep
from stores.passages.book import Book, TableName, free_folder, lock
from stores.passages.rows import Moved, SourcePassages, is_current, listed, renamed, rows, vectors_of
from stores.scope import among

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb import AsyncConnection, AsyncTable

log = logging.getLogger(__name__)

FRESHEN_AFTER = 32
"""Commits after which ``freshen`` is due; without it, the twice as many-th change does it itself."""
FRESHEN_ROWS = 8192
"""Rows written after which it is due as well: words that no index has are searched passage by passage."""
COPIED_ROWS = 10_000
"""Rows in memory at a time while a table is copied."""


class Written(Struct, frozen=True, kw_only=True):
    """The table after a change, on the disk."""

    version: int
    rows: int
    state: str = ""
    """What ``stores.passages.state`` returns while nothing else is changed."""
    touched: int = 0
    """Rows that the change wrote or, where it wrote none, removed."""
    due: bool = False
    """``freshen`` is due: searches become slower with each change until then."""


class PassagesWriter:
    """The one writer of a set of passages. Not for concurrent use."""

    def __init__(self, folder: Path, name: str, model: str) -> None:
        """Write the set called ``name`` ("documents", "memory") below a folder, with this model's vectors."""
        self._folder = folder
        self._name = name
        self._model = model
        self._lock: int | None = None
        self._table: AsyncTable | None = None
        self._old: AsyncTable | None = None
        """The table of the model before, which readers use until ``switch``."""
        self._commits = 0
        self._unindexed = 0
        """Rows written since the indexes took up what was new, about."""

    @property
    def filling(self) -> bool:
        """Whether readers still use the table of another embedding model: see ``switch``."""
        return self._book.filling is not None

    async def open(self) -> bool:
        """Open the tables, at their last good versions; returns whether a damaged one was set aside.

        After a change of the embedding model a new table is begun, and readers
        keep to the old one. Raises KaraisError with ``conflict`` when another
        process writes these passages.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        book = self._book = await asyncio.to_thread(Book, self._folder, self._name)
        if book.current is None:
            book.write(current=book.free_name(self._model), filling=None)
        elif book.current.model == self._model:
            if book.filling is not None:
                book.write(current=book.current, filling=None)
        elif book.filling is None or book.filling.model != self._model:
            book.write(current=book.current, filling=book.free_name(self._model))
        await asyncio.to_thread(book.drop_others)
        self._use(self._own)
        self._table, damaged = await self._open(self._own)
        if book.filling is not None and book.current is not None:
            self._old, old_damaged = await self._open(book.current)
            damaged = damaged or old_damaged
            if self._old is None:
                await self.switch()
        return damaged

    async def version(self) -> Written:
        """Return the table's newest version and its rows; zeros before the first passage."""
        return await self._written(0)

    async def contents(self) -> dict[str, tuple[int, str]]:
        """Return (passages, content hash) of each source, by its identity."""
        if self._table is None:
            return {}
        found = await self._table.query().select(["source", "content_hash"]).to_arrow()
        grouped = found.group_by(["source", "content_hash"]).aggregate([([], "count_all")])
        return {row["source"]: (row["count_all"], row["content_hash"]) for row in listed(grouped)}

    async def vectors_of(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the vectors of texts that were embedded before, by ``rows.text_hash``, of any source."""
        return {} if self._table is None else await vectors_of(self._table, hashes)

    async def replace(self, sources: Sequence[SourcePassages]) -> Written:
        """Make these the passages of these sources, in one commit."""
        fresh = rows(sources, self._model)
        if not fresh.num_rows:
            return await self.remove([source.source for source in sources])
        table = await self._writable(fresh.schema)
        ours = among("source", tuple(source.source for source in sources))
        if await table.count_rows(ours):
            await self._merge(table, fresh, ours)
        else:
            await table.add(fresh)  # what is new needs no look at every row
        return await self._committed(fresh.num_rows)

    async def remove(self, sources: Sequence[str]) -> Written:
        """Remove all passages of these sources, by identity, in one commit."""
        removed = 0
        if sources:
            ours = among("source", tuple(sources))
            if self._table is not None:
                removed = await self._table.count_rows(ours)
                await self._table.delete(ours)
            if self._old is not None:
                await self._old.delete(ours)
        return await self._committed(removed)

    async def move(self, moves: Sequence[Moved]) -> Written:
        """Call sources otherwise, in one commit; nothing is embedded again.

        Passages that the new names had are replaced. A source that is not
        there (as in a repetition) moves nothing: ``touched`` says how many
        rows did.
        """
        moved = 0
        by_source = {move.source: move for move in moves}
        for table in (self._old, self._table):
            if table is None or not moves:
                continue
            before = await table.query().where(among("source", tuple(by_source))).to_arrow()
            moved = before.num_rows
            if moved:
                found = set(before.column("source").to_pylist())
                touched = [*found, *(by_source[source].to for source in found)]
                fresh = await asyncio.to_thread(renamed, before, moves)
                await self._merge(table, fresh, among("source", tuple(dict.fromkeys(touched))))
        return await self._committed(moved)

    async def forget(self, sources: Sequence[str]) -> Written:
        """Remove all passages of these sources, and everything that was ever removed, from every file.

        The other rows are copied into a new table with indexes of its own, and
        the old one's folder is deleted, so that nothing is left in data,
        deletion, index, transaction or manifest files, nor in what was set
        aside as damaged. Readers must open the new table (``refresh``).
        """
        removed = (await self.remove(sources)).touched
        current, filling = self._book.current, self._book.filling
        if self._old is not None and current is not None:
            current = await self._copied(self._old, current)
        if self._table is not None:
            own = await self._copied(self._table, self._own)
            current, filling = (current, own) if filling is not None else (own, None)
        if (current, filling) != (self._book.current, self._book.filling):
            self._close_tables()
            self._book.write(current=current, filling=filling)
            self._use(self._own)
            self._table, _ = await self._open(self._own)
            if filling is not None and current is not None:
                self._old, _ = await self._open(current)
        await asyncio.to_thread(self._drop_remains)
        return await self._written(removed)

    async def switch(self) -> Written:
        """Let readers use the table of the present embedding model from now on: it is complete."""
        if self._book.filling is not None:
            await self.tidy()
            if self._old is not None:
                self._old.close()  # type: ignore[no-untyped-call]
                self._old = None
            self._book.write(current=self._book.filling, filling=None)
            await asyncio.to_thread(self._book.drop_others)
        return await self._written(0)

    async def tidy(self) -> Written:
        """Merge fragments, bring the indexes up to date, drop old versions. For quiet moments."""
        if self._table is not None:
            await self._kept_up(self._table, upkeep.tidy)
            await indexes.ensure(self._table)
            await asyncio.to_thread(self._durability.sync)
        return await self._written(0)

    async def freshen(self) -> Written:
        """Merge the small fragments and index what is new: what ``due`` asks for between changes."""
        if self._table is not None and self._commits:
            await self._kept_up(self._table, upkeep.freshen)
        return await self._written(0)

    def close(self) -> None:
        """Let another process write the passages."""
        self._close_tables()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _own(self) -> TableName:
        own = self._book.filling or self._book.current
        assert own is not None, "open() gave it a name"
        return own

    def _use(self, table: TableName) -> None:
        self._files = self._book.files(table)
        self._durability = lance_files.Durability(self._files)

    async def _open(self, name: TableName) -> tuple[AsyncTable | None, bool]:
        """Return the table at its last good version, or None, and whether a damaged one was set aside."""
        files = self._book.files(name)
        damaged = bool(await asyncio.to_thread(lance_files.set_aside_damaged, files))
        while lance_files.latest_version(files):
            try:
                table = await (await _connect(self._folder)).open_table(name.table)
                if not is_current(await table.schema(), name.model):
                    log.warning("%s is of another version of KARAIS: its passages are made anew.", files)
                    table.close()  # type: ignore[no-untyped-call]
                    await asyncio.to_thread(shutil.rmtree, files)
                    break
                # Reads every data file's footer: one that was lost in a power cut shows here.
                await table.query().select(["id"]).to_arrow()
                return table, damaged
            except (RuntimeError, ValueError, OSError) as error:
                log.error("The table in %s cannot be read: %s", files, error)
                damaged = True
                if await asyncio.to_thread(lance_files.set_aside_newest, files) is None:
                    await asyncio.to_thread(files.rename, free_folder(files))
        return None, damaged

    async def _writable(self, schema: pa.Schema) -> AsyncTable:
        if self._table is None:
            database = await _connect(self._folder)
            self._table = await database.create_table(self._own.table, schema=schema, exist_ok=True)
            if not await self._table.list_indices():
                await indexes.begin(self._table)
        return self._table

    async def _merge(self, table: AsyncTable, fresh: pa.Table, ours: str) -> None:
        await (
            table.merge_insert("id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(ours)
            .execute(fresh)
        )

    async def _committed(self, touched: int) -> Written:
        if self._table is not None:
            await asyncio.to_thread(self._durability.sync)
            self._commits += 1
        if self._old is not None and self._book.current is not None:
            old = lance_files.Durability(self._book.files(self._book.current))
            await asyncio.to_thread(old.sync)
            self._unindexed += touched
        if self._due >= 2:
            return msgspec.structs.replace(await self.freshen(), touched=touched)
        return await self._written(touched)

    async def _kept_up(self, table: AsyncTable, keep_up: Callable[[Path], None]) -> None:
        await asyncio.to_thread(keep_up, self._files)
        await table.checkout_latest()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(self._durability.sync)
        self._commits = self._unindexed = 0

    @property
    def _due(self) -> float:
        return max(self._commits / FRESHEN_AFTER, self._unindexed / FRESHEN_ROWS)

    async def _written(self, touched: int) -> Written:
        if self._table is None:
            return Written(version=0, rows=0, state=f"{self._own.table}@0", touched=touched)
        version = await self._table.version()
        return Written(
            version=version,
            rows=await self._table.count_rows(),
            state=f"{self._own.table}@{version}",
            touched=touched,
            due=self._due >= 1,
        )

    async def _copied(self, table: AsyncTable, name: TableName) -> TableName:
        """Return a new table with the same rows and nothing else, on the disk."""
        target = self._book.free_name(name.model)
        database = await _connect(self._folder)
        copy = await database.create_table(target.table, schema=await table.schema())
        async for batch in await table.query().to_batches(max_batch_length=COPIED_ROWS):
            await copy.add(batch)
        await indexes.begin(copy)
        await indexes.ensure(copy)
        await asyncio.to_thread(upkeep.tidy, self._book.files(target))
        copy.close()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(lance_files.Durability(self._book.files(target)).sync)
        return target

    def _drop_remains(self) -> None:
        self._book.drop_others()
        kept = [self._book.files(table) for table in (self._book.current, self._own) if table is not None]
        remains = [*self._folder.glob(f"{self._name}-*.damaged-*"), *(path / "_damaged" for path in kept)]
        for path in remains:
            shutil.rmtree(path, ignore_errors=True)
        lance_files.fsync(self._folder)

    def _close_tables(self) -> None:
        for table in (self._table, self._old):
            if table is not None:
                table.close()  # type: ignore[no-untyped-call]
        self._table = self._old = None

    def _take_lock(self) -> None:
        if self._lock is None:
            try:
                self._lock = lock(self._folder, self._name)
            except OSError:
                raise KaraisError(
                    f"Another process writes {self._folder / self._name}: "
                    "stop the other KARAIS that uses this data folder.",
                    code=Code.CONFLICT,
                ) from None


async def _connect(folder: Path) -> AsyncConnection:
    import lancedb

    return await lancedb.connect_async(folder)
