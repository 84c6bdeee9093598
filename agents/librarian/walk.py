"""Walking the storage: every file that is there, and why some of them cannot be indexed.

No link is followed: what it leads to is indexed at its own place if it lies in
the storage, and is none of ours if it does not; so no loop can hold the walk
up. Folders are opened one below the other from the storage's own descriptor,
so that a folder that is exchanged for a link meanwhile leads nowhere either.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from agents.common.beneath import walk_beneath
from agents.common.parsing import change_stamp, too_large
from agents.librarian.ignoring import Ignoring
from schemas.errors import KaraisError
from stores.files import Found

MAX_DEPTH = 100
"""Folders within one another."""
_MEDIA_NAMES = """
.png .jpg .jpeg .gif .webp .tif .tiff .bmp .heic .heif .avif .jxl .jp2 .wav .mp3 .aac .flac .ogg .oga .opus
.amr .m4a .m4b .aif .aiff .wma .mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .flv .wmv .ogv .3gp
"""
_MEDIA = tuple(_MEDIA_NAMES.split())
"""Names of files that may be large because no more than their beginning is read here."""


class Walk:
    """One walk through the storage, or through parts of it.

    ``unreadable``, ``folders`` and ``entries`` are complete when its iterator has ended.
    """

    def __init__(self, root: Path, leave_out: Collection[Path] = (), below: Collection[str] = ("",)) -> None:
        """Walk what lies at and below these relative paths, of which none lies below another."""
        self._root = os.fspath(root)
        self._leave_out = {_identity(os.stat(path)) for path in leave_out if path.exists()}
        self._below = below
        self.unreadable: list[str] = []
        """Folders, relative, whose content is not known now."""
        self.folders: list[str] = []
        """Folders, relative, that were looked into."""
        self.entries = 0
        """Entries in the storage's own folder, hidden ones included."""

    def __iter__(self) -> Iterator[Found]:
        """Yield every file; blocking."""
        for scope in self._below:
            if scope:
                yield from self._from_above(scope)
            else:
                yield from self._folders([("", Ignoring().inside(self._root, ""))])

    def _from_above(self, path: str) -> Iterator[Found]:
        """Yield what is at and below a path, unless a folder above it is left out or is no folder."""
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts):
            return
        ignoring = Ignoring().inside(self._root, "")
        for count in range(1, len(parts)):
            folder = "/".join(parts[:count])
            if ignoring.leaves_out(folder, folder=True):
                return
            ignoring = ignoring.inside(self._root, folder)
        above, _, name = path.rpartition("/")
        try:
            descriptor = walk_beneath(self._root, above, folder=True)
        except (OSError, KaraisError):
            return  # what is there no more, or is a link
        waiting: list[tuple[str, Ignoring]] = []
        try:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            found = self._look(status, path, ignoring, waiting)
        except OSError as error:
            found = None
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                found = Found(printable(path), 0, 0, f"It cannot be looked at: {_reason(error)}.")
        finally:
            os.close(descriptor)
        if found is not None:
            yield found
        yield from self._folders(waiting)

    def _folders(self, waiting: list[tuple[str, Ignoring]]) -> Iterator[Found]:
        while waiting:
            folder, ignoring = waiting.pop()
            try:
                descriptor = walk_beneath(self._root, folder, folder=True)
                try:
                    with os.scandir(descriptor) as listing:
                        self.folders.append(folder)
                        for entry in listing:
                            self.entries += not folder
                            relative = f"{folder}/{entry.name}" if folder else entry.name
                            try:
                                status = entry.stat(follow_symlinks=False)
                            except FileNotFoundError:
                                continue
                            except OSError as error:
                                yield Found(
                                    printable(relative), 0, 0, f"It cannot be looked at: {_reason(error)}."
                                )
                                continue
                            found = self._look(status, relative, ignoring, waiting)
                            if found is not None:
                                yield found
                finally:
                    os.close(descriptor)
            except OSError as error:
                if not folder:
                    raise
                path = printable(folder)
                self.unreadable.append(path)
                yield Found(path, 0, 0, f"This folder cannot be read: {_reason(error)}.")

    def _look(
        self,
        status: os.stat_result,
        relative: str,
        ignoring: Ignoring,
        waiting: list[tuple[str, Ignoring]],
    ) -> Found | None:
        path = printable(relative)
        is_folder = stat.S_ISDIR(status.st_mode)
        if ignoring.leaves_out(relative, folder=is_folder):
            return None
        if is_folder:
            if _identity(status) in self._leave_out:
                return None
            if relative.count("/") >= MAX_DEPTH:
                return Found(path, 0, 0, f"It lies more than {MAX_DEPTH} folders deep.")
            waiting.append((relative, ignoring.inside(self._root, relative)))
            return None
        if stat.S_ISLNK(status.st_mode):
            return Found(path, 0, 0, self._about_link(os.path.join(self._root, relative)))
        reason = ""
        if not stat.S_ISREG(status.st_mode):
            reason = "It is no regular file."
        elif path != relative:
            reason = "Its name is not valid UTF-8."
        elif not path.lower().endswith(_MEDIA):
            reason = too_large(status.st_size)
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
