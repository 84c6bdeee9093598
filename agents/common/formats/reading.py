"""What reading a file gives, or why it gives nothing."""

from __future__ import annotations

from msgspec import Struct

from schemas.documents import Awaits
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.chunking import Piece


class Reading(Struct, frozen=True, kw_only=True):
    """The passages of a file."""

    pieces: list[Piece]
    remark: str = ""
    """What was left out, in one sentence."""


class Awaited(Exception):
    """The file holds what another agent has to read."""

    def __init__(self, kind: Awaits, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        """In one sentence."""


def refusal(reason: str, code: Code = Code.INVALID) -> KaraisError:
    """Return the error that a file is skipped with."""
    return KaraisError(reason, code=code)


def clean(text: str) -> str:
    """Return text without lone surrogates, which can be neither stored nor sent."""
    return text.encode("utf-8", "replace").decode("utf-8")
