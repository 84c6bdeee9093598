"""The librarian's agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from contextlib import AsyncExitStack

from agents.common.giving_way import GivingWay
from agents.common.parsing import Parser
from agents.common.table_writer import WriterProcess
from agents.librarian.catalogue import TABLE, Catalogue
from agents.librarian.indexing import Indexer
from agents.librarian.keeping import Keeper
from agents.librarian.progress import Progress
from agents.librarian.shelf import Shelf
from bus.agent import Agent, answers, every, hears, works
from bus.tasks import end
from schemas.chat import Answering
from schemas.documents import (
    FileAwaits,
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
from schemas.projects import ListProjects, ProjectChanged, ProjectRemoved, Projects
from stores.files import FileBook, file_identity
from stores.passages import Written
from stores.passages.upkeep import KEEP_VERSIONS

log = logging.getLogger(__name__)

NICE = 10
RESCAN_SECONDS = 2.0
OUTSTANDING = 256
"""Jobs that are in the queue at a time, at most; further files wait in the book."""
SLOTS = 48
"""Files at a time: most are short, and the embedder and the writer work best on some hundred passages."""
ATTEMPTS = 5
PROJECTS_SECONDS = 10.0
"""How long a call for the projects waits for memory, which may be starting."""


class Librarian(Agent):
    """Knows the files of the storage: watches it, reads what changed, keeps the passages."""

    kind = "librarian"
    calls = (Embed, ListProjects)
    publishes = (FileAwaits, IndexFile, StorageChanged, StorageStatus)

    async def start(self, resources: AsyncExitStack) -> None:
        """Open the book and begin to walk; the table is opened when there is something to write."""
        _lower_priority(resources)
        settings = self.settings
        self._book = await asyncio.to_thread(FileBook, settings.memory / "files.db")
        resources.callback(self._book.close)
        self._writer = WriterProcess(settings.memory / "lance", TABLE, settings.embedding_model)
        resources.push_async_callback(self._writer.close)
        self._way = GivingWay(self._hold)
        resources.callback(self._way.close)
        self._catalogue = Catalogue(self._book, self._writer, settings, self._wrote)
        self._progress = Progress(self.bus, self._status)
        self._outstanding: set[str] = set()
        self._feeding = asyncio.Lock()
        self._problem = ""
        self._untidy = False
        self._done_before = 0
        self.condition.queued = lambda: len(self._outstanding)
        self._folders: dict[str, str] | None = None
        """Folders of projects, once memory has said them."""
        self._heard: dict[str, tuple[int, str]] = {}
        """By project, the folder that was heard of last, and its number among all that was heard."""
        self._hearings = 0
        self._assigning = asyncio.Lock()
        self.bus.reconnected.append(self._ask_for_projects)
        self._dropping: asyncio.Task[None] | None = None
        tasks = [asyncio.create_task(self._progress.run()), asyncio.create_task(self._learn_projects())]
        self._tasks = tasks
        self._indexer: Indexer | None = None
        self._keeper: Keeper | None = None
        if settings.storage is not None:
            parser = Parser(settings.storage)
            resources.push_async_callback(parser.close)
            shelf = Shelf(self._writer, self._wrote)
            self._indexer = Indexer(self.bus, self._book, self._writer, self._catalogue, shelf, parser)
            self._keeper = Keeper(settings.storage, settings.home, self._catalogue, parser, self._looked)
            tasks.append(asyncio.create_task(self._keeper.run()))
        resources.push_async_callback(end, tasks)

    @hears(Answering)
    async def give_way(self, said: Answering) -> None:
        """Read and write nothing while an answer runs."""
        self._way.heard(said)

    @hears(ProjectChanged, ProjectRemoved)
    async def hear_of_project(self, entry: ProjectChanged | ProjectRemoved) -> None:
        """Give a project the files of its folder, and take those of a folder that it has no longer."""
        folder = entry.now.folder if isinstance(entry, ProjectChanged) else ""
        self._hearings += 1
        self._heard[entry.project] = (self._hearings, folder)
        if self._folders is None:
            return  # memory is being asked for all of them
        folders = {**self._folders, entry.project: folder}
        await self._assign({project: folder for project, folder in folders.items() if folder})

    @works(IndexFile, slots=SLOTS)
    async def index(self, job: IndexFile) -> None:
        """Read a file, embed its passages, replace what was known of it."""
        if job.file != file_identity(job.path):
            raise KaraisError(
                f"{job.file} is not the identity of {job.path}.", code=Code.INVALID, field="$.file"
            )
        if self._indexer is None:
            return
        known = await asyncio.to_thread(self._book.known, job.path)
        passages = 0
        if known is not None:
            try:
                passages = await self._indexer.index(job, known)
            except Exception as error:
                if isinstance(error, KaraisError):
                    self._problem = "" if error.code is Code.CONFLICT else str(error)
                    if error.code is not Code.CONFLICT:
                        raise
                if await asyncio.to_thread(self._book.failed, job.path) < ATTEMPTS:
                    raise
                reason = str(error)
                if not isinstance(error, KaraisError):
                    log.exception("%s failed %d times and is skipped", job.path, ATTEMPTS)
                    reason = f"Reading it failed ({type(error).__name__}); the librarian's log says why."
                await self._catalogue.skip(job.path, job.file, reason, stamp_ns=known.stamp_ns)
            self._problem = ""
        self._outstanding.discard(job.file)
        self._progress.done(passages)
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
            self._book.entries, state=ask.state, awaits=ask.awaits, after=ask.after, limit=ask.limit
        )
        return Files(files=entries)

    @answers(Rescan)
    async def rescan(self, ask: Rescan) -> StorageStatus:
        """Walk the storage again; a walk of more than two seconds goes on behind the reply."""
        if self._keeper is not None:
            await self._keeper.rescan(RESCAN_SECONDS)
        return await self._status()

    @every(seconds=60)
    async def resume(self) -> None:
        """Hand over again what came to nothing: jobs may have gone to the dead letters."""
        if self._progress.total == self._done_before and (
            self._outstanding or (await asyncio.to_thread(self._book.counts)).waiting
        ):
            self._outstanding.clear()
            await self._feed()
        self._done_before = self._progress.total

    async def _looked(self) -> None:
        self._progress.wake()
        await self._feed()
        await self._tidy_if_quiet()

    async def _feed(self) -> None:
        """Hand over jobs for files that wait, while the queue has room for them."""
        async with self._feeding:
            room = OUTSTANDING - len(self._outstanding)
            files = await asyncio.to_thread(self._book.waiting, room + len(self._outstanding))
            fresh = [found for found in files if found[1] not in self._outstanding][:room]
            if fresh:
                self._progress.wake()
            for path, file, project in fresh:
                self._outstanding.add(file)
                try:
                    await self.bus.submit(IndexFile(file=file, path=path, project=project))
                except KaraisError as error:
                    self._outstanding.discard(file)
                    self._problem = str(error)
                    log.warning("%s", error)
                    return

    def _hold(self, held: bool) -> None:
        self._writer.hold(held)
        if self._indexer is not None:
            self._indexer.hold(held)

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
        if self._dropping is None or self._dropping.done():
            self._dropping = asyncio.create_task(self._drop_old_versions())
            self._tasks[:] = [task for task in self._tasks if not task.done()] + [self._dropping]

    async def _drop_old_versions(self) -> None:
        """Tidy once more when readers have left the older versions: a deleted file's text is in them."""
        await asyncio.sleep(2 * KEEP_VERSIONS.total_seconds())
        if not self._untidy:
            written = await self._writer.tidy()
            self._book.put("table", written.state)
            self._progress.changed(written.version)

    async def _learn_projects(self) -> None:
        """Ask memory for the projects until it says; what was kept from the last time counts meanwhile."""
        while True:
            asked = self._hearings
            try:
                found: Projects = await self.bus.call(ListProjects(), patience=PROJECTS_SECONDS)
                break
            except KaraisError as error:
                log.info("the projects are not known yet: %s", error)
                await asyncio.sleep(1)
        folders = {one.project: one.folder for one in found.projects}
        # What was changed after memory replied may have been heard before the reply.
        folders |= {project: folder for project, (number, folder) in self._heard.items() if number > asked}
        await self._assign({project: folder for project, folder in folders.items() if folder})

    def _ask_for_projects(self) -> None:
        self._asking = asyncio.ensure_future(self._learn_projects())  # changes may have been missed

    async def _assign(self, folders: dict[str, str]) -> None:
        """Files change their project with their passages; none is embedded again."""
        async with self._assigning:
            self._folders = folders
            if await self._catalogue.set_folders(folders):
                self._progress.wake()

    async def _status(self) -> StorageStatus:
        counts = await asyncio.to_thread(self._book.counts)
        files, passages = self._progress.rates() if counts.waiting else (0.0, 0.0)
        keeper = self._keeper
        return StorageStatus(
            folder=str(self.settings.storage or ""),
            scanning=keeper is not None and keeper.scanning,
            files=counts.files,
            indexed=counts.indexed,
            skipped=counts.skipped,
            waiting=counts.waiting,
            awaiting=counts.awaiting,
            passages=counts.passages,
            files_per_second=round(files, 2),
            passages_per_second=round(passages, 1),
            seconds_left=round(counts.waiting / files, 1) if files else None,
            problem=(keeper.problem if keeper is not None else "") or self._problem,
            polling=keeper.polling if keeper is not None else "",
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
