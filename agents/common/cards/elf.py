"""Reads parts of a shared library without loading it, which a CUDA build would want a driver for."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

_HEADER = 64
_MAX_PART = 256 << 20
_FAT_BINARY = struct.pack("<I", 0xBA55ED50)
"""Begins each bundle of a program's GPU code, one for each file that was compiled."""
_PTX, _MACHINE_CODE = 1, 2


Capabilities = tuple[tuple[int, int], ...]


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

    def architectures(self) -> tuple[Capabilities, Capabilities]:
        """Return the compute capabilities for which it holds machine code, and for which PTX.

        Reads the heads of the entries alone, so hundreds of megabytes of GPU code cost nothing.
        """
        offset, size = self._sections.get(".nv_fatbin", (0, 0))
        found: dict[int, set[tuple[int, int]]] = {_PTX: set(), _MACHINE_CODE: set()}
        if size:
            with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for kind, number in _entries(data, offset, min(offset + size, len(data))):
                    found.setdefault(kind, set()).add((number // 10, number % 10))
        return tuple(sorted(found[_MACHINE_CODE])), tuple(sorted(found[_PTX]))


def _entries(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield kind and architecture of each entry of each bundle; stops where a bundle makes no sense."""
    while 0 <= (at := data.find(_FAT_BINARY, at, end)) <= end - 16:
        _, head, length = struct.unpack_from("<HHQ", data, at + 4)
        entry, at = at + head, at + head + length
        while entry + 32 <= min(at, end):
            kind, _, head, length = struct.unpack_from("<HHIQ", data, entry)
            yield kind, struct.unpack_from("<I", data, entry + 28)[0]
            if head + length == 0:
                return
            entry += head + length
        at = max(at, entry)


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
