"""The files of the storage and how far the librarian came with each: its own book-keeping, in SQLite.

SQLite and not Lance: one row changes at a time and hundreds of times a minute
while indexing, rows are paged by path, and no vectors are involved; and an
unchanged storage can be checked at start without loading LanceDB at all.

It holds nothing that a walk of the storage could not bring back, so a damaged
file is thrown away and every file indexed again. A walk of files that did not
change writes nothing to it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

from msgspec import Struct

from schemas.base import HOME
from schemas.documents import Awaits, FileEntry, FileState
from stores.rebuildable import open_rebuildable, transaction

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    path TEXT PRIMARY KEY, file TEXT NOT NULL UNIQUE, project TEXT NOT NULL, state TEXT NOT NULL,
    awaits TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0, stamp_ns INTEGER NOT NULL DEFAULT 0,
    content_hash TEXT NOT NULL DEFAULT '', passages INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX by_state ON files (state, awaits, path);
CREATE INDEX by_content ON files (content_hash);
"""
_SEEN = "CREATE TEMP TABLE seen (path TEXT PRIMARY KEY) WITHOUT ROWID"
_ENTRY = "path, state, size, passages, reason, awaits, file, project"


class Found(Struct, frozen=True):
    """A file as a walk of the storage found it."""

    path: str
    size: int
    stamp_ns: int
    reason: str = ""
    """Why it cannot be indexed, known without opening it."""


class Known(Struct, frozen=True):
    """What the book holds of a file that a job is about."""

    content_hash: str
    """What its passages were made of; empty without any."""
    passages: int
    stamp_ns: int
    project: str


class Gone(Struct, frozen=True):
    """A file that a walk did not find any more."""

    path: str
    file: str
    size: int
    content_hash: str
    passages: int


class Relocated(Struct, frozen=True):
    """A file that has another path now."""

    before: str
    path: str
    size: int
    stamp_ns: int


class Counts(Struct, frozen=True, kw_only=True):
    """How many files there are in each state."""

    indexed: int = 0
    skipped: int = 0
    waiting: int = 0
    awaiting: int = 0
    passages: int = 0

    @property
    def files(self) -> int:
        """All files."""
        return self.indexed + self.skipped + self.waiting + self.awaiting


