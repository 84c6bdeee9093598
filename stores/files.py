"""The files of the storage and how far the librarian came with each: its own book-keeping, in SQLite.

SQLite and not Lance: one row changes at a time and hundreds of times a minute
while indexing, rows are paged by path, and no vectors are involved; and an
unchanged storage can be checked at start without loading LanceDB at all.

It holds nothing that a walk of the storage could not bring back, so a damaged
file is thrown away and every file indexed again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from msgspec import Struct

from schemas.documents import FileEntry, FileState
from stores.rebuildable import open_rebuildable, transaction

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    path TEXT PRIMARY KEY, file TEXT NOT NULL UNIQUE, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0, stamp_ns INTEGER NOT NULL DEFAULT 0,
    content_hash TEXT NOT NULL DEFAULT '', passages INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX by_state ON files (state, path);
"""


class Found(Struct, frozen=True):
    """A file as a walk of the storage found it."""

    path: str
    size: int
    stamp_ns: int
    reason: str = ""
    """Why it cannot be indexed, known without opening it."""


class Counts(Struct, frozen=True, kw_only=True):
    """How many files there are in each state."""

    indexed: int = 0
    skipped: int = 0
    waiting: int = 0
    passages: int = 0

    @property
    def files(self) -> int:
        """All files."""
        return self.indexed + self.skipped + self.waiting


