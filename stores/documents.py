"""The passages of the storage: one LanceDB table, one writer, any number of readers.

The librarian owns the table and alone writes it (a lock on the folder holds
this); memory reads it. A file's passages are replaced by one merge, which is
one commit: a reader sees the old passages or the new ones. A merge is
idempotent, because a passage's id is made of its file's id and its number, so
a job that is redelivered after a kill leaves no passage twice.

Full text is searched by BM25 over Lance's own index with the ``icu/split``
tokenizer, which segments words by dictionary: Chinese, Japanese and Thai are
found by word as English is, and ``ACK_WAIT`` by either half. Latin words are
lower-cased, folded and stemmed as English, which does other languages little
harm. What is indexed (``words``) holds the file's name and the headings too,
as a section's text often does not repeat what it is about.

Vectors are compared exactly up to ``EXACT_ROWS`` rows and by an HNSW index
above.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from schemas.base import HOME
from schemas.errors import KaraisError
from schemas.failure import Code
from stores import lance_files
from stores.chunking import Piece

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb import AsyncConnection, AsyncTable

log = logging.getLogger(__name__)

TABLES = "passages"
"""Names begin with it: each embedding model has a table of its own, as its vectors fit no other's."""
EXACT_ROWS = 30_000
"""Rows up to which every vector is compared (1 to 2 ms for 1,000 rows on one core)."""
OPTIMIZE_AFTER = 32
"""Commits after which fragments are merged and the index takes up what is new."""
KEEP_VERSIONS = timedelta(minutes=15)
"""How long a reader may stay at a version that is no longer the newest."""


class FilePassages(Struct, frozen=True, kw_only=True):
    """All passages of one file as they shall be known from now on."""

    file: str
    """Identity of the file (``IndexFile.file``)."""
    path: str
    content_hash: str
    """SHA-256 of the file's bytes, hex."""
    model: str
    """Embedding model that made the vectors."""
    pieces: tuple[Piece, ...]
    vectors: bytes
    """One float32 vector of length 1 for each piece, little-endian, one after another."""
    project: str = HOME


class Written(Struct, frozen=True, kw_only=True):
    """The table after a commit."""

    version: int
    rows: int


def table_name(model: str) -> str:
    """Return the name of the table with an embedding model's vectors."""
    return f"{TABLES}-{re.sub(r'[^A-Za-z0-9.-]', '_', model)}"


def table_folder(folder: Path, model: str) -> Path:
    """Return the folder that holds this table's files."""
    return folder / f"{table_name(model)}.lance"


