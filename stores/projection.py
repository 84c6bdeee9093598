"""A projection of a log in SQLite: what every one of them does the same."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stores.rebuildable import open_rebuildable, remove, transaction

log = logging.getLogger(__name__)


class Projection:
    """Follows a log entry by entry; the log is the truth and the file can be thrown away at any time.

    The sequence it stands at is written in the transaction of the entry, in a
    table ``meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)``, which a
    subclass's ``schema`` has. Methods block for milliseconds and may be called
    from any thread.
    """

    schema: str
    """Statements that create an empty file."""
    version: int
    """Version of ``schema``; a file of another one is built again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._database = self._open()

    def followed_until(self) -> int:
        """Return the sequence of the last entry that was applied."""
        with self._lock:
            return self._sequence()

    def belongs_to(self, stream: str, last: int) -> bool:
        """Say which log this is a projection of; starts from 0 and returns False if it is another.

        ``stream`` identifies the log (its time of creation), ``last`` is its
        last sequence: a log that ends before what was applied was made anew.
        """
        with self._lock:
            known = self._database.execute("SELECT value FROM meta WHERE key = 'stream'").fetchone()
            same = (known is None or known[0] == stream) and last >= self._sequence()
            if not same:
                log.warning("The log was made anew: its projection %s starts again.", self._file)
                self._database.close()
                remove(self._file)
                self._database = self._open()
            with transaction(self._database):
                self._database.execute("INSERT OR REPLACE INTO meta VALUES ('stream', ?)", (stream,))
            return same

    def position(self, name: str) -> int:
        """Return how far a reader of the projection came, as ``set_position`` was told."""
        with self._lock:
            row = self._database.execute("SELECT value FROM meta WHERE key = ?", (f"read.{name}",)).fetchone()
        return int(row[0]) if row else 0

    def set_position(self, name: str, sequence: int) -> None:
        """Keep how far a reader came; as rebuildable as the rest."""
        with self._lock, transaction(self._database):
            self._database.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"read.{name}", str(sequence))
            )

    def note(self, name: str) -> str:
        """Return what a reader of the projection noted with ``set_note``; empty when nothing."""
        with self._lock:
            row = self._database.execute("SELECT value FROM meta WHERE key = ?", (f"note.{name}",)).fetchone()
        return str(row[0]) if row else ""

    def set_note(self, name: str, value: str) -> None:
        """Keep a reader's note; as rebuildable as the rest."""
        with self._lock, transaction(self._database):
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"note.{name}", value))

    def pass_over(self, sequence: int) -> None:
        """Take note of an entry that does not concern this projection."""
        with self._applying(sequence):
            pass

    def scrub(self) -> None:
        """Empty the write-ahead log, so that what was deleted is in no file."""
        with self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _applying(self, sequence: int) -> Iterator[bool]:
        """Hold lock and transaction for an entry; yields False when it was applied before."""
        with self._lock:
            if sequence <= self._sequence():
                yield False
                return
            with transaction(self._database):
                yield True
                self._database.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('followed_until', ?)", (str(sequence),)
                )

    def _sequence(self) -> int:
        row = self._database.execute("SELECT value FROM meta WHERE key = 'followed_until'").fetchone()
        return int(row[0]) if row else 0

    def _open(self) -> sqlite3.Connection:
        return open_rebuildable(self._file, self.schema, self.version, "it is built again from the log")
