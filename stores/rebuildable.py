"""SQLite files that can be built again from somewhere else, so that damage costs work and no data."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


def open_rebuildable(file: Path, schema: str, version: int, consequence: str) -> sqlite3.Connection:
    """Open the file, or make it anew when it is damaged or of another version.

    ``schema`` are the statements that create an empty one, ``consequence``
    ends the sentence in the log about a damaged one. Transactions are the
    caller's: see ``transaction``.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        database = _connect(file)
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found == version:
            if database.execute("PRAGMA quick_check").fetchone()[0] == "ok":
                return database
            log.error("%s is damaged; %s.", file, consequence)
        elif found:
            log.info("%s has another schema; %s.", file, consequence)
        database.close()
    except sqlite3.DatabaseError as error:
        log.error("%s is damaged (%s); %s.", file, error, consequence)
    remove(file)
    database = _connect(file)
    database.executescript(schema)
    database.execute(f"PRAGMA user_version = {version}")
    return database


def remove(file: Path) -> None:
    """Remove the file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    # What a power cut takes is built again: the last transactions need no sync of their own.
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA cache_size = -2000")
    # What is deleted is overwritten: a forgotten text shall be nowhere in the file.
    database.execute("PRAGMA secure_delete = ON")
    return database
