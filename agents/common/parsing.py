"""From a file of any kind to passages, in a child process that may neither hang nor eat the memory.

What a file is is decided by its content; its name only tells source code and
Markdown from plain text. What cannot be read is a Refused whose message is the
reason, a whole sentence, that the file is listed with. The process can read the
storage and its own libraries, write nowhere and reach no network.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from pathlib import Path
from typing import TypeVar

from agents.common import formats
from agents.common.beneath import open_beneath, unreadable
from agents.common.child import Child, serve_parent
from agents.common.confinement import confine
from agents.common.formats import Awaited, Reading, media
from schemas.base import Message
from schemas.documents import Awaits
from schemas.errors import KaraisError, TimedOut, Unavailable
from schemas.failure import Code
from stores.chunking import MAX_PASSAGES, Piece

Reply = TypeVar("Reply", bound=Message)

MODULE = "agents.common.parsing"
MAX_FILE_BYTES = 50 * 10**6
SECONDS = 60.0
MEMORY_BYTES = 1536 * 2**20
"""Address space of the parser, of which the interpreter and its libraries take about a third."""


class ParseFile(Message, frozen=True, kw_only=True):
    """Read a file and cut it into passages."""

    folder: str
    """The storage."""
    path: str
    """File, relative to the storage."""
    max_bytes: int = MAX_FILE_BYTES
    known_hash: str = ""
    """If the content still has this hash, no passages are needed."""


class DigestFile(Message, frozen=True, kw_only=True):
    """Say what a file's content is, without reading it as a document. Replied with FileDigest."""

    folder: str
    """The storage."""
    path: str
    """File, relative to the storage."""
    max_bytes: int = MAX_FILE_BYTES


class FileDigest(Message, frozen=True, kw_only=True):
    """Reply to DigestFile."""

    size: int
    """Bytes."""
    stamp_ns: int
    """As in ParsedFile."""
    modified: float
    """As in ParsedFile."""
    content_hash: str
    """SHA-256 of the bytes, hex; empty for what is too large to be read."""


class ParsedFile(Message, frozen=True, kw_only=True):
    """Reply to ParseFile."""

    size: int
    """Bytes."""
    stamp_ns: int
    """Time of the last change, of content or permissions (``change_stamp``)."""
    modified: float
    """When the content was changed, as the file system says: seconds since the epoch."""
    content_hash: str
    """SHA-256 of the bytes, hex; empty for what was not read whole."""
    pieces: tuple[Piece, ...]
    unchanged: bool = False
    """The content is what ``known_hash`` said; there are no pieces."""
    remark: str = ""
    """What was left out, or what the file waits for, in one sentence."""
    awaits: Awaits | None = None
    """Another agent has to read what the file is; there are no pieces."""


class Parser:
    """Parses files, one at a time, in a process that is limited in time and memory."""

    def __init__(self, folder: Path, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._seconds = seconds
        self._child = Child(MODULE, memory_bytes=memory_bytes)
        self._turn = asyncio.Lock()

    async def parse(self, path: str, known_hash: str = "") -> ParsedFile:
        """Return the passages of a file; raises KaraisError with the reason to skip it."""
        request = ParseFile(folder=str(self._folder), path=path, known_hash=known_hash)
        return await self._call(request, ParsedFile)

    async def digest(self, path: str) -> FileDigest:
        """Return what a file's content is; raises KaraisError when it cannot be read."""
        return await self._call(DigestFile(folder=str(self._folder), path=path), FileDigest)

    async def _call(self, request: Message, reply: type[Reply]) -> Reply:
        async with self._turn:
            try:
                return await self._child.call(request, reply, timeout=self._seconds)
            except TimedOut:
                raise KaraisError(
                    f"Reading it took longer than {self._seconds:g} s.", code=Code.TOO_LARGE
                ) from None
            except Unavailable:
                raise KaraisError(
                    "Reading it needed more memory than allowed, or the file broke its parser.",
                    code=Code.TOO_LARGE,
                ) from None

    async def close(self) -> None:
        """End the process."""
        await self._child.close()


def parse(request: ParseFile) -> ParsedFile:
    """Read one file and cut it into passages; runs in the child process."""
    status, content = _read(request)
    content_hash = hashlib.sha256(content).hexdigest()
    reading = Reading(pieces=[])
    awaits = None
    unchanged = content_hash == request.known_hash
    if not unchanged:
        try:
            media.check(content[: media.HEAD_BYTES])
            _check_size(status.st_size, request.max_bytes)
            reading = formats.read(request.path, content)
        except Awaited as awaited:
            awaits = awaited.kind
            reading = Reading(pieces=[], remark=awaited.reason)
    remark = reading.remark
    if len(reading.pieces) >= MAX_PASSAGES:
        remark = f"Only its first {MAX_PASSAGES:,} passages are indexed."
    return ParsedFile(
        size=status.st_size,
        stamp_ns=change_stamp(status),
        modified=status.st_mtime,
        content_hash=content_hash if len(content) == status.st_size else "",
        pieces=tuple(reading.pieces),
        unchanged=unchanged,
        remark=remark,
        awaits=awaits,
    )


def digest(request: DigestFile) -> FileDigest:
    """Read one file and return what its content is; runs in the child process."""
    status, content = _read(request)
    whole = len(content) == status.st_size
    return FileDigest(
        size=status.st_size,
        stamp_ns=change_stamp(status),
        modified=status.st_mtime,
        content_hash=hashlib.sha256(content).hexdigest() if whole else "",
    )


class _Reader:
    """Answers requests; confined to the first one's storage, which all others share."""

    def __init__(self) -> None:
        self._folder = ""

    def answer(self, request: ParseFile | DigestFile) -> ParsedFile | FileDigest:
        if not self._folder:
            confine([request.folder])
            self._folder = request.folder
        return digest(request) if isinstance(request, DigestFile) else parse(request)


def _read(request: ParseFile | DigestFile) -> tuple[os.stat_result, bytes]:
    """Return a file's status and content; of one that is too large only the beginning."""
    descriptor = open_beneath(request.folder, request.path)
    try:
        before = os.fstat(descriptor)
        most = before.st_size if before.st_size <= request.max_bytes else media.HEAD_BYTES
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(most + (most == before.st_size))
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or len(content) != most:
            raise KaraisError("It was being written while it was read.", code=Code.CONFLICT)
    except OSError as error:
        raise unreadable(error) from None
    finally:
        os.close(descriptor)
    return before, content


def too_large(size: int, most: int = MAX_FILE_BYTES) -> str:
    """Return why a file of ``size`` bytes is not read; empty when it may be."""
    if size <= most:
        return ""
    return f"It has {size / 1e6:,.0f} MB; files of more than {most / 1e6:,.0f} MB are not read."


def _check_size(size: int, most: int) -> None:
    if reason := too_large(size, most):
        raise KaraisError(reason, code=Code.TOO_LARGE)


def change_stamp(status: os.stat_result) -> int:
    """Return when a file last changed, ns since the epoch.

    Its status counts as well as its content: permission to read it may have
    been given, and programs that set the time of the content back are common.
    """
    return max(status.st_mtime_ns, status.st_ctime_ns)


def main() -> None:
    """Run the child process."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it finds wrong is not our log's matter
    serve_parent(ParseFile | DigestFile, _Reader().answer)


if __name__ == "__main__":
    main()
