"""Cutting answers and passages into the pieces that say one thing each."""

from __future__ import annotations

import re
from typing import NamedTuple

_FENCE = re.compile(r"^\s*(?:```|~~~)")
_END = re.compile(r"[.!?][\"')\]*_`]*(?=\s)|[\u3002\uff01\uff1f][\u300d\u300f\uff09]*")
_CODE = re.compile(r"`[^`\n]*`")
_ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|ca|no|dr|mr|mrs|st|z\.b|d\.h|bzw)|^\s*\d{1,3})\.$", re.I
)
_BEGINS = re.compile(r"\s*(?:[-*+\u2022\u25e6\u2013] |#|\||>|(?:\d{1,3}|[a-zA-Z])[.)] |```|~~~)")
"""What begins a heading, an item of a list, a row, a quotation or code, never the rest of a sentence."""
_CLOSED = (".", "!", "?", ":", "\u3002", "\uff01", "\uff1f", "\uff1a")
WRAPPED_CHARS = 45
"""A shorter line ended where its writer ended it."""
NEARLY_FULL = 0.8
"""Share of the longest line from which a line is full: the next word found no room."""
_DIVIDER = re.compile(r"^[\s|:+=-]*$")


class Sentence(NamedTuple):
    """A sentence, a heading, an item of a list or a row of a table."""

    text: str
    start: int
    """Characters of the whole before it."""
    end: int
    """Where a mark that belongs to it would be put: behind its full stop, before a table row's last bar."""
    under: str = ""
    """Of a table's row: the table's head."""
    pieces: int = 1
    """How many sentences it is."""

    @property
    def states(self) -> bool:
        """It says something: it is no heading, question or announcement of what follows."""
        said = self.text.rstrip("*_`\"' ")
        return not (said.startswith("#") or said.endswith((":", "?", "\uff1a", "\uff1f")))


def sentences(text: str, *, code: bool = False) -> list[Sentence]:
    """Return what a Markdown text says, piece by piece; ``code`` takes the lines of fenced blocks as well.

    Lines that were broken because a page or an editor's window ended there are one line again.
    """
    found: list[Sentence] = []
    at = begun = 0
    fenced = False
    head = above = ""
    open_lines = ""  # what may go on in the next line, from ``begun``, with spaces for line ends
    lines = text.splitlines(keepends=True)
    width = max((len(line.rstrip()) for line in lines), default=0)
    last = ""
    for line in lines:
        body = line.rstrip()
        if open_lines and (fenced or not _goes_on(last, body, width)):
            found += _of_line(open_lines.rstrip(), begun, "")
            open_lines = ""
        if _FENCE.match(body):
            fenced = not fenced
        elif body and _DIVIDER.match(body):
            head = above
        elif body and (code or not fenced):
            row = body.lstrip().startswith("|")
            head = head if row else ""
            above = body if row else ""
            if row or fenced:
                found += _of_line(body, at, head)
            else:
                begun = begun if open_lines else at
                open_lines += body + " " * (len(line) - len(body))
        last = body
        at += len(line)
    return found + (_of_line(open_lines.rstrip(), begun, "") if open_lines else [])


def _goes_on(line: str, after: str, width: int) -> bool:
    """Say whether a line was broken for want of room: it is long, and the next begins nothing new.

    ``width`` is the longest line's length in characters.
    """
    if len(line) < WRAPPED_CHARS or line.lstrip().startswith("#") or line.endswith(_CLOSED):
        return False
    if _DIVIDER.match(after) or _BEGINS.match(after):
        return False
    return after.lstrip()[0].islower() or len(line) >= NEARLY_FULL * width


def _of_line(line: str, at: int, head: str) -> list[Sentence]:
    if line.lstrip().startswith("|"):
        end = len(line[:-1].rstrip()) if line.endswith("|") else len(line)
        return [Sentence(line[:end].strip(" |"), at, at + end, head.strip(" |"))]
    hidden = _CODE.sub(lambda match: "x" * len(match.group()), line)
    found: list[Sentence] = []
    start = 0
    for match in _END.finditer(hidden):
        if _ABBREVIATED.search(hidden[start : match.start() + 1]):
            continue
        found.append(_cut(line, start, match.end(), at))
        start = match.end()
    if line[start:].strip():
        found.append(_cut(line, start, len(line), at))
    return found


def _cut(line: str, start: int, end: int, at: int) -> Sentence:
    start += len(line[start:end]) - len(line[start:end].lstrip())
    return Sentence(line[start:end], at + start, at + end)
