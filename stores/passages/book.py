"""Which LanceDB table holds a set of passages at present: a small file beside the tables.

Vectors of two embedding models cannot be compared, so each model's are in a
table of their own. After the model changed, the new table is ``filling`` while
readers keep to ``current``, and takes its place when it is complete. Forgetting
makes a new table too: what is not copied into it is nowhere, once the old
one's folder is gone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct

from stores import lance_files

log = logging.getLogger(__name__)


class TableName(Struct, frozen=True, kw_only=True):
    """A LanceDB table and the embedding model of its vectors."""

    table: str
    model: str


class _Page(Struct, kw_only=True):
    current: TableName | None = None
    filling: TableName | None = None


class Book:
    """Says which tables there are of one set of passages; changes reach the disk before they return.

    The owner of the set alone changes it; readers make one for each look.
    """

    def __init__(self, folder: Path, name: str) -> None:
        if not re.fullmatch("[a-z]+", name):
            raise ValueError(f"{name!r} cannot name a table.")
        self._folder = folder
        self._name = name
        self._file = folder / f"{name}.json"
        page = _Page()
        try:
            page = msgspec.json.decode(self._file.read_bytes(), type=_Page)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            log.error("%s cannot be read (%s): these passages are collected anew.", self._file, error)
        self.current, self.filling = page.current, page.filling

    def files(self, table: TableName) -> Path:
        """Return the folder with a table's files."""
        return self._folder / f"{table.table}.lance"

    def free_name(self, model: str) -> TableName:
        """Return a name that no table has had a folder under."""
        stem = f"{self._name}-{re.sub(r'[^A-Za-z0-9.]', '_', model)}"
        number = 1
        while (self._folder / f"{stem}-{number}.lance").exists():
            number += 1
        return TableName(table=f"{stem}-{number}", model=model)

    def write(self, *, current: TableName | None, filling: TableName | None) -> None:
        """Say from now on that these are the tables."""
        draft = self._file.with_suffix(".json.new")
        draft.write_bytes(msgspec.json.encode(_Page(current=current, filling=filling)))
        lance_files.fsync(draft)
        draft.replace(self._file)
        lance_files.fsync(self._folder)
        self.current, self.filling = current, filling

    def drop_others(self) -> None:
        """Remove the files of tables that are neither current nor filling."""
        kept = {self.files(table) for table in (self.current, self.filling) if table is not None}
        others = [path for path in self._folder.glob(f"{self._name}-*.lance") if path not in kept]
        if self._name == "documents":
            # Before there were kinds of passages, those of documents were called so.
            others += [*self._folder.glob("passages-*.lance"), *self._folder.glob("passages.lock")]
        for path in others:
            log.info("removing %s: it is no longer used", path)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if others:
            lance_files.fsync(self._folder)


def state(folder: Path, name: str, model: str) -> str:
    """Return what changes with every commit to the table of this model; empty without a sound one.

    Costs a look at one folder: LanceDB is not loaded. Equal to
    ``Written.state`` of the last change when nothing came after it.
    """
    book = Book(folder, name)
    table = book.filling or book.current
    if table is None or table.model != model:
        return ""
    files = book.files(table)
    if lance_files.newest_is_damaged(files):
        return ""
    version = lance_files.latest_version(files)
    return f"{table.table}@{version}"


def free_folder(path: Path) -> Path:
    """Return a name for a damaged table's folder to be set aside under."""
    count = 1
    while (free := path.with_name(f"{path.name}.damaged-{count}")).exists():
        count += 1
    return free


def lock(folder: Path, name: str) -> int:
    """Return a descriptor that holds the table's lock until it is closed; raises BlockingIOError."""
    descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
