"""Lines of a program's output, of bounded length: what is longer is passed over while it comes."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Longest message that is taken from a server."""
_EDGE_BYTES = 4096
_ID = re.compile(rb'"id"\s*:\s*(\d+)')
_BODY = re.compile(rb'"(?:result|error)"\s*:')


class TooLong(NamedTuple):
    """A line that was passed over."""

    id: int | None
    """Number of the request that it answers, where that could be seen at its beginning or end."""
    size: int
    """Bytes."""


class Lines:
    """Cuts chunks into lines, holding no more than ``limit`` bytes."""

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._head = b""
        self._tail = b""

    def feed(self, chunk: bytes) -> list[bytes | TooLong]:
        """Return the lines that a chunk completes."""
        lines: list[bytes | TooLong] = []
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._add(part)
            lines.append(self._end())
        self._add(rest)
        return lines

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
            return
        if self._parts:
            self._head = b"".join(self._parts)[:_EDGE_BYTES]
            self._parts.clear()
        self._head = self._head or part[:_EDGE_BYTES]
        self._tail = (self._tail + part)[-_EDGE_BYTES:]

    def _end(self) -> bytes | TooLong:
        if self._size <= self._limit:
            line: bytes | TooLong = b"".join(self._parts)
        else:
            line = TooLong(_id_in(self._head, self._tail), self._size)
        self._parts, self._size, self._head, self._tail = [], 0, b"", b""
        return line


def _id_in(head: bytes, tail: bytes) -> int | None:
    """Return the number of a JSON-RPC response: before its result, or behind it."""
    body = _BODY.search(head)
    found = _ID.search(head, 0, body.start() if body else len(head))
    if found is None:
        behind = list(_ID.finditer(tail))
        found = behind[-1] if behind else None
    return int(found[1]) if found and len(found[1]) < 18 else None
