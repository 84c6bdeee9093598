"""Comparing two memories, table by table and projection by projection: what is missing, new or different."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

from msgspec import Struct

log = logging.getLogger(__name__)

EXAMPLES = 5

QUERIES = {
    "conversations": (
        "conversations.db",
        "SELECT project || '/' || conversation, user, title, turns FROM conversations",
    ),
    "turns": ("conversations.db", "SELECT sequence, answer, role, entry FROM turns"),
    "facts": (
        "facts.db",
        "SELECT project || '/' || user || '/' || id, starts, ends, holds, superseded_by, entry FROM facts",
    ),
    "projects": ("projects.db", "SELECT project, entry FROM projects"),
}
COLUMNS = ["id", "project", "kind", "source", "number", "content_hash", "text_hash", "words", "record"]


class Difference(Struct, frozen=True, kw_only=True):
    """How one part of a rebuilt memory differs from the one in use."""

    part: str
    """A table (``documents``, ``memory``) or what a projection holds."""
    before: int
    """Entries in use."""
    after: int
    """Entries rebuilt."""
    missing: int = 0
    """In use, not rebuilt."""
    added: int = 0
    """Rebuilt, not in use."""
    changed: int = 0
    examples: tuple[str, ...] = ()
    """Identities of some that differ."""

    @property
    def same(self) -> bool:
        """Nothing differs."""
        return not (self.missing or self.added or self.changed)


async def compare(before: Path, after: Path) -> tuple[Difference, ...]:
    """Compare two memory folders; one that is not there is an empty one."""
    found = []
    for part, (file, query) in QUERIES.items():
        one = await asyncio.to_thread(_rows, before / file, query)
        other = await asyncio.to_thread(_rows, after / file, query)
        found.append(_difference(part, one, other))
    for name in ("documents", "memory"):
        passages = [await _passages(folder / "lance", name) for folder in (before, after)]
        found.append(_difference(name, *passages))
    return tuple(found)


def _difference(part: str, before: dict[str, str], after: dict[str, str]) -> Difference:
    missing = sorted(before.keys() - after.keys())
    added = sorted(after.keys() - before.keys())
    changed = sorted(key for key in before.keys() & after.keys() if before[key] != after[key])
    return Difference(
        part=part,
        before=len(before),
        after=len(after),
        missing=len(missing),
        added=len(added),
        changed=len(changed),
        examples=tuple([*missing, *added, *changed][:EXAMPLES]),
    )


def _rows(file: Path, query: str) -> dict[str, str]:
    if not file.exists():
        return {}
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return {str(row[0]): _digest(row[1:]) for row in database.execute(query)}
    except sqlite3.OperationalError:  # of another version: it has to be rebuilt anyway
        return {}
    finally:
        database.close()


async def _passages(folder: Path, name: str) -> dict[str, str]:
    """Return a digest of each row of the table that readers use, by its identity."""
    import lancedb

    from stores.passages import Book

    book = await asyncio.to_thread(Book, folder, name)
    found: dict[str, str] = {}
    if book.current is None or not book.files(book.current).is_dir():
        return found
    database = await lancedb.connect_async(folder)
    try:
        table = await database.open_table(book.current.table)
    except (RuntimeError, ValueError, OSError) as error:
        log.warning("%s cannot be read (%s): all of it is new.", book.files(book.current), error)
        return found
    with contextlib.suppress(OSError):  # a file of it is lost: what can be read counts
        async for batch in await table.query().select(COLUMNS).to_batches():
            for row in batch.to_pylist():
                found[row["id"]] = _digest([row[column] for column in COLUMNS[1:]])
    return found


def _digest(values: Any) -> str:
    return hashlib.sha256(repr(tuple(values)).encode("utf-8", "surrogatepass")).hexdigest()
