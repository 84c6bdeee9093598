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
    """Return what a Markdown text says, piece by piece; ``code`` takes the lines of fenced blocks as well."""
    found: list[Sentence] = []
    at = 0
    fenced = False
    head = above = ""
    for line in text.splitlines(keepends=True):
        body = line.rstrip()
        if _FENCE.match(body):
            fenced = not fenced
        elif body and _DIVIDER.match(body):
            head = above
        elif body and (code or not fenced):
            row = body.lstrip().startswith("|")
            head = head if row else ""
            above = body if row else ""
            found += _of_line(body, at, head)
        at += len(line)
    return found


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
