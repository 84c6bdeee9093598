"""An agent's hand on its table of passages: a child process that has LanceDB loaded.

Loaded LanceDB costs about 100 MB and is needed only while something changes,
so the process ends when it has been idle for a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from agents.common.child import Child, serve_parent
from bus.tasks import end
from schemas.base import Message
from schemas.errors import KaraisError
from stores.passages import Moved, PassagesWriter, SourcePassages, Written

log = logging.getLogger(__name__)

MODULE = "agents.common.table_writer"
CALL_SECONDS = 600.0
LONG_SECONDS = 3600.0
"""For what may copy or index a table of a million rows."""


class OpenTable(Message, frozen=True, kw_only=True):
    """Open a set of passages below a folder; comes first in a new process."""

    folder: str
    name: str
    model: str
    """Embedding model."""


class TableOpened(Message, frozen=True, kw_only=True):
    """Reply to OpenTable."""

    damaged: bool
    """A damaged version was set aside: some passages may be missing."""
    filling: bool
    """Readers still use the table of another embedding model, until SwitchTable."""
    contents: dict[str, tuple[int, str]]
    """(Passages, content hash) of each source, by its identity."""
    state: str
    """As ``Written.state``."""


class ReplaceSources(Message, frozen=True, kw_only=True):
    """Make these the passages of these sources."""

    sources: tuple[SourcePassages, ...]


class RemoveSources(Message, frozen=True, kw_only=True):
    """Remove what is known of these sources, by identity."""

    sources: tuple[str, ...]


class MoveSources(Message, frozen=True, kw_only=True):
    """Call these sources otherwise."""

    moves: tuple[Moved, ...]


class ForgetSources(Message, frozen=True, kw_only=True):
    """Remove what is known of these sources, and all that was removed before, from every file."""

    sources: tuple[str, ...]


class FindVectors(Message, frozen=True, kw_only=True):
    """Ask for the vectors of texts that were embedded before."""

    hashes: tuple[str, ...]


class VectorsFound(Message, frozen=True, kw_only=True):
    """Reply to FindVectors."""

    vectors: dict[str, bytes]
    """float32, little-endian, by the text's hash."""


class TidyTable(Message, frozen=True, kw_only=True):
    """Merge fragments and bring the indexes up to date."""


class FreshenTable(Message, frozen=True, kw_only=True):
    """Merge the small fragments and index what is new."""


class SwitchTable(Message, frozen=True, kw_only=True):
    """Let readers use the table of the present embedding model: it is complete."""


class TableWritten(Message, frozen=True, kw_only=True):
    """Reply to every change: the table after it, on disk."""

    written: Written


Order = (
    OpenTable
    | ReplaceSources
    | RemoveSources
    | MoveSources
    | ForgetSources
    | FindVectors
    | TidyTable
    | FreshenTable
    | SwitchTable
)


