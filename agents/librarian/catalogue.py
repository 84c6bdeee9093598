"""Keeping the book of files, the table of passages and the storage in step with one another."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from agents.common.table_writer import WriterProcess
from agents.librarian.walk import Walk
from bus.settings import Settings
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.files import FileBook, Found
from stores.passages import Written, state

log = logging.getLogger(__name__)

TABLE = "documents"
"""The set of passages that the librarian owns."""
FORMAT = "1"
"""Of the passages: raised when chunking changes, so that every file is indexed again."""
GROUP = 500


class Catalogue:
    """What must hold between walks: every passage is of a file that is there, in its present state."""

    def __init__(self, book: FileBook, writer: WriterProcess, settings: Settings) -> None:
        self._book = book
        self._writer = writer
        self._settings = settings
        self._strangers: set[str] = set()
        """Files in the table that the book does not know: removed unless the next walk finds them."""

    async def check(self) -> None:
        """Compare book and table, if the table is not what the book saw last.

        Costs a look at one folder when it is; only otherwise LanceDB is loaded.
        """
        book, settings = self._book, self._settings
        if book.get("model") != settings.embedding_model:
            if book.get("model"):
                log.warning("The embedding model changed: every file is indexed again.")
            await asyncio.to_thread(book.reindex)
            book.put("model", settings.embedding_model)
        if book.get("format") != FORMAT:
            await asyncio.to_thread(book.reindex)
            book.put("format", FORMAT)
        found = await asyncio.to_thread(state, settings.memory / "lance", TABLE, settings.embedding_model)
        if found and book.get("table") == found:
            return
        opened = await self._writer.open()
        known = await asyncio.to_thread(book.contents)
        lost = [file for file, content in known.items() if opened.contents.get(file) != content]
        if lost:
            log.warning("The passages of %d files are not in the table: they are indexed again.", len(lost))
            await asyncio.to_thread(book.reindex, lost)
        self._strangers = opened.contents.keys() - await asyncio.to_thread(book.identities)
        book.put("table", opened.state)

    async def walk(self, folder: Path) -> Written | None:
        """Walk the storage, note what changed, remove what is gone; returns the table if it changed."""
        walk = Walk(folder, leave_out=(self._settings.home,))
        number = int(self._book.get("walk") or 0) + 1
        try:
            device = (await asyncio.to_thread(os.stat, folder)).st_dev
            found = iter(walk)
            while await asyncio.to_thread(lambda: self._note(found, number)):
                pass
        except OSError as error:
            what = {FileNotFoundError: "is not there", PermissionError: "may not be read"}
            raise KaraisError(
                f"The storage {folder} {what.get(type(error), 'cannot be read')}: "
                "make it available, or choose another with --storage.",
                code=Code.UNAVAILABLE,
            ) from None
        if not walk.entries and self._book.get("device") not in ("", str(device)):
            raise KaraisError(
                f"The storage {folder} is empty and not the disk that it was: mount it; "
                "until then nothing is forgotten.",
                code=Code.UNAVAILABLE,
            )
        self._book.put("device", str(device))
        self._book.put("walk", str(number))
        gone = await asyncio.to_thread(self._book.gone, number, walk.unreadable)
        written = await self.remove(gone)
        for path, file in await asyncio.to_thread(self._book.stale):
            entry = await asyncio.to_thread(self._book.entry, path)
            written = await self.skip(path, file, entry.reason if entry else "") or written
        strangers = self._strangers - await asyncio.to_thread(self._book.identities)
        if strangers:
            written = await self._writer.remove(tuple(strangers))
        self._strangers = set()
        return written

    async def remove(self, files: Sequence[tuple[str, str]]) -> Written | None:
        """Forget files (path, identity) with their passages; returns the table if it changed."""
        written = None
        for start in range(0, len(files), GROUP):
            group = files[start : start + GROUP]
            written = await self._writer.remove(tuple(file for _, file in group))
            await asyncio.to_thread(self._book.forget, [path for path, _ in group])
        return written

    async def skip(self, path: str, file: str, reason: str) -> Written | None:
        """List a file as skipped and remove passages of it; returns the table if it changed."""
        entry = await asyncio.to_thread(self._book.entry, path)
        written = await self._writer.remove((file,)) if entry and entry.passages else None
        await asyncio.to_thread(self._book.skipped, path, reason)
        return written

    def _note(self, found: Iterator[Found], number: int) -> bool:
        """Take in the next group of files; blocking."""
        group = list(islice(found, GROUP))
        if group:
            self._book.note(group, number)
        return bool(group)
