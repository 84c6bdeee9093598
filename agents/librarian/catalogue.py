"""Keeping the book of files, the table of passages and the storage in step with one another."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from agents.common.parsing import Parser
from agents.common.table_writer import WriterProcess
from agents.librarian.projects import project_of
from agents.librarian.walk import Walk
from bus.settings import Settings
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.files import FileBook, Found, Gone, Relocated, file_identity
from stores.passages import Moved, Written, state

log = logging.getLogger(__name__)

TABLE = "documents"
"""The set of passages that the librarian owns."""
FORMAT = "3"
"""Of the passages: raised when reading or chunking changes, so that every file is indexed again."""
GROUP = 500


class Catalogue:
    """What must hold between walks: every passage is of a file that is there, in its present state."""

    def __init__(
        self,
        book: FileBook,
        writer: WriterProcess,
        settings: Settings,
        wrote: Callable[[Written], None],
    ) -> None:
        self._book = book
        self._writer = writer
        self._settings = settings
        self.wrote = wrote
        """Is told of every change of the table."""
        self._strangers: set[str] = set()
        """Files in the table that the book does not know: removed unless the next walk finds them."""
        kept = book.get("folders")
        self._folders: dict[str, str] = msgspec.json.decode(kept, type=dict[str, str]) if kept else {}

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

    async def walk(self, folder: Path, parser: Parser, below: Collection[str] = ("",)) -> Walk:
        """Look at and below these paths, note what changed, move what moved, remove what is gone."""
        walk = Walk(folder, leave_out=(self._settings.home,), below=below)
        try:
            device = (await asyncio.to_thread(os.stat, folder)).st_dev
            await asyncio.to_thread(self._book.begin_walk)
            found = iter(walk)
            while await asyncio.to_thread(lambda: self._note(found)):
                pass
        except OSError as error:
            what = {FileNotFoundError: "is not there", PermissionError: "may not be read"}
            raise KaraisError(
                f"The storage {folder} {what.get(type(error), 'cannot be read')}: "
                "make it available, or choose another with --storage.",
                code=Code.UNAVAILABLE,
            ) from None
        if not (walk.entries or os.listdir(folder)) and self._book.get("device") not in ("", str(device)):
            raise KaraisError(
                f"The storage {folder} is empty and not the disk that it was: mount it; "
                "until then nothing is forgotten.",
                code=Code.UNAVAILABLE,
            )
        self._book.put("device", str(device))
        gone = await asyncio.to_thread(self._book.gone, tuple(below), walk.unreadable)
        moved = await self._move(gone, parser)
        await self.remove([(one.path, one.file) for one in gone if one.path not in moved])
        for path, file in await asyncio.to_thread(self._book.stale):
            entry = await asyncio.to_thread(self._book.entry, path)
            await self.skip(path, file, entry.reason if entry else "")
        if "" in below:
            strangers = self._strangers - await asyncio.to_thread(self._book.identities)
            if strangers:
                self.wrote(await self._writer.remove(tuple(strangers)))
            self._strangers = set()
        return walk

    async def remove(self, files: Sequence[tuple[str, str]]) -> None:
        """Forget files (path, identity) with their passages."""
        for start in range(0, len(files), GROUP):
            group = files[start : start + GROUP]
            self.wrote(await self._writer.remove(tuple(file for _, file in group)))
            await asyncio.to_thread(self._book.forget, [path for path, _ in group])

    async def skip(self, path: str, file: str, reason: str, *, stamp_ns: int | None = None) -> None:
        """List a file as skipped and remove passages of it."""
        await self.clear(path, file)
        await asyncio.to_thread(self._book.skipped, path, reason, stamp_ns=stamp_ns)

    async def clear(self, path: str, file: str) -> None:
        """Remove passages of a file."""
        known = await asyncio.to_thread(self._book.known, path)
        if known and known.passages:
            self.wrote(await self._writer.remove((file,)))

    def project_of(self, path: str) -> str:
        """Return the project that a file belongs to."""
        return project_of(path, self._folders)

    async def set_folders(self, folders: Mapping[str, str]) -> int:
        """Give every project its folder of the storage; returns how many files changed their project.

        Their passages go with them, without being embedded again.
        """
        if folders == self._folders:
            return 0
        self._folders = dict(folders)
        changed = await asyncio.to_thread(self._book.reassigned, self.project_of)
        for start in range(0, len(changed), GROUP):
            group = changed[start : start + GROUP]
            moves = [
                Moved(source=file, to=file, path=path, project=project)
                for path, file, project, passages in group
                if passages
            ]
            if moves:
                self.wrote(await self._writer.move(moves))
            await asyncio.to_thread(self._book.assign, [(path, project) for path, _, project, _ in group])
        # Last, so that what a kill left half done is done again.
        self._book.put("folders", msgspec.json.encode(self._folders).decode())
        return len(changed)

    async def _move(self, gone: Sequence[Gone], parser: Parser) -> set[str]:
        """Give files that are gone the paths of new files with the same content; returns those moved."""
        by_content = defaultdict(list)
        for one in gone:
            if one.passages and one.content_hash:
                by_content[one.size, one.content_hash].append(one)
        if not by_content:
            return set()
        sizes = {size for size, _ in by_content}
        moves: list[Moved] = []
        noted: list[Relocated] = []
        for path, size in await asyncio.to_thread(self._book.newcomers, sizes):
            try:
                digest = await parser.digest(path)
            except KaraisError:
                continue  # its own job says why it cannot be read
            if not (candidates := by_content.get((size, digest.content_hash))):
                continue
            # A file that keeps its name in another folder is rather the same one.
            name = path.rsplit("/", 1)[-1]
            candidates.sort(key=lambda one: one.path.rsplit("/", 1)[-1] == name)
            before = candidates.pop()
            moves.append(
                Moved(
                    source=before.file,
                    to=file_identity(path),
                    path=path,
                    project=self.project_of(path),
                    at=digest.modified,
                )
            )
            noted.append(Relocated(before.path, path, digest.size, digest.stamp_ns))
        for start in range(0, len(moves), GROUP):
            self.wrote(await self._writer.move(moves[start : start + GROUP]))
            await asyncio.to_thread(self._book.relocate, noted[start : start + GROUP])
        return {one.before for one in noted}

    def _note(self, found: Iterator[Found]) -> bool:
        """Take in the next group of files; blocking."""
        group = list(islice(found, GROUP))
        if group:
            self._book.note(group, self.project_of)
        return bool(group)
