"""Building memory anew from the storage and the logs, beside the one in use, and switching over to it.

The projections are applied from the logs; the files are read and the passages
written by the very agents that do it day by day, on a private bus, so that
nothing of the running KARAIS is touched. Vectors of texts that were embedded
before are taken over. Only when all is there are the two folders exchanged, in
one step; memory and librarian then start again on the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from agents.embedder import Embedder
from agents.librarian import Librarian
from agents.memory.learning import Learner
from bus import codec, server
from bus.agent import Agent, answers
from bus.connection import Bus, connect
from bus.identities import OPS
from bus.reading import batches
from bus.runtime import serve
from bus.settings import Settings
from bus.streams import provision
from bus.subjects import ROOT
from ops import processes, roster, running
from ops.comparison import Difference, compare
from schemas.chat import Deleted, Titled, Turn
from schemas.documents import GetStorageStatus
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.forgetting import TurnsForgotten
from schemas.memory import FactEdited, FactForgotten, FactLearned
from schemas.projects import ListProjects, ProjectChanged, ProjectRemoved, Projects
from stores.conversations import Conversations
from stores.facts import FactBook
from stores.passages import PassagesReader, text_hash
from stores.projects import ProjectBook

OF_CHAT = (Turn, Titled, Deleted, TurnsForgotten)
OF_MEMORY = (ProjectChanged, ProjectRemoved, FactLearned, FactEdited, FactForgotten)
AGENTS = ("memory", "librarian")
"""Those that have the memory folder open."""
STUCK_SECONDS = 180.0
"""Without any progress, after which a rebuild is given up."""
POLL_SECONDS = 0.5
_EXCHANGE = 2
_AT_FDCWD = -100


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What came of a rebuild."""

    differences: tuple[Difference, ...]
    same: bool
    """Nothing differs."""
    switched: bool
    """The rebuilt memory is the one in use now."""
    embedded: int
    """Texts that had to be embedded."""
    reused: int
    """Texts whose vectors were taken over."""
    seconds: float


class Progress(Struct, frozen=True, kw_only=True):
    """How far it came."""

    step: str
    done: int
    total: int
    per_second: float = 0.0
    seconds_left: float | None = None


Tell = Callable[[Progress], None]


class ReusingEmbedder(Agent):
    """The private bus's embedder: takes vectors from the memory in use, and asks the real one for others."""

    kind = "embedder"

    def __init__(self, settings: Settings, known: tuple[PassagesReader, ...], ask: _Real) -> None:
        super().__init__(settings)
        self._known = known
        self._ask = ask
        self.reused = 0
        self.embedded = 0

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        """Return the vectors of texts."""
        hashes = [text_hash(text) for text in ask.texts]
        found: dict[str, bytes] = {}
        for table in self._known:
            if table.model == self.settings.embedding_model:
                found |= await table.vectors_of(set(hashes) - found.keys())
        missing = [text for text, name in zip(ask.texts, hashes, strict=True) if name not in found]
        self.reused += len(ask.texts) - len(missing)
        self.embedded += len(missing)
        if missing:
            width = 4 * (reply := await self._ask(tuple(missing))).dimensions
            for n, text in enumerate(missing):
                found[text_hash(text)] = bytes(reply.data[n * width : (n + 1) * width])
        data = b"".join(found[name] for name in hashes)
        return Vectors(
            model=self.settings.embedding_model,
            rows=len(hashes),
            dimensions=len(data) // len(hashes) // 4,
            data=data,
        )


class RebuiltProjects(Agent):
    """Stands for memory on the private bus, as far as the librarian asks it."""

    kind = "memory"

    def __init__(self, settings: Settings, projects: ProjectBook) -> None:
        super().__init__(settings)
        self._projects = projects

    @answers(ListProjects)
    async def list_projects(self, ask: ListProjects) -> Projects:
        """Return all projects."""
        return Projects(projects=await asyncio.to_thread(self._projects.all))


class _Real:
    """The real embedder: the one that runs, else one in this process, started when it is needed."""

    def __init__(self, bus: Bus, settings: Settings, resources: AsyncExitStack, is_up: bool) -> None:
        self._bus = bus
        self._settings = settings
        self._resources = resources
        self._started = is_up
        self._starting = asyncio.Lock()

    async def __call__(self, texts: tuple[str, ...]) -> Vectors:
        async with self._starting:
            if not self._started:
                await self._resources.enter_async_context(_served(Embedder(self._settings)))
                self._started = True
        vectors: Vectors = await self._bus.call(Embed(texts=texts), timeout=120.0, patience=60.0)
        return vectors


