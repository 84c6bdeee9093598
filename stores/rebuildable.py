"""SQLite files that can be built again from somewhere else, so that damage costs work and no data."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import Unavailable

log = logging.getLogger(__name__)


def open_rebuildable(file: Path, schema: str, version: int, consequence: str) -> sqlite3.Connection:
    """Open the file, or make it anew when it is damaged or of another version.

    ``schema`` are the statements that create an empty one, ``consequence``
    ends the sentence in the log about a damaged one. Transactions are the
    caller's: see ``transaction``. Raises Unavailable when the disk is to blame
    and not the file: one that is full is no reason to remove anything.
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
        _blame_the_disk(error, str(file))
        log.error("%s is damaged (%s); %s.", file, error, consequence)
    remove(file)
    try:
        database = _connect(file)
        database.executescript(schema)
        database.execute(f"PRAGMA user_version = {version}")
    except sqlite3.DatabaseError as error:
        _blame_the_disk(error, str(file))
        raise
    return database


def remove(file: Path) -> None:
    """Remove the file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or nothing of it; raises Unavailable when the disk does not take it."""
    try:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # some errors end it themselves
                database.execute("ROLLBACK")
            raise
    except sqlite3.DatabaseError as error:
        _blame_the_disk(error, database.execute("PRAGMA database_list").fetchone()[2])
        raise


def _blame_the_disk(error: sqlite3.DatabaseError, file: str) -> None:
    """Raise Unavailable, if it is the disk that failed, and not what the file holds."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to say more
    if code == sqlite3.SQLITE_FULL:
        raise Unavailable(f"{file} cannot be written: its disk is full; free some space.") from None
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        raise Unavailable(f"{file} cannot be written: {error}; look at its disk.") from None


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    # What a power cut takes is built again: the last transactions need no sync of their own.
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA cache_size = -2000")
    # What is deleted is overwritten: a forgotten text shall be nowhere in the file.
    database.execute("PRAGMA secure_delete = ON")
    return database