def file_identity(path: str) -> str:
    """Return a file's identity: the first 32 hex digits of the SHA-256 of its path."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:32]


class FileBook:
    """The book of files. Its methods block for milliseconds and may be called from any thread."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._database = open_rebuildable(file, _SCHEMA, SCHEMA_VERSION, "every file is indexed again")
        self._database.execute(_SEEN)

    def get(self, key: str) -> str:
        """Return a remark on the whole storage, such as the table's version; empty without one."""
        with self._lock:
            row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def put(self, key: str, value: str) -> None:
        """Keep a remark on the whole storage; one that is kept already is not written."""
        if self.get(key) != value:
            with self._lock, transaction(self._database):
                self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def begin_walk(self) -> None:
        """Forget what the walk before has found."""
        with self._lock:
            self._database.execute("DELETE FROM seen")

    def note(self, found: Sequence[Found], project_of: Callable[[str], str] = lambda _: HOME) -> int:
        """Take in files that a walk found; returns how many are to be indexed (again)."""
        changed = []
        with self._lock:
            for item in found:
                row = self._database.execute(
                    "SELECT size, stamp_ns, reason, state FROM files WHERE path = ?", (item.path,)
                ).fetchone()
                same = row is not None and row[:2] == (item.size, item.stamp_ns)
                # A reason that only opening it gave stays; one that a walk gives comes and goes with it.
                if not same or (item.reason and row[2:] != (item.reason, "skipped")):
                    changed.append(item)
            self._database.executemany(
                "INSERT OR IGNORE INTO seen VALUES (?)", [(item.path,) for item in found]
            )
            if changed:
                with transaction(self._database):
                    self._database.executemany(
                        "INSERT INTO files (path, file, project, state, reason, size, stamp_ns)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
                        " state = excluded.state, awaits = '', reason = excluded.reason,"
                        " size = excluded.size, stamp_ns = excluded.stamp_ns, attempts = 0",
                        [
                            (
                                item.path,
                                file_identity(item.path),
                                project_of(item.path),
                                "skipped" if item.reason else "waiting",
                                item.reason,
                                item.size,
                                item.stamp_ns,
                            )
                            for item in changed
                        ],
                    )
        return sum(not item.reason for item in changed)

    def gone(self, below: Sequence[str] = ("",), unreadable: Iterable[str] = ()) -> list[Gone]:
        """Return the files that the walk did not find where it looked: at and below these paths.

        What lies below folders that could not be read (``unreadable``) is not gone.
        """
        folders = tuple(f"{folder}/" for folder in unreadable)
        found: dict[str, Gone] = {}
        with self._lock:
            for scope in below:
                # "0" is the character behind "/".
                where, values = "1", tuple[str, ...]()
                if scope:
                    where, values = "path = ? OR path > ? AND path < ?", (scope, f"{scope}/", f"{scope}0")
                rows = self._database.execute(
                    "SELECT path, file, size, content_hash, passages FROM files"  # noqa: S608  constants
                    f" WHERE ({where}) AND path NOT IN (SELECT path FROM seen)",
                    values,
                )
                found |= {row[0]: Gone(*row) for row in rows}
        return [gone for path, gone in found.items() if not path.startswith(folders or ("\x00",))]

    def newcomers(self, sizes: Iterable[int]) -> list[tuple[str, int]]:
        """Return (path, size) of files of these sizes that wait and of which nothing was known before."""
        found: list[tuple[str, int]] = []
        with self._lock:
            rows = self._database.execute(
                "SELECT path, size FROM files WHERE state = 'waiting' AND awaits = ''"
                " AND content_hash = '' AND passages = 0"
            )
            wanted = set(sizes)
            found += [row for row in rows if row[1] in wanted]
        return found

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

    def relocate(self, moves: Iterable[Relocated]) -> None:
        """Note that indexed files have another path, each that of a file that waits, with their passages."""
        with self._lock, transaction(self._database):
            for move in moves:
                self._database.execute(
                    "UPDATE files SET (state, reason, content_hash, passages, size, stamp_ns) ="
                    " (SELECT 'indexed', reason, content_hash, passages, ?, ? FROM files WHERE path = ?)"
                    " WHERE path = ?",
                    (move.size, move.stamp_ns, move.before, move.path),
                )
                self._database.execute("DELETE FROM files WHERE path = ?", (move.before,))

    def known(self, path: str) -> Known | None:
        """Return what is known of a file; None for no such file."""
        with self._lock:
            row = self._database.execute(
                "SELECT content_hash, passages, stamp_ns, project FROM files WHERE path = ?", (path,)
            ).fetchone()
        return Known(*row) if row else None

    def is_copy(self, path: str, content_hash: str) -> bool:
        """Return whether another file with this content is indexed."""
        with self._lock:
            row = self._database.execute(
                "SELECT 1 FROM files WHERE content_hash = ? AND path != ? AND state = 'indexed' LIMIT 1",
                (content_hash, path),
            ).fetchone()
        return row is not None

    def indexed(
        self, path: str, *, size: int, stamp_ns: int, content_hash: str, passages: int, remark: str = ""
    ) -> str | None:
        """Note that a file's passages are in the table and on disk.

        It goes on waiting when it was changed since. Returns the project that
        it belongs to by now, or None when it is gone by now.
        """
        self._set(
            "state = CASE WHEN stamp_ns > ? THEN 'waiting' ELSE 'indexed' END, awaits = '', reason = ?,"
            " size = ?, stamp_ns = max(stamp_ns, ?), content_hash = ?, passages = ?, attempts = 0",
            (stamp_ns, remark, size, stamp_ns, content_hash, passages, path),
        )
        known = self.known(path)
        return known.project if known else None

    def unchanged(self, path: str, *, size: int, stamp_ns: int) -> None:
        """Note that a file's content is what is indexed already."""
        self._set(
            "state = CASE WHEN stamp_ns > ? THEN 'waiting' ELSE 'indexed' END, awaits = '', size = ?,"
            " stamp_ns = max(stamp_ns, ?), attempts = 0",
            (stamp_ns, size, stamp_ns, path),
        )

    def skipped(self, path: str, reason: str, *, stamp_ns: int | None = None) -> None:
        """Note that a file cannot be indexed, and that nothing is known of it.

        It goes on waiting when it was changed since ``stamp_ns``.
        """
        self._set(
            "state = CASE WHEN stamp_ns > ? THEN 'waiting' ELSE 'skipped' END, awaits = '', reason = ?,"
            " content_hash = '', passages = 0",
            (2**63 - 1 if stamp_ns is None else stamp_ns, reason, path),
        )

    def awaited(self, path: str, kind: Awaits, reason: str, *, size: int, stamp_ns: int) -> None:
        """Note that another agent has to read a file; it goes on waiting for the librarian if it changed."""
        self._set(
            "awaits = CASE WHEN stamp_ns > ? THEN '' ELSE ? END, state = 'waiting', reason = ?, size = ?,"
            " stamp_ns = max(stamp_ns, ?), content_hash = '', passages = 0, attempts = 0",
            (stamp_ns, kind, reason, size, stamp_ns, path),
        )

    def failed(self, path: str) -> int:
        """Count a failed attempt to index a file; returns how many there were since it changed."""
        self._set("attempts = attempts + 1", (path,))
        with self._lock:
            row = self._database.execute("SELECT attempts FROM files WHERE path = ?", (path,)).fetchone()
        return row[0] if row else 0

    def reindex(self, files: Iterable[str] | None = None) -> None:
        """Have files, by identity, or all, indexed again from their content."""
        change = (
            "UPDATE files SET state = 'waiting', awaits = '', reason = '', content_hash = '',"
            " stamp_ns = 0, attempts = 0"
        )
        with self._lock, transaction(self._database):
            if files is None:
                self._database.execute(change)
            else:
                self._database.executemany(f"{change} WHERE file = ?", ((file,) for file in files))

    def reassigned(self, project_of: Callable[[str], str]) -> list[tuple[str, str, str, int]]:
        """Return (path, identity, project, passages) of the files that belong to another project now."""
        with self._lock:
            rows = self._database.execute("SELECT path, file, project, passages FROM files").fetchall()
        return [
            (path, file, now, passages)
            for path, file, project, passages in rows
            if (now := project_of(path)) != project
        ]

    def assign(self, projects: Iterable[tuple[str, str]]) -> None:
        """Note the projects of files, as (path, project)."""
        with self._lock, transaction(self._database):
            self._database.executemany(
                "UPDATE files SET project = ? WHERE path = ?", [(project, path) for path, project in projects]
            )

    def waiting(self, limit: int, after: str = "") -> list[tuple[str, str, str]]:
        """Return (path, identity, project) of the next files to index, by path."""
        with self._lock:
            return self._database.execute(
                "SELECT path, file, project FROM files WHERE state = 'waiting' AND awaits = '' AND path > ?"
                " ORDER BY path LIMIT ?",
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
                "SELECT CASE WHEN awaits = '' THEN state ELSE 'awaiting' END AS now, count(*), sum(passages)"
                " FROM files GROUP BY now"
            ).fetchall()
        by_state = {state: count for state, count, _ in rows}
        return Counts(**by_state, passages=sum(passages for _, _, passages in rows))

    def entries(
        self,
        *,
        state: FileState | None = None,
        awaits: Awaits | None = None,
        after: str = "",
        limit: int = 200,
    ) -> tuple[FileEntry, ...]:
        """Return files by path."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_ENTRY} FROM files WHERE path > ? AND (? IS NULL OR state = ?)"  # noqa: S608  constants
                " AND (? IS NULL OR awaits = ?) ORDER BY path LIMIT ?",
                (after, state, state, awaits, awaits, limit),
            ).fetchall()
        return tuple(_entry(row) for row in rows)

    def entry(self, path: str) -> FileEntry | None:
        """Return one file."""
        with self._lock:
            row = self._database.execute(
                f"SELECT {_ENTRY} FROM files WHERE path = ?",  # noqa: S608  constants
                (path,),
            ).fetchone()
        return _entry(row) if row else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _set(self, assignments: str, values: tuple[object, ...]) -> None:
        with self._lock, transaction(self._database):
            self._database.execute(f"UPDATE files SET {assignments} WHERE path = ?", values)  # noqa: S608  constants


def _entry(row: tuple[str, str, int, int, str, str, str, str]) -> FileEntry:
    path, state, size, passages, reason, awaits, file, project = row
    return FileEntry(
        path=path,
        state=cast(FileState, state),
        bytes=size,
        passages=passages,
        reason=reason,
        awaits=cast(Awaits, awaits) if awaits else None,
        file=file,
        project=project,
    )