async def rebuild(settings: Settings, tell: Tell, *, check: bool = False, embed: bool = False) -> Rebuilt:
    """Rebuild memory, compare it with the one in use and, unless ``check``, switch over to it.

    ``embed`` embeds every text anew. Raises KaraisError when something is not
    there that is needed, or when another rebuild runs; then nothing changed.
    """
    began = time.monotonic()
    lock = running.Lock(settings.run / "rebuild.lock")
    if not lock.take():
        raise KaraisError(f"A rebuild of {settings.home} runs already: wait for its end.", code=Code.CONFLICT)
    place = settings.rebuilding
    try:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        private = msgspec.structs.replace(settings, home=place, nats="", bus_port=0)
        async with AsyncExitStack() as resources:
            is_up = running.is_up(settings)
            if not is_up and not settings.nats:
                await resources.enter_async_context(_server(settings, roster.load_all()))
            logs = await resources.enter_async_context(connect(settings, OPS))
            if not is_up:
                await provision(logs.jetstream, roster.load_all())
            known = () if embed else await _tables(settings)
            embedder = ReusingEmbedder(private, known, _Real(logs, settings, resources, is_up))
            await _fill(private, settings, logs, embedder, tell)
            differences = await compare(settings.memory, private.memory)
            if not check:
                await asyncio.to_thread(_switch, settings, private.memory)
        return Rebuilt(
            differences=differences,
            same=all(one.same for one in differences),
            switched=not check,
            embedded=embedder.embedded,
            reused=embedder.reused,
            seconds=round(time.monotonic() - began, 2),
        )
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        lock.release()


async def _fill(
    private: Settings, settings: Settings, logs: Bus, embedder: ReusingEmbedder, tell: Tell
) -> None:
    """Make everything anew in the private place."""
    async with AsyncExitStack() as resources:
        files = private.memory
        conversations = await asyncio.to_thread(Conversations, files / "conversations.db")
        resources.callback(conversations.close)
        projects = await asyncio.to_thread(ProjectBook, files / "projects.db")
        resources.callback(projects.close)
        facts = await asyncio.to_thread(FactBook, files / "facts.db")
        resources.callback(facts.close)
        await _project(logs, conversations, projects, facts, tell)

        agents = (ReusingEmbedder, RebuiltProjects, Librarian)
        await resources.enter_async_context(_server(private, agents))
        own = await resources.enter_async_context(connect(private, OPS))
        await provision(own.jetstream, agents)
        await resources.enter_async_context(_served(embedder))
        await _index(own, private, conversations, facts, tell)
        if private.storage is not None:
            async with _served(RebuiltProjects(private, projects)), _served(Librarian(private)):
                await _files(own, tell)
        # What was said meanwhile; the rest is followed after the switch.
        await _project(logs, conversations, projects, facts, tell)
        await _index(own, private, conversations, facts, tell)
        # Facts are taken only from turns that the memory in use had not looked at.
        learned = await asyncio.to_thread(_learned, settings.memory / "conversations.db")
        conversations.set_position("learned", min(learned, conversations.position("learned")))


