"""The storage: the owner's files, the passages that they consist of, and finding them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.base import HOME, Acting, Message, OptionalToken, Token

MAX_QUERY_CHARS = 32_000

Kind = Literal["document", "turn", "fact"]
"""What a passage is a piece of: a file, something that was said, something that was learned."""


class Passage(Struct, frozen=True, kw_only=True):
    """A piece of a file, exactly as it stands there."""

    id: str
    """Identity of the passage: its source's identity, ``-`` and the passage's number in it."""
    path: str
    """File, relative to the storage, with ``/`` between folders; of a turn or fact its conversation."""
    text: str
    first_line: int = 0
    """First line in the file, from 1; 0 where the format has no lines."""
    last_line: int = 0
    page: int = 0
    """Page in the file, from 1; 0 where the format has no pages."""
    heading: str = ""
    """Headings above the passage, outermost first, joined by `` > ``."""
    score: float = 0.0
    """How well it matches the query, 0 to 1; only within one reply comparable."""
    kind: Kind = "document"
    project: Token = HOME
    at: float = 0.0
    """When the file was changed or the words were said, in seconds since the epoch; 0 when unknown."""


class Recall(Acting, frozen=True, kw_only=True):
    """Ask memory for what helps to answer a question."""

    query: Annotated[str, Meta(min_length=1, max_length=MAX_QUERY_CHARS)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 5
    kinds: tuple[Kind, ...] = ("document", "turn", "fact")
    """Only these."""
    after: float | None = None
    """Only what was changed or said at this time or later, in seconds since the epoch."""
    before: float | None = None
    """Only what was changed or said before this time."""
    as_of: float | None = None
    """Answer from what was known and valid at this time; None for now."""
    with_global: bool = False
    """Search the project ``global`` as well."""
    context: Annotated[tuple[str, ...], Meta(max_length=8)] = ()
    """Earlier questions of the conversation, newest last, for a question that needs them."""
    conversation: OptionalToken = ""
    """The conversation that asks: its own turns, which it has before it, are not searched."""
    neighbours: Annotated[int, Meta(ge=0, le=5)] = 0
    """Passages beside a hit, on either side, that may be among the ``limit``."""
    unsupported: bool = True
    """Answers too that no passage supported: what the model said by itself, right or wrong."""


class Recalled(Message, frozen=True, kw_only=True):
    """Reply to Recall."""

    passages: tuple[Passage, ...]
    """Best first; empty when nothing in the storage fits."""
    degraded: str = ""
    """Why the search was not complete (such as: no embedder), in one sentence; else empty."""


class OpenPassage(Acting, frozen=True, kw_only=True):
    """Ask for a passage with the text around it, to show where a citation comes from."""

    id: Annotated[str, Meta(max_length=200)]


class PassageInContext(Message, frozen=True, kw_only=True):
    """Reply to OpenPassage."""

    passage: Passage
    before: str
    """Text of the file directly before the passage."""
    after: str
    """Text of the file directly after the passage."""


FileState = Literal["waiting", "indexed", "skipped"]
Awaits = Literal["image", "scan", "audio", "video"]
"""What a file is that another agent has to read; a scan is a document of images without text."""


class FileEntry(Struct, frozen=True, kw_only=True):
    """A file of the storage and how far the librarian came with it."""

    path: str
    state: FileState
    bytes: int = 0
    passages: int = 0
    reason: str = ""
    """Why it was skipped or what it waits for, in one sentence; of an indexed file, what was left out."""
    awaits: Awaits | None = None
    """Waits for another agent, which has to read what it is; None for what the librarian reads."""
    file: str = ""
    """Identity of the file (``IndexFile.file``)."""
    project: str = HOME


class StorageStatus(Message, frozen=True, kw_only=True):
    """How far indexing came; also published while it runs."""

    folder: str
    """The storage; empty when none is configured."""
    scanning: bool = False
    """The folders are still being walked, so the counts will grow."""
    files: int = 0
    indexed: int = 0
    skipped: int = 0
    waiting: int = 0
    """Files that the librarian has yet to read."""
    awaiting: int = 0
    """Files that wait for another agent: images, scans, recordings, films."""
    passages: int = 0
    files_per_second: float = 0.0
    """Rate of the present run; 0 when nothing is being indexed."""
    passages_per_second: float = 0.0
    seconds_left: float | None = None
    """Estimate for the present run; None while it cannot be known."""
    problem: str = ""
    """Why nothing can be indexed at present, in one sentence; else empty."""
    polling: str = ""
    """Why changes are looked for each minute instead of noticed at once, in one sentence; else empty."""


class GetStorageStatus(Acting, frozen=True, kw_only=True):
    """Ask the librarian how far indexing came."""


class ListFiles(Acting, frozen=True, kw_only=True):
    """Ask the librarian for the files of the storage."""

    state: FileState | None = None
    """Only those in this state."""
    awaits: Awaits | None = None
    """Only those that wait for another agent to read this."""
    after: str = ""
    """Only paths behind this one, for paging."""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class Files(Message, frozen=True, kw_only=True):
    """Reply to ListFiles, sorted by path."""

    files: tuple[FileEntry, ...]


class Rescan(Acting, frozen=True, kw_only=True):
    """Ask the librarian to walk the storage again now. Replied with StorageStatus."""


class IndexFile(Acting, frozen=True, kw_only=True):
    """Job: read a file, cut it into passages, embed them, replace what was known of it."""

    file: str
    """Identity of the file: the first 32 hex digits of the SHA-256 of its path."""
    path: str
    """File, relative to the storage."""


class FileAwaits(Message, frozen=True, kw_only=True):
    """A file was found that the librarian does not read itself.

    Whoever reads such files takes them from here as they come, and those that
    came while it did not listen by ``ListFiles`` with ``awaits``.
    """

    kind: Awaits
    file: str
    """Identity of the file."""
    path: str
    project: str = HOME


class StorageChanged(Message, frozen=True, kw_only=True):
    """Passages were written or removed; readers of the table should look again."""

    version: int
    """Version of the LanceDB table."""
