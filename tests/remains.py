"""Looking for a text in every file that KARAIS keeps, decoded as its owner would decode it.

Lance files are read whole, whatever version or deletion says of their rows;
stream blocks record by record and as raw bytes; SQLite page by page, write-ahead
log included, and term by term of the full-text index.
"""

from __future__ import annotations

import os
import re
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """Where a text was found."""

    kind: str
    """``stream``, ``lance``, ``sqlite``, ``log`` or ``other``."""
    file: str
    how: str


def places(home: Path, text: str) -> list[Place]:
    """Return every place below a folder where a text is, in whatever case."""
    found: list[Place] = []
    # Unlike Path.rglob it takes no offence at a folder that goes meanwhile.
    walked = (Path(root, name) for root, _, names in os.walk(home) for name in names)
    for file in sorted(path for path in walked if path.is_file() and not path.is_symlink()):
        if "models" in file.relative_to(home).parts:
            continue
        kind = _kind(file)
        name = str(file.relative_to(home))
        found += [Place(kind, name, how) for how in _ways(file, kind, text.casefold())]
    return found


def _kind(file: Path) -> str:
    if any(part.endswith(".lance") for part in file.parts):
        return "lance"
    if "jetstream" in file.parts:
        return "stream"
    if ".db" in file.name:
        return "sqlite"
    return "log" if file.suffix == ".log" else "other"


def _ways(file: Path, kind: str, text: str) -> Iterator[str]:
    try:
        raw = file.read_bytes()
    except FileNotFoundError:  # it went meanwhile
        return
    if _contains(raw, text):
        yield "raw"
    if any(_contains(piece, text) for piece in _inflated(raw)):
        yield "inflated"
    if kind == "lance":
        for column, value in _lance_values(file):
            if text in value.casefold():
                yield f"column {column}"
                break
    if kind == "sqlite" and file.suffix == ".db":
        yield from _sqlite(file, text)


def _contains(raw: bytes, text: str) -> bool:
    return re.search(re.escape(text.encode()), raw, re.IGNORECASE) is not None


def _inflated(raw: bytes) -> Iterator[bytes]:
    """Yield what zlib streams in a file hold; a cheap look for the two usual headers."""
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", raw[: 4 * 2**20]):
        try:
            yield zlib.decompressobj().decompress(raw[match.start() :], 2**20)
        except zlib.error:
            continue


def _lance_values(file: Path) -> Iterator[tuple[str, str]]:
    """Yield every string in a Lance data or index file, deleted rows included."""
    import lance.file

    if file.suffix != ".lance" or not file.is_file():
        return
    try:
        batches = lance.file.LanceFileReader(str(file)).read_all().to_batches()
    except (OSError, ValueError):
        if file.exists():
            raise
        return  # it went meanwhile
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for value in column.to_pylist():
                if isinstance(value, str | bytes):
                    yield name, value if isinstance(value, str) else value.decode("utf-8", "replace")
                elif isinstance(value, list | dict) and name != "vector":
                    yield name, repr(value)


def _sqlite(file: Path, text: str) -> Iterator[str]:
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in row]
                if any(text in value.casefold() for value in values):
                    yield f"table {table}"
                    break
        if "texts" in tables:
            database.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab('main', 'texts', 'row')")
            if database.execute("SELECT 1 FROM terms WHERE term LIKE ?", (f"%{text}%",)).fetchone():
                yield "full-text terms"
    finally:
        database.close()
