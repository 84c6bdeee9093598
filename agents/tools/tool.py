"""What a tool is to the agent, wherever it comes from."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from schemas.documents import Passage
from schemas.tools import CallTool, Outcome, ToolEntry


class Given(NamedTuple):
    """What a tool gave."""

    text: str
    failed: bool = False
    """The tool says that it failed; the text is why."""
    truncated: bool = False
    """Text was left out already."""
    passages: tuple[Passage, ...] = ()


class NotDoneError(Exception):
    """A call that ends without the tool's own result; its text is one sentence for the model."""

    def __init__(self, outcome: Outcome, message: str, *, field: str = "", untrusted: bool = False) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        self.field = field
        self.untrusted = untrusted
        """The message quotes what came from outside."""


Work = Callable[[], Awaitable[Given]]


@dataclass(frozen=True)
class Tool:
    """A tool that can be called."""

    entry: ToolEntry
    prepare: Callable[[CallTool], Work]
    """Checks the arguments and returns the work; raises NotDoneError and does nothing else."""


INVISIBLE = ("Cc", "Cf", "Co", "Cs", "Cn")


def cleaned(text: str) -> str:
    """Return text without what a person would not see: control characters, tags, marks of direction.

    Orders to a model are hidden in such characters. Line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in INVISIBLE)


def shortened(text: str, limit: int) -> str:
    """Return text of at most ``limit`` characters, with a mark where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
