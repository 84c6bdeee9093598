"""Walking the storage: every file that is there, and why some of them cannot be indexed.

No link is followed: what it leads to is indexed at its own place if it lies in
the storage, and is none of ours if it does not; so no loop can hold the walk
up. Hidden files and folders, and folders that programs fill by themselves, are
left out without a word.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agents.common.parsing import MAX_FILE_BYTES, change_stamp
from stores.files import Found

LEFT_OUT = frozenset(
    {
        "node_modules",
        "__pycache__",
        "site-packages",
        "lost+found",
        "$RECYCLE.BIN",
        "System Volume Information",
    }
)


class Walk:
    """One walk; ``unreadable`` and ``entries`` are complete when its iterator has ended."""

    def __init__(self, root: Path, leave_out: tuple[Path, ...] = ()) -> None:
        self._root = os.fspath(root)
        self._leave_out = {_identity(os.stat(path)) for path in leave_out if path.exists()}
        self.unreadable: list[str] = []
        """Folders, relative, whose content is not known now."""
        self.entries = 0
        """Entries in the storage's own folder, hidden ones included."""

    def __iter__(self) -> Iterator[Found]:
        """Yield every file; blocking."""
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(os.path.join(self._root, folder)) as listing:
                    for entry in listing:
                        self.entries += not folder
                        relative = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.name.startswith(".") or entry.name in LEFT_OUT:
                            continue
                        found = self._look(entry, relative, folders)
                        if found is not None:
                            yield found
            except OSError as error:
                if not folder:
                    raise
                path = printable(folder)
                self.unreadable.append(path)
                yield Found(path, 0, 0, f"This folder cannot be read: {_reason(error)}.")

    def _look(self, entry: os.DirEntry[str], relative: str, folders: list[str]) -> Found | None:
        path = printable(relative)
        try:
            if entry.is_symlink():
                return Found(path, 0, 0, self._about_link(entry.path))
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            return Found(path, 0, 0, f"It cannot be looked at: {_reason(error)}.")
        if stat.S_ISDIR(status.st_mode):
            if _identity(status) not in self._leave_out:
                folders.append(relative)
            return None
        reason = ""
        if not stat.S_ISREG(status.st_mode):
            reason = "It is no regular file."
        elif path != relative:
            reason = "Its name is not valid UTF-8."
        elif status.st_size > MAX_FILE_BYTES:
            size, most = status.st_size / 1e6, MAX_FILE_BYTES / 1e6
            reason = f"It has {size:,.0f} MB; files of more than {most:,.0f} MB are not read."
        return Found(path, status.st_size, change_stamp(status), reason)

    def _about_link(self, link: str) -> str:
        try:
            target = os.path.realpath(link, strict=True)
        except FileNotFoundError:
            return "It is a link that leads nowhere."
        except OSError:  # ELOOP among others
            return "It is a link that leads to itself."
        root = os.path.realpath(self._root)
        if os.path.commonpath([root, target]) != root:
            return "It is a link that leads out of the storage."
        return "It is a link; what it leads to is indexed at its own place."


def printable(path: str) -> str:
    r"""Return a path that can be stored and sent: bytes that are no UTF-8 appear as ``\xNN``."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return path


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