class DocumentsWriter:
    """The one writer of the table. Not for concurrent use."""

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder
        self._name = table_name(model)
        self._files = table_folder(folder, model)
        self._durability = lance_files.Durability(self._files)
        self._table: AsyncTable | None = None
        self._commits = 0
        self._lock: int | None = None

    async def open(self) -> bool:
        """Open the table, at its last good version; returns whether a damaged one was set aside.

        Tables of other embedding models are removed.
        Raises KaraisError with ``conflict`` when another process writes it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        await self._drop_others()
        damaged = bool(await asyncio.to_thread(lance_files.set_aside_damaged, self._files))
        while lance_files.latest_version(self._files):
            try:
                table = await (await _connect(self._folder)).open_table(self._name)
                # Reads every data file's footer: one that was lost in a power cut shows here.
                await table.query().select(["id"]).to_arrow()
                self._table = table
                break
            except (RuntimeError, ValueError, OSError) as error:
                log.error("The table in %s cannot be read: %s", self._files, error)
                damaged = True
                if await asyncio.to_thread(lance_files.set_aside_newest, self._files) is None:
                    await asyncio.to_thread(self._files.rename, _free_name(self._files))
        return damaged

    async def version(self) -> Written:
        """Return the table's newest version and its rows; zeros before the first passage."""
        if self._table is None:
            return Written(version=0, rows=0)
        return Written(version=await self._table.version(), rows=await self._table.count_rows())

    async def contents(self) -> dict[str, tuple[int, str]]:
        """Return (passages, content hash) of each file, by the file's identity."""
        if self._table is None:
            return {}
        rows = await self._table.query().select(["file", "content_hash"]).to_arrow()
        grouped = rows.group_by(["file", "content_hash"]).aggregate([([], "count_all")])
        return {row["file"]: (row["count_all"], row["content_hash"]) for row in _listed(grouped)}

    async def replace(self, files: Sequence[FilePassages]) -> Written:
        """Make these the passages of these files, in one commit that is on disk on return."""
        rows = _rows(files)
        if not rows.num_rows:
            return await self.remove([file.file for file in files])
        table = await self._writable(rows.schema)
        await (
            table.merge_insert("id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(_among("file", [file.file for file in files]))
            .execute(rows)
        )
        return await self._committed(table)

    async def remove(self, files: Sequence[str]) -> Written:
        """Remove all passages of these files, by identity, in one commit."""
        if self._table is None or not files:
            return await self.version()
        await self._table.delete(_among("file", files))
        return await self._committed(self._table)

    async def tidy(self) -> Written:
        """Merge fragments, bring the indexes up to date, drop old versions. For quiet moments."""
        if self._table is None:
            return await self.version()
        rows = await self._table.count_rows()
        indexed = {index.columns[0] for index in await self._table.list_indices()}
        if rows > EXACT_ROWS and "vector" not in indexed:
            from lancedb.index import HnswSq

            await self._table.create_index("vector", config=HnswSq(distance_type="cosine"))
        await self._table.optimize(cleanup_older_than=KEEP_VERSIONS)
        self._commits = 0
        await asyncio.to_thread(self._durability.sync)
        return await self.version()

    def close(self) -> None:
        """Let another process write the table."""
        if self._table is not None:
            self._table.close()  # type: ignore[no-untyped-call]
            self._table = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _writable(self, schema: pa.Schema) -> AsyncTable:
        if self._table is None:
            from lancedb.index import FTS

            database = await _connect(self._folder)
            self._table = await database.create_table(self._name, schema=schema, exist_ok=True)
            if not await self._table.list_indices():
                await self._table.create_index("words", config=FTS(base_tokenizer="icu/split"))
        return self._table

    async def _committed(self, table: AsyncTable) -> Written:
        await asyncio.to_thread(self._durability.sync)
        self._commits += 1
        if self._commits >= OPTIMIZE_AFTER:
            return await self.tidy()
        return Written(version=await table.version(), rows=await table.count_rows())

    async def _drop_others(self) -> None:
        others = [path for path in self._folder.glob(f"{TABLES}-*.lance") if path != self._files]
        for path in others:
            log.info("removing %s: it is of another embedding model", path)
            await asyncio.to_thread(shutil.rmtree, path)

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        path = self._folder / f"{TABLES}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise KaraisError(
                f"Another process writes {self._files}: stop the other librarian that uses this data folder.",
                code=Code.CONFLICT,
            ) from None
        self._lock = descriptor


class DocumentsReader:
    """A reader's view of the table: one version of it, until ``refresh``."""

    def __init__(self, folder: Path, model: str) -> None:
        self.model = model
        self._folder = folder
        self._name = table_name(model)
        self._files = table_folder(folder, model)
        self._table: AsyncTable | None = None
        self._exact = True

    async def refresh(self, version: int = 0) -> None:
        """Look at the newest version, at least ``version``; no table is an empty storage."""
        if self._table is not None:
            current = await self._table.version()
            if version and version == current:
                return
            with contextlib.suppress(RuntimeError, ValueError, OSError):
                await self._table.checkout_latest()  # type: ignore[no-untyped-call]
                if await self._table.version() >= max(version, current):
                    await self._look()
                    return
        # First time, or the table was made anew.
        self._table = None
        try:
            self._table = await (await _connect(self._folder)).open_table(self._name)
            await self._look()
        except (RuntimeError, ValueError, OSError) as error:
            if lance_files.latest_version(self._files):
                log.warning("The table in %s cannot be read yet: %s", self._files, error)

    async def nearest(self, vector: bytes, project: str, limit: int) -> list[dict[str, Any]]:
        """Return the rows whose vectors are nearest, with ``_distance`` (1 - cosine), nearest first."""
        import numpy as np

        if self._table is None:
            return []
        query = (
            self._table.query()
            .nearest_to(np.frombuffer(vector, dtype="<f4"))
            .distance_type("cosine")
            .where(f"project = '{_plain(project)}'")
            .select([*_COLUMNS, "_distance"])
            .limit(limit)
        )
        if not self._exact:
            query = query.ef(4 * limit).refine_factor(2)
        return _listed(await query.to_arrow())

    async def matching(self, words: str, project: str, limit: int) -> list[dict[str, Any]]:
        """Return the rows with the highest BM25 ``_score`` for these words, each with its ``vector``."""
        if self._table is None or not words.strip():
            return []
        query = await self._table.search(words, query_type="fts", fts_columns="words")
        rows = await (
            query.where(f"project = '{_plain(project)}'")
            .select([*_COLUMNS, "vector", "_score"])
            .limit(limit)
            .to_arrow()
        )
        return _listed(rows)

    async def numbered(self, file: str, numbers: Sequence[int], project: str) -> list[dict[str, Any]]:
        """Return the rows of one file with these numbers, in order."""
        if self._table is None:
            return []
        among = ", ".join(str(int(number)) for number in numbers)
        rows = await (
            self._table.query()
            .where(f"project = '{_plain(project)}' AND file = '{_plain(file)}' AND number IN ({among})")
            .select(_COLUMNS)
            .to_arrow()
        )
        return sorted(_listed(rows), key=lambda row: row["number"])

    async def _look(self) -> None:
        if self._table is not None:
            self._exact = not any(index.columns == ["vector"] for index in await self._table.list_indices())


