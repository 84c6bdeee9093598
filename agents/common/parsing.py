"""From a file of any kind to passages, in a child process that may neither hang nor eat the memory.

What a file is is decided by its content; its name only tells source code and
Markdown from plain text. What cannot be read is a Refused whose message is the
reason, a whole sentence, that the file is listed with.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import stat
from pathlib import Path

from agents.common import formats
from agents.common.child import Child, serve_parent
from agents.common.formats import Awaited, Reading, media
from schemas.base import Message
from schemas.documents import Awaits
from schemas.errors import KaraisError, TimedOut, Unavailable
from schemas.failure import Code
from stores.chunking import MAX_PASSAGES, Piece

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


class ParsedFile(Message, frozen=True, kw_only=True):
    """Reply to ParseFile."""

    size: int
    """Bytes."""
    stamp_ns: int
    """Time of the last change, of content or permissions (``change_stamp``)."""
    content_hash: str
    """SHA-256 of the bytes, hex."""
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
        async with self._turn:
            try:
                request = ParseFile(folder=str(self._folder), path=path, known_hash=known_hash)
                return await self._child.call(request, ParsedFile, timeout=self._seconds)
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
        content_hash=content_hash,
        pieces=tuple(reading.pieces),
        unchanged=unchanged,
        remark=remark,
        awaits=awaits,
    )


def _read(request: ParseFile) -> tuple[os.stat_result, bytes]:
    """Return a file's status and content; of one that is too large only the beginning."""
    descriptor = open_inside(request.folder, request.path)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise KaraisError("It is no regular file.", code=Code.INVALID)
        most = before.st_size if before.st_size <= request.max_bytes else media.HEAD_BYTES
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(most + (most == before.st_size))
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or len(content) != most:
            raise KaraisError("It was being written while it was read.", code=Code.CONFLICT)
    except OSError as error:
        raise _unreadable(error) from None
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


def open_inside(folder: str, path: str) -> int:
    """Open a file below ``folder`` without following any link; returns the descriptor."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise KaraisError("Its path leads out of the storage.", code=Code.FORBIDDEN)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        current = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        for part in parts[:-1]:
            try:
                inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=current)
            finally:
                os.close(current)
            current = inner
        try:
            # Without O_NONBLOCK, opening a pipe would wait for its other end.
            return os.open(parts[-1], flags | os.O_NONBLOCK, dir_fd=current)
        finally:
            os.close(current)
    except OSError as error:
        raise _unreadable(error) from None
    except ValueError:
        raise KaraisError("Its name cannot be given to the file system.", code=Code.INVALID) from None


def _unreadable(error: OSError) -> KaraisError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return KaraisError("There is no permission to read it.", code=Code.FORBIDDEN)
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return KaraisError("It is a link, and links are not followed.", code=Code.FORBIDDEN)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return KaraisError("It is not there any more.", code=Code.NOT_FOUND)
    return KaraisError(f"It cannot be read: {error.strerror}.", code=Code.UNAVAILABLE)


def main() -> None:
    """Run the child process."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it finds wrong is not our log's matter
    serve_parent(ParseFile, parse)


if __name__ == "__main__":
    main()
