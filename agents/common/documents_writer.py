"""The librarian's hand on the table of passages: a child process that has LanceDB loaded.

Loaded LanceDB costs about 100 MB and is needed only while something changes,
so the process ends when it has been idle for a minute.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from agents.common.child import Child, serve_parent
from schemas.base import Message
from stores.documents import DocumentsWriter, FilePassages, Written

MODULE = "agents.common.documents_writer"
CALL_SECONDS = 600.0


class OpenTable(Message, frozen=True, kw_only=True):
    """Open the table below a folder; comes first in a new process."""

    folder: str
    model: str
    """Embedding model."""


class TableOpened(Message, frozen=True, kw_only=True):
    """Reply to OpenTable."""

    damaged: bool
    """A damaged version was set aside: some passages may be missing."""
    contents: dict[str, tuple[int, str]]
    """(Passages, content hash) of each file, by its identity."""


class ReplaceFiles(Message, frozen=True, kw_only=True):
    """Make these the passages of these files."""

    files: tuple[FilePassages, ...]


class RemoveFiles(Message, frozen=True, kw_only=True):
    """Remove what is known of these files, by identity."""

    files: tuple[str, ...]


class TidyTable(Message, frozen=True, kw_only=True):
    """Merge fragments and bring the indexes up to date."""


class TableWritten(Message, frozen=True, kw_only=True):
    """Reply to every change: the table after it, on disk."""

    written: Written


Order = OpenTable | ReplaceFiles | RemoveFiles | TidyTable


class WriterProcess:
    """Writes the table in a child process, which it starts and opens as needed."""

    def __init__(self, folder: Path, model: str) -> None:
        self._open_order = OpenTable(folder=str(folder), model=model)
        self._child = Child(MODULE)
        self._opened_by: int | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> TableOpened:
        """Open the table and say what is in it."""
        async with self._lock:
            return await self._open()

    async def replace(self, files: tuple[FilePassages, ...]) -> Written:
        """Make these the passages of these files; on disk on return."""
        return await self._change(ReplaceFiles(files=files))

    async def remove(self, files: tuple[str, ...]) -> Written:
        """Remove what is known of these files, by identity."""
        return await self._change(RemoveFiles(files=files))

    async def tidy(self) -> Written:
        """Merge fragments and bring the indexes up to date."""
        return await self._change(TidyTable())

    async def close(self) -> None:
        """End the process."""
        await self._child.close()

    async def _change(self, order: Message) -> Written:
        async with self._lock:
            if self._child.pid is None or self._child.pid != self._opened_by:
                await self._open()
            return (await self._child.call(order, TableWritten, timeout=CALL_SECONDS)).written

    async def _open(self) -> TableOpened:
        opened = await self._child.call(self._open_order, TableOpened, timeout=CALL_SECONDS)
        self._opened_by = self._child.pid
        return opened


class _Hand:
    """Carries orders out, in the child process."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._writer: DocumentsWriter | None = None

    def carry_out(self, order: Order) -> Message:
        return self._runner.run(self._carry_out(order))

    async def _carry_out(self, order: Order) -> Message:
        if isinstance(order, OpenTable):
            if self._writer is not None:
                self._writer.close()
            self._writer = DocumentsWriter(Path(order.folder), order.model)
            damaged = await self._writer.open()
            return TableOpened(damaged=damaged, contents=await self._writer.contents())
        assert self._writer is not None, "the table is opened first"
        written: Written
        match order:
            case ReplaceFiles(files=files):
                written = await self._writer.replace(files)
            case RemoveFiles(files=files):
                written = await self._writer.remove(files)
            case TidyTable():
                written = await self._writer.tidy()
        return TableWritten(written=written)


def main() -> None:
    """Run the child process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    hand: Any = _Hand()
    serve_parent(Order, hand.carry_out)


if __name__ == "__main__":
    main()
