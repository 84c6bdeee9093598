"""The librarian's agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from contextlib import AsyncExitStack

from agents.common.parsing import ParsedFile, Parser
from agents.common.table_writer import WriterProcess
from agents.librarian.catalogue import TABLE, Catalogue
from agents.librarian.embedding import Room, embed
from agents.librarian.progress import Progress
from agents.librarian.shelf import Shelf
from bus.agent import Agent, answers, works
from schemas.documents import (
    Files,
    GetStorageStatus,
    IndexFile,
    ListFiles,
    Rescan,
    StorageChanged,
    StorageStatus,
)
from schemas.embeddings import Embed
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.files import FileBook, file_identity
from stores.passages import SourcePassages, Written, embedded_text

log = logging.getLogger(__name__)

NICE = 10
LOOK_AGAIN_SECONDS = 60.0
WALK_SHARE = 0.005
"""Share of the time that walking an unchanged storage may take."""
OUTSTANDING = 256
"""Jobs that are in the queue at a time, at most; further files wait in the book."""
SLOTS = 48
"""Files at a time: most are short, and the embedder and the writer work best on some hundred passages."""
ATTEMPTS = 5


class Librarian(Agent):
    """Knows the files of the storage: walks it, reads what changed, keeps the passages."""

    kind = "librarian"
    calls = (Embed,)
    publishes = (IndexFile, StorageChanged, StorageStatus)

    async def start(self, resources: AsyncExitStack) -> None:
        """Open the book and begin to walk; the table is opened when there is something to write."""
        _lower_priority(resources)
        self._folder = self.settings.storage
        self._book = await asyncio.to_thread(FileBook, self.settings.memory / "files.db")
        resources.callback(self._book.close)
        self._writer = WriterProcess(self.settings.memory / "lance", TABLE, self.settings.embedding_model)
        resources.push_async_callback(self._writer.close)
        self._catalogue = Catalogue(self._book, self._writer, self.settings)
        self._progress = Progress(self.bus, self._status)
        self._shelf = Shelf(self._writer, self._wrote)
        self._reading = asyncio.Lock()
        self._room = Room()
        self._outstanding: set[str] = set()
        self._feeding = asyncio.Lock()
        self._rescan = asyncio.Event()
        self._walked = asyncio.Event()
        self._walks_begun = self._walks_ended = 0
        self._scanning = False
        self._problem = ""
        self._untidy = False
        self._done_at_last_walk = 0
        self.condition.queued = lambda: len(self._outstanding)
        tasks = [asyncio.create_task(self._progress.run())]
        if self._folder is not None:
            self._parser = Parser(self._folder)
            resources.push_async_callback(self._parser.close)
            tasks.append(asyncio.create_task(self._keep_up()))
        resources.push_async_callback(_end, tasks)

    @works(IndexFile, slots=SLOTS)
    async def index(self, job: IndexFile) -> None:
        """Read a file, embed its passages, replace what was known of it."""
        if job.file != file_identity(job.path):
            raise KaraisError(
                f"{job.file} is not the identity of {job.path}.", code=Code.INVALID, field="$.file"
            )
        if self._folder is None:
            return
        known = await asyncio.to_thread(self._book.known_hash, job.path)
        if known is not None:
            try:
                await self._index(job, known)
            except KaraisError as error:
                self._problem = str(error)
                raise
            except Exception as error:
                if await asyncio.to_thread(self._book.failed, job.path) < ATTEMPTS:
                    raise
                log.exception("%s failed %d times and is skipped", job.path, ATTEMPTS)
                await self._skip(
                    job, f"Reading it failed ({type(error).__name__}); the librarian's log says why."
                )
            self._problem = ""
        self._outstanding.discard(job.file)
        self._progress.done()
        if len(self._outstanding) < OUTSTANDING // 2:
            await self._feed()
        await self._tidy_if_quiet()

    @answers(GetStorageStatus)
    async def status(self, ask: GetStorageStatus) -> StorageStatus:
        """Say how far indexing came."""
        return await self._status()

    @answers(ListFiles)
    async def list_files(self, ask: ListFiles) -> Files:
        """List files of the storage by path."""
        entries = await asyncio.to_thread(
            self._book.entries, state=ask.state, after=ask.after, limit=ask.limit
        )
        return Files(files=entries)

    @answers(Rescan)
    async def rescan(self, ask: Rescan) -> StorageStatus:
        """Walk the storage again; a walk of more than two seconds goes on behind the reply."""
        if self._folder is not None:
            # A walk that is under way may have passed what has changed since.
            wanted = self._walks_begun + 1
            self._rescan.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    while self._walks_ended < wanted:
                        self._walked.clear()
                        await self._walked.wait()
        return await self._status()

    async def _keep_up(self) -> None:
        """Walk the storage for ever, rarely if that takes long."""
        while True:
            self._rescan.clear()
            self._walks_begun += 1
            begun = time.monotonic()
            try:
                await self._walk()
            except KaraisError as error:
                self._problem = str(error)
                log.warning("%s", error)
            except Exception:
                log.exception("walking %s failed", self._folder)
                self._problem = f"Walking {self._folder} failed unexpectedly; the librarian's log says why."
            self._scanning = False
            self._walks_ended += 1
            self._walked.set()
            self._progress.wake()
            pause = max(LOOK_AGAIN_SECONDS, (time.monotonic() - begun) / WALK_SHARE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rescan.wait(), pause)

    async def _walk(self) -> None:
        assert self._folder is not None
        self._scanning = True
        await self._catalogue.check()
        changed = await self._catalogue.walk(self._folder)
        if self._problem.startswith(("The storage", "Walking")):
            self._problem = ""
        if changed is not None:
            self._wrote(changed)
        if self._progress.total == self._done_at_last_walk:
            # Nothing moved since the last walk: jobs may have gone to the dead letters.
            self._outstanding.clear()
        self._done_at_last_walk = self._progress.total
        await self._feed()
        await self._tidy_if_quiet()

    async def _feed(self) -> None:
        """Hand over jobs for files that wait, while the queue has room for them."""
        async with self._feeding:
            room = OUTSTANDING - len(self._outstanding)
            files = await asyncio.to_thread(self._book.waiting, room + len(self._outstanding))
            fresh = [(path, file) for path, file in files if file not in self._outstanding][:room]
            if fresh:
                self._progress.wake()
            for path, file in fresh:
                self._outstanding.add(file)
                try:
                    await self.bus.submit(IndexFile(file=file, path=path))
                except KaraisError as error:
                    self._outstanding.discard(file)
                    self._problem = str(error)
                    log.warning("%s", error)
                    return

    async def _index(self, job: IndexFile, known: str) -> None:
        try:
            async with self._reading:
                await self._room.free()
                parsed = await self._parser.parse(job.path, known)
        except KaraisError as error:
            if error.code is Code.NOT_FOUND:
                await self._catalogue.remove([(job.path, job.file)])
            else:
                await self._skip(job, str(error))
            return
        if parsed.unchanged:
            await asyncio.to_thread(
                self._book.unchanged, job.path, size=parsed.size, stamp_ns=parsed.stamp_ns
            )
            return
        async with self._room.holding(len(parsed.pieces)):
            vectors = await embed(self.bus, [embedded_text(piece) for piece in parsed.pieces])
            await self._shelf.put(
                SourcePassages(
                    source=job.file,
                    path=job.path,
                    at=parsed.stamp_ns / 1e9,
                    content_hash=parsed.content_hash,
                    pieces=parsed.pieces,
                    vectors=vectors,
                    project=job.project,
                )
            )
        await self._note(job, parsed)

    async def _note(self, job: IndexFile, parsed: ParsedFile) -> None:
        await asyncio.to_thread(
            self._book.indexed,
            job.path,
            size=parsed.size,
            stamp_ns=parsed.stamp_ns,
            content_hash=parsed.content_hash,
            passages=len(parsed.pieces),
            remark=parsed.remark,
        )

    async def _skip(self, job: IndexFile, reason: str) -> None:
        """List a file as skipped; passages of what it was before go."""
        written = await self._catalogue.skip(job.path, job.file, reason)
        if written is not None:
            self._wrote(written)

    def _wrote(self, written: Written) -> None:
        self._untidy = True
        self._book.put("table", written.state)
        self._progress.changed(written.version)

    async def _tidy_if_quiet(self) -> None:
        if not self._untidy or self._outstanding:
            return
        self._untidy = False
        if self._writer.filling and not (await asyncio.to_thread(self._book.counts)).waiting:
            # Every file is embedded by the present model.
            written = await self._writer.switch()
        else:
            written = await self._writer.tidy()
        self._book.put("table", written.state)
        self._progress.changed(written.version)

    async def _status(self) -> StorageStatus:
        counts = await asyncio.to_thread(self._book.counts)
        rate = self._progress.rate() if counts.waiting else 0.0
        return StorageStatus(
            folder=str(self._folder or ""),
            scanning=self._scanning,
            files=counts.files,
            indexed=counts.indexed,
            skipped=counts.skipped,
            waiting=counts.waiting,
            passages=counts.passages,
            files_per_second=round(rate, 2),
            seconds_left=round(counts.waiting / rate, 1) if rate else None,
            problem=self._problem,
        )


def _lower_priority(resources: AsyncExitStack) -> None:
    """Let everything else on the machine go before; children inherit it."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    if before < NICE:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)

        def restore() -> None:
            with contextlib.suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, 0, before)

        resources.callback(restore)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