_COLUMNS = ["id", "file", "path", "number", "text", "heading", "first_line", "last_line", "page"]


async def _connect(folder: Path) -> AsyncConnection:
    import lancedb

    return await lancedb.connect_async(folder)


def _schema(dimensions: int) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("project", pa.string(), nullable=False),
            pa.field("file", pa.string(), nullable=False),
            pa.field("path", pa.string(), nullable=False),
            pa.field("number", pa.int32(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("heading", pa.string(), nullable=False),
            pa.field("first_line", pa.int32(), nullable=False),
            pa.field("last_line", pa.int32(), nullable=False),
            pa.field("page", pa.int32(), nullable=False),
            pa.field("content_hash", pa.string(), nullable=False),
            pa.field("model", pa.string(), nullable=False),
            pa.field("words", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
        ]
    )


def _rows(files: Sequence[FilePassages]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    count = sum(len(file.pieces) for file in files)
    vectors = np.frombuffer(b"".join(file.vectors for file in files), dtype="<f4")
    if count == 0:
        return _schema(1).empty_table()
    if vectors.size % count:
        raise ValueError(f"{vectors.size} numbers are no vectors for {count} passages.")
    schema = _schema(vectors.size // count)
    rows = [
        {
            "id": f"{file.file}-{number}",
            "project": file.project,
            "file": file.file,
            "path": file.path,
            "number": number,
            "text": piece.text,
            "heading": piece.heading,
            "first_line": piece.first_line,
            "last_line": piece.last_line,
            "page": piece.page,
            "content_hash": file.content_hash,
            "model": file.model,
            "words": searched_text(file.path, piece),
        }
        for file in files
        for number, piece in enumerate(file.pieces)
    ]
    table = pa.Table.from_pylist(rows, schema=schema.remove(len(schema) - 1))
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors), vectors.size // count)
    return table.append_column(schema.field("vector"), column)


def searched_text(path: str, piece: Piece) -> str:
    """Return what is searched and embedded of a passage: its file's name and headings, then its text."""
    name = re.sub(r"[-_./]+", " ", path.rsplit(".", 1)[0])
    above = " > ".join(part for part in (name, piece.heading) if part)
    return f"{above}\n{piece.text}"


def _listed(rows: pa.Table) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], rows.to_pylist())


def _among(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(repr(_plain(value)) for value in values)})"


def _plain(value: str) -> str:
    """Return a value that cannot leave its quotes in a filter: identities and names are plain tokens."""
    if not re.fullmatch(r"[\w.:-]{1,200}", value, re.ASCII):
        raise KaraisError(f"{value[:80]!r} is no identity.", code=Code.INVALID)
    return value


def _free_name(path: Path) -> Path:
    count = 1
    while (free := path.with_name(f"{path.name}.damaged-{count}")).exists():
        count += 1
    return free