class WriterProcess:
    """Writes a set of passages in a child process, which it starts and opens as needed."""

    def __init__(self, folder: Path, name: str, model: str) -> None:
        """Write the set called ``name`` ("documents", "memory") below a folder, with this model's vectors."""
        self._open_order = OpenTable(folder=str(folder), name=name, model=model)
        self._child = Child(MODULE)
        self._opened_by: int | None = None
        self._lock = asyncio.Lock()
        self._freshening: asyncio.Task[None] | None = None
        self.filling = False
        """Whether readers still use another model's table (known after the first call): see ``switch``."""

    async def open(self) -> TableOpened:
        """Open the table and say what is in it."""
        async with self._lock:
            return await self._open()

    async def replace(self, sources: Sequence[SourcePassages]) -> Written:
        """Make these the passages of these sources; on disk on return."""
        return await self._change(ReplaceSources(sources=tuple(sources)))

    async def remove(self, sources: Sequence[str]) -> Written:
        """Remove what is known of these sources, by identity."""
        return await self._change(RemoveSources(sources=tuple(sources)))

    async def move(self, moves: Sequence[Moved]) -> Written:
        """Call sources otherwise, without embedding anything; ``touched`` is the number of passages moved."""
        return await self._change(MoveSources(moves=tuple(moves)))

    async def forget(self, sources: Sequence[str]) -> Written:
        """Remove these sources, and all that was removed before, from every file below the folder."""
        return await self._change(ForgetSources(sources=tuple(sources)), LONG_SECONDS)

    async def vectors_of(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the vectors of texts that were embedded before, by ``stores.passages.text_hash``."""
        found: VectorsFound = await self._call(FindVectors(hashes=tuple(hashes)), VectorsFound, CALL_SECONDS)
        return found.vectors

    async def tidy(self) -> Written:
        """Merge fragments and bring the indexes up to date."""
        return await self._change(TidyTable(), LONG_SECONDS)

    async def switch(self) -> Written:
        """After a change of the embedding model: let readers use the new table, which is complete."""
        written = await self._change(SwitchTable(), LONG_SECONDS)
        self.filling = False
        return written

    def hold(self, held: bool) -> None:
        """Stop the process where it stands, or let it go on."""
        self._child.hold(held)

    async def close(self) -> None:
        """End the process."""
        if self._freshening is not None:
            await end([self._freshening])
        await self._child.close()

    async def _change(self, order: Message, timeout: float = CALL_SECONDS) -> Written:
        written: Written = (await self._call(order, TableWritten, timeout)).written
        if written.due and (self._freshening is None or self._freshening.done()):
            # Behind the acknowledgement; the next change waits for a fraction of a second.
            self._freshening = asyncio.create_task(self._freshen())
        return written

    async def _freshen(self) -> None:
        try:
            await self._call(FreshenTable(), TableWritten, CALL_SECONDS)
        except KaraisError as error:
            log.warning("The table is slow until it is tidied: %s", error)

    async def _call(self, order: Message, reply: type[Any], timeout: float) -> Any:
        async with self._lock:
            if self._child.pid is None or self._child.pid != self._opened_by:
                await self._open()
            return await self._child.call(order, reply, timeout=timeout)

    async def _open(self) -> TableOpened:
        opened = await self._child.call(self._open_order, TableOpened, timeout=CALL_SECONDS)
        self._opened_by = self._child.pid
        self.filling = opened.filling
        return opened


class _Hand:
    """Carries orders out, in the child process."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._writer: PassagesWriter | None = None

    def carry_out(self, order: Order) -> Message:
        return self._runner.run(self._carry_out(order))

    async def _carry_out(self, order: Order) -> Message:
        if isinstance(order, OpenTable):
            return await self._open(order)
        writer = self._writer
        assert writer is not None, "the table is opened first"
        written: Written
        match order:
            case FindVectors(hashes=hashes):
                return VectorsFound(vectors=await writer.vectors_of(hashes))
            case ReplaceSources(sources=sources):
                written = await writer.replace(sources)
            case RemoveSources(sources=names):
                written = await writer.remove(names)
            case MoveSources(moves=moves):
                written = await writer.move(moves)
            case ForgetSources(sources=names):
                written = await writer.forget(names)
            case TidyTable():
                written = await writer.tidy()
            case FreshenTable():
                written = await writer.freshen()
            case SwitchTable():
                written = await writer.switch()
        return TableWritten(written=written)

    async def _open(self, order: OpenTable) -> TableOpened:
        if self._writer is not None:
            self._writer.close()
        writer = self._writer = PassagesWriter(Path(order.folder), order.name, order.model)
        damaged = await writer.open()
        return TableOpened(
            damaged=damaged,
            filling=writer.filling,
            contents=await writer.contents(),
            state=(await writer.version()).state,
        )


def main() -> None:
    """Run the child process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    hand: Any = _Hand()
    serve_parent(Order, hand.carry_out)


if __name__ == "__main__":
    main()
