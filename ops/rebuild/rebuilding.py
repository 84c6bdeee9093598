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
import shutil
import sqlite3
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from msgspec import Struct

from agents.librarian import Librarian
from agents.memory.learning import Learner
from bus import codec
from bus.connection import Bus, connect
from bus.identities import OPS
from bus.reading import batches
from bus.settings import Settings
from bus.streams import provision
from bus.subjects import ROOT
from ops import roster, running
from ops.rebuild.comparison import Difference, compare
from ops.rebuild.private_bus import RealEmbedder, RebuiltProjects, ReusingEmbedder, run_server, served
from ops.rebuild.progress import Progress, Rate, Tell
from ops.rebuild.switching import switch
from schemas.chat import Compacted, Deleted, Titled, Turn
from schemas.documents import GetStorageStatus
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.forgetting import TurnsForgotten
from schemas.memory import FactEdited, FactForgotten, FactLearned
from schemas.projects import ProjectChanged, ProjectRemoved
from stores.conversations import Conversations
from stores.facts import FactBook
from stores.passages import PassagesReader
from stores.projects import ProjectBook

OF_CHAT = (Turn, Compacted, Titled, Deleted, TurnsForgotten)
OF_MEMORY = (ProjectChanged, ProjectRemoved, FactLearned, FactEdited, FactForgotten)
STUCK_SECONDS = 180.0
"""Without any progress, after which a rebuild is given up."""
POLL_SECONDS = 0.5


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
                await resources.enter_async_context(run_server(settings, roster.load_all()))
            logs = await resources.enter_async_context(connect(settings, OPS))
            if not is_up:
                await provision(logs.jetstream, roster.load_all())
            known = () if embed else await _tables(settings)
            embedder = ReusingEmbedder(private, known, RealEmbedder(logs, settings, resources, is_up))
            await _fill(private, settings, logs, embedder, tell)
            differences = await compare(settings.memory, private.memory)
            if not check:
                await asyncio.to_thread(switch, settings, private.memory)
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
        await resources.enter_async_context(run_server(private, agents))
        own = await resources.enter_async_context(connect(private, OPS))
        await provision(own.jetstream, agents)
        await resources.enter_async_context(served(embedder))
        learner = Learner(own, private, conversations, facts)
        resources.push_async_callback(learner.close)
        await _index(learner, conversations, facts, tell)
        if private.storage is not None:
            async with served(RebuiltProjects(private, projects)), served(Librarian(private)):
                await _files(own, tell)
        # What was said meanwhile; the rest is followed after the switch.
        await _project(logs, conversations, projects, facts, tell)
        await _index(learner, conversations, facts, tell)
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
        rate = Rate(f"log {stream}", info.state.messages, tell)
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


async def _index(learner: Learner, conversations: Conversations, facts: FactBook, tell: Tell) -> None:
    """Write the passages of turns and facts that are not written yet."""
    turns = len(conversations.learn_from(conversations.position("learned"), -1))
    rate = Rate("turns and facts", turns + len(facts.numbered_from(facts.position("indexed"), -1)), tell)
    await learner.index_all(rate.more)


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