def _learned(file: Path) -> int:
    """Return how far the memory in use came with learning; it is not opened as its owner would."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database,
    ):
        row = database.execute("SELECT value FROM meta WHERE key = 'read.learned'").fetchone()
        return int(row[0]) if row else 0
    return 0


async def _project(
    logs: Bus, conversations: Conversations, projects: ProjectBook, facts: FactBook, tell: Tell
) -> None:
    """Apply the logs to the projections, from where they stand."""
    steps: tuple[tuple[str, tuple[type, ...], int], ...] = (
        ("CHAT", OF_CHAT, conversations.followed_until()),
        ("MEMORY", OF_MEMORY, min(projects.followed_until(), facts.followed_until())),
    )
    for stream, types, after in steps:
        info = await logs.jetstream.stream_info(stream)
        for projection in (conversations,) if stream == "CHAT" else (projects, facts):
            projection.belongs_to(str(getattr(info, "created", "") or ""), info.state.last_seq)
        rate = _Rate(f"log {stream}", info.state.messages, tell)
        async for entries in batches(logs, stream, f"{ROOT}.{stream.lower()}.>", after):
            for sequence, _, payload in entries:
                try:
                    entry = codec.decode(types, payload)
                except KaraisError:
                    continue  # as those who follow the log do
                if stream == "CHAT":
                    await asyncio.to_thread(conversations.apply, entry, sequence)
                elif isinstance(entry, ProjectChanged | ProjectRemoved):
                    await asyncio.to_thread(projects.apply, entry, sequence)
                    await asyncio.to_thread(facts.pass_over, sequence)
                else:
                    await asyncio.to_thread(facts.apply, entry, sequence)
                    await asyncio.to_thread(projects.pass_over, sequence)
            rate.more(len(entries))


async def _index(
    own: Bus, private: Settings, conversations: Conversations, facts: FactBook, tell: Tell
) -> None:
    """Write the passages of turns and facts that are not written yet."""
    turns = len(conversations.learn_from(conversations.position("learned"), -1))
    rate = _Rate("turns and facts", turns + len(facts.numbered_from(facts.position("indexed"), -1)), tell)
    await Learner(own, private, conversations, facts).index_all(rate.more)


async def _files(own: Bus, tell: Tell) -> None:
    """Wait until the storage is read."""
    last, moved, quiet = None, time.monotonic(), 0
    while quiet < 3:
        now = await own.call(GetStorageStatus(), patience=10)
        tell(
            Progress(
                step="files",
                done=now.files - now.waiting,
                total=now.files,
                per_second=now.files_per_second,
                seconds_left=now.seconds_left,
            )
        )
        quiet = 0 if now.scanning or now.waiting or now.problem else quiet + 1
        if (now.files, now.waiting, now.scanning) != last:
            last, moved = (now.files, now.waiting, now.scanning), time.monotonic()
        if time.monotonic() - moved > STUCK_SECONDS:
            raise Unavailable(f"The storage is not read further: {now.problem or 'see the log'}")
        await asyncio.sleep(POLL_SECONDS)


async def _tables(settings: Settings) -> tuple[PassagesReader, ...]:
    """Return readers of the tables in use."""
    tables = tuple(
        PassagesReader(settings.memory / "lance", name, settings.embedding_model)
        for name in ("documents", "memory")
    )
    for table in tables:
        await table.refresh()
    return tables


def _switch(settings: Settings, rebuilt: Path) -> None:
    """Put the rebuilt memory into the place of the one in use, and have its agents start again."""
    found = [one for one in processes.find(settings.home) if one.name in AGENTS]
    for one in found:  # nothing may be written between the exchange and their end
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGSTOP)
    try:
        settings.memory.mkdir(parents=True, exist_ok=True)
        _sync(rebuilt)
        _exchange(rebuilt, settings.memory)
    finally:
        # What they had not finished is in the logs and queues, as after any kill.
        for one in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders in one step; where the file system cannot, in two."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    if done != 0:
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), str(other))
        aside = one.with_name("memory.old")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)
    for folder in (one.parent, other.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Bring a folder to the disk before it is relied on."""
    for root, _, names in os.walk(folder, topdown=False):
        for path in (*(os.path.join(root, name) for name in names), root):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


@asynccontextmanager
async def _server(settings: Settings, agents: tuple[type[Agent], ...]) -> AsyncIterator[None]:
    """Run the bus of a data folder while the block runs."""
    plan = server.prepare(settings, agents)
    null = subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*plan.argv, stdin=null, stdout=null, stderr=null)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _served(agent: Agent) -> AsyncIterator[None]:
    """Run an agent in this process while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(agent, stop=stop))
    try:
        while agent.condition.state == "starting":
            if task.done():
                task.result()
            await asyncio.sleep(0.02)
        yield
    finally:
        stop.set()
        await task


class _Rate:
    """Counts what is done of a step."""

    def __init__(self, step: str, total: int, tell: Tell) -> None:
        self._step, self._total, self._tell = step, total, tell
        self._done = 0
        self._began = time.monotonic()

    def more(self, count: int) -> None:
        """Say that so many more are done."""
        self._done += count
        rate = self._done / max(time.monotonic() - self._began, 1e-3)
        left = max(0, self._total - self._done)
        self._tell(
            Progress(
                step=self._step,
                done=self._done,
                total=max(self._total, self._done),
                per_second=round(rate, 1),
                seconds_left=round(left / rate, 1),
            )
        )
