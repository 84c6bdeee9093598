"""What a job does: read a file, embed what is new of it, put its passages into the table."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from agents.common.parsing import ParsedFile, Parser
from agents.common.table_writer import WriterProcess
from agents.librarian.catalogue import Catalogue
from agents.librarian.embedding import Room, embed
from agents.librarian.shelf import Shelf
from bus.connection import Bus
from schemas.documents import FileAwaits, IndexFile
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.files import FileBook, Known
from stores.passages import Moved, SourcePassages, embedded_text, text_hash


class Indexer:
    """Does jobs, several at a time."""

    def __init__(
        self,
        bus: Bus,
        book: FileBook,
        writer: WriterProcess,
        catalogue: Catalogue,
        shelf: Shelf,
        parser: Parser,
    ) -> None:
        self._bus = bus
        self._book = book
        self._writer = writer
        self._catalogue = catalogue
        self._shelf = shelf
        self._parser = parser
        self._reading = asyncio.Lock()
        self._free = asyncio.Event()
        self._free.set()
        self._room = Room()
        self._contents: dict[str, asyncio.Lock] = {}
        """Held while a content is embedded, so that its copies wait for its vectors."""

    def hold(self, held: bool) -> None:
        """Read no further file, or go on; what is being read has a time limit and is not stopped."""
        (self._free.clear if held else self._free.set)()

    async def index(self, job: IndexFile, known: Known) -> int:
        """Do a job; returns how many passages were written.

        Raises KaraisError with ``conflict`` for a file that is being written,
        or with ``unavailable`` when it cannot be embedded at present.
        """
        try:
            async with self._reading:
                await self._room.free()
                await self._free.wait()
                parsed = await self._parser.parse(job.path, known.content_hash)
        except KaraisError as error:
            if error.code is Code.CONFLICT:
                raise
            if error.code is Code.NOT_FOUND:
                await self._catalogue.remove([(job.path, job.file)])
            else:
                await self._catalogue.skip(job.path, job.file, str(error), stamp_ns=known.stamp_ns)
            return 0
        if parsed.awaits is not None:
            await self._hand_over(job, parsed, known)
        elif parsed.unchanged:
            await asyncio.to_thread(
                self._book.unchanged, job.path, size=parsed.size, stamp_ns=parsed.stamp_ns
            )
        else:
            async with self._room.holding(len(parsed.pieces)):
                await self._write(job, parsed, known)
            return len(parsed.pieces)
        return 0

    async def _hand_over(self, job: IndexFile, parsed: ParsedFile, known: Known) -> None:
        """List a file as waiting for another agent, and tell of it."""
        assert parsed.awaits is not None
        await self._catalogue.clear(job.path, job.file)
        await asyncio.to_thread(
            self._book.awaited,
            job.path,
            parsed.awaits,
            parsed.remark,
            size=parsed.size,
            stamp_ns=parsed.stamp_ns,
        )
        await self._bus.publish(
            FileAwaits(kind=parsed.awaits, file=job.file, path=job.path, project=known.project)
        )

    async def _write(self, job: IndexFile, parsed: ParsedFile, known: Known) -> None:
        lock = self._contents.setdefault(parsed.content_hash, asyncio.Lock())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(lock)
            stack.callback(self._contents.pop, parsed.content_hash, None)
            is_copy = await asyncio.to_thread(self._book.is_copy, job.path, parsed.content_hash)
            texts = [embedded_text(piece) for piece in parsed.pieces]
            vectors = await self._vectors(texts, met_before=is_copy or known.passages > 0)
            await self._shelf.put(
                SourcePassages(
                    source=job.file,
                    path=job.path,
                    at=parsed.modified,
                    content_hash=parsed.content_hash,
                    pieces=parsed.pieces,
                    vectors=vectors,
                    project=known.project,
                )
            )
            project = await asyncio.to_thread(
                self._book.indexed,
                job.path,
                size=parsed.size,
                stamp_ns=parsed.stamp_ns,
                content_hash=parsed.content_hash,
                passages=len(parsed.pieces),
                remark=parsed.remark,
            )
        if project is None:  # it was removed while this went on
            await self._catalogue.remove([(job.path, job.file)])
        elif project != known.project:
            move = Moved(source=job.file, to=job.file, path=job.path, project=project)
            self._catalogue.wrote(await self._writer.move([move]))

    async def _vectors(self, texts: Sequence[str], *, met_before: bool) -> bytes:
        """Return the texts' vectors; embeds each once, and none that the table has (``met_before``)."""
        hashes = [text_hash(text) for text in texts]
        found = await self._writer.vectors_of(set(hashes)) if met_before else {}
        fresh = {key: text for key, text in zip(hashes, texts, strict=True) if key not in found}
        if fresh:
            data = await embed(self._bus, list(fresh.values()))
            size = len(data) // len(fresh)
            found |= {key: data[at * size : (at + 1) * size] for at, key in enumerate(fresh)}
        return b"".join(found[key] for key in hashes)
