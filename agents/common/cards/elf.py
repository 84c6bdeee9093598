"""Reads parts of a shared library without loading it, which a CUDA build would want a driver for."""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = 64
_MAX_PART = 256 << 20


class Library:
    """A 64-bit little-endian ELF file; one that is none has no sections."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._sections = _sections(path)
        except (OSError, ValueError, IndexError, struct.error):
            self._sections = {}

    def __contains__(self, section: str) -> bool:
        return section in self._sections

    def part(self, section: str) -> bytes:
        """Return the bytes of a section; none when it is not there or unreasonably large."""
        offset, size = self._sections.get(section, (0, 0))
        if not 0 < size <= _MAX_PART:
            return b""
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def _sections(path: Path) -> dict[str, tuple[int, int]]:
    """Return offset and size of each section, by name."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
        if header[:6] != b"\x7fELF\x02\x01":
            return {}
        (table,) = struct.unpack_from("<Q", header, 40)
        width, count, names_at = struct.unpack_from("<HHH", header, 58)
        file.seek(table)
        rows = [struct.unpack("<IIQQQQ", file.read(width)[:40]) for _ in range(count)]
        file.seek(rows[names_at][4])
        names = file.read(min(rows[names_at][5], _MAX_PART))
    return {
        names[row[0] : names.index(b"\0", row[0])].decode("ascii", "replace"): (row[4], row[5])
        for row in rows
    }