def file_identity(path: str) -> str:
    """Return a file's identity: the first 32 hex digits of the SHA-256 of its path."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:32]


class FileBook:
    """The book of files. Its methods block for milliseconds and may be called from any thread."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._database = open_rebuildable(file, _SCHEMA, SCHEMA_VERSION, "every file is indexed again")

    def get(self, key: str) -> str:
        """Return a remark on the whole storage, such as the table's version; empty without one."""
        with self._lock:
            row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def put(self, key: str, value: str) -> None:
        """Keep a remark on the whole storage."""
        with self._lock, transaction(self._database):
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def note(self, found: Iterable[Found], walk: int) -> int:
        """Take in files that walk number ``walk`` found; returns how many are to be indexed (again)."""
        fresh = 0
        with self._lock, transaction(self._database):
            for item in found:
                row = self._database.execute(
                    "SELECT size, stamp_ns, reason, state FROM files WHERE path = ?", (item.path,)
                ).fetchone()
                same = row is not None and row[:2] == (item.size, item.stamp_ns)
                if same and (not item.reason or row[2] == item.reason):
                    self._database.execute("UPDATE files SET seen = ? WHERE path = ?", (walk, item.path))
                    continue
                state = "skipped" if item.reason else "waiting"
                fresh += state == "waiting"
                self._database.execute(
                    "INSERT INTO files (path, file, state, reason, size, stamp_ns, seen)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET state = excluded.state,"
                    " reason = excluded.reason, size = excluded.size, stamp_ns = excluded.stamp_ns,"
                    " seen = excluded.seen, attempts = 0",
                    (item.path, file_identity(item.path), state, item.reason, item.size, item.stamp_ns, walk),
                )
        return fresh

    def gone(self, walk: int, unreadable: Iterable[str] = ()) -> list[tuple[str, str]]:
        """Return (path, identity) of files that walk ``walk`` did not find.

        What lies below folders that could not be read (``unreadable``) is not gone.
        """
        folders = tuple(f"{folder}/" for folder in unreadable)
        with self._lock:
            rows = self._database.execute("SELECT path, file FROM files WHERE seen != ?", (walk,)).fetchall()
        return [(path, file) for path, file in rows if not path.startswith(folders)] if folders else rows

    def stale(self) -> list[tuple[str, str]]:
        """Return (path, identity) of skipped files of which passages are still known."""
        with self._lock:
            return self._database.execute(
                "SELECT path, file FROM files WHERE state = 'skipped' AND passages > 0"
            ).fetchall()

    def forget(self, paths: Iterable[str]) -> None:
        """Remove files from the book."""
        with self._lock, transaction(self._database):
            self._database.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in paths))

    def known_hash(self, path: str) -> str | None:
        """Return the hash that a file's passages were made of, empty without any; None for no such file."""
        with self._lock:
            row = self._database.execute("SELECT content_hash FROM files WHERE path = ?", (path,)).fetchone()
        return row[0] if row else None

    def indexed(
        self, path: str, *, size: int, stamp_ns: int, content_hash: str, passages: int, remark: str = ""
    ) -> None:
        """Note that a file's passages are in the table and on disk."""
        self._set(
            "state = 'indexed', reason = ?, size = ?, stamp_ns = ?, content_hash = ?, passages = ?,"
            " attempts = 0",
            (remark, size, stamp_ns, content_hash, passages, path),
        )

    def unchanged(self, path: str, *, size: int, stamp_ns: int) -> None:
        """Note that a file's content is what is indexed already."""
        self._set("state = 'indexed', size = ?, stamp_ns = ?, attempts = 0", (size, stamp_ns, path))

    def skipped(self, path: str, reason: str) -> None:
        """Note that a file cannot be indexed, and that nothing is known of it."""
        self._set("state = 'skipped', reason = ?, content_hash = '', passages = 0", (reason, path))

    def failed(self, path: str) -> int:
        """Count a failed attempt to index a file; returns how many there were since it changed."""
        self._set("attempts = attempts + 1", (path,))
        with self._lock:
            row = self._database.execute("SELECT attempts FROM files WHERE path = ?", (path,)).fetchone()
        return row[0] if row else 0

    def reindex(self, files: Iterable[str] | None = None) -> None:
        """Have files, by identity, or all, indexed again from their content."""
        change = (
            "UPDATE files SET state = 'waiting', reason = '', content_hash = '', stamp_ns = 0, attempts = 0"
        )
        with self._lock, transaction(self._database):
            if files is None:
                self._database.execute(change)
            else:
                self._database.executemany(f"{change} WHERE file = ?", ((file,) for file in files))

    def waiting(self, limit: int, after: str = "") -> list[tuple[str, str]]:
        """Return (path, identity) of the next files to index, by path."""
        with self._lock:
            return self._database.execute(
                "SELECT path, file FROM files WHERE state = 'waiting' AND path > ? ORDER BY path LIMIT ?",
                (after, limit),
            ).fetchall()

    def contents(self) -> dict[str, tuple[int, str]]:
        """Return (passages, content hash) of each indexed file, by its identity."""
        with self._lock:
            rows = self._database.execute(
                "SELECT file, passages, content_hash FROM files WHERE state = 'indexed'"
            ).fetchall()
        return {file: (passages, content_hash) for file, passages, content_hash in rows}

    def identities(self) -> set[str]:
        """Return the identities of all files."""
        with self._lock:
            return {file for (file,) in self._database.execute("SELECT file FROM files")}

    def counts(self) -> Counts:
        """Return how many files there are in each state."""
        with self._lock:
            rows = self._database.execute(
                "SELECT state, count(*), sum(passages) FROM files GROUP BY state"
            ).fetchall()
        by_state = {state: count for state, count, _ in rows}
        return Counts(
            indexed=by_state.get("indexed", 0),
            skipped=by_state.get("skipped", 0),
            waiting=by_state.get("waiting", 0),
            passages=sum(passages for _, _, passages in rows),
        )

    def entries(
        self, *, state: FileState | None = None, after: str = "", limit: int = 200
    ) -> tuple[FileEntry, ...]:
        """Return files by path."""
        with self._lock:
            rows = self._database.execute(
                "SELECT path, state, size, passages, reason FROM files"
                " WHERE path > ? AND (? IS NULL OR state = ?) ORDER BY path LIMIT ?",
                (after, state, state, limit),
            ).fetchall()
        return tuple(
            FileEntry(path=path, state=cast(FileState, found), bytes=size, passages=passages, reason=reason)
            for path, found, size, passages, reason in rows
        )

    def entry(self, path: str) -> FileEntry | None:
        """Return one file."""
        with self._lock:
            row = self._database.execute(
                "SELECT state, size, passages, reason FROM files WHERE path = ?", (path,)
            ).fetchone()
        if row is None:
            return None
        return FileEntry(path=path, state=row[0], bytes=row[1], passages=row[2], reason=row[3])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _set(self, assignments: str, values: tuple[object, ...]) -> None:
        with self._lock, transaction(self._database):
            self._database.execute(f"UPDATE files SET {assignments} WHERE path = ?", values)  # noqa: S608  constants
