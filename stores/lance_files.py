"""The files below a LanceDB table: making them durable, and getting past a damaged version.

Lance writes data, deletion, index and transaction files once and never changes
them, and commits a version by hard-linking a manifest to its final name. It
never calls fsync: after a power cut any file of the last seconds may be empty.
So the writer calls ``Durability.sync`` before it acknowledges anything, and
``set_aside_damaged`` before it opens a table.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

_MAGIC = b"LANC"
_VERSIONS = "_versions"
_DAMAGED = "_damaged"
_HINT = "latest_version_hint.json"
_NEWEST = 2**64 - 1
"""Manifests are named ``2**64 - 1 - version``, so that the newest comes first in a listing."""


class Durability:
    """Brings what is new below a table's folder to the disk; one per writer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced: set[str] = set()

    def sync(self) -> None:
        """Return when every file and folder below the table is on the disk.

        Files that an earlier call has synced are not opened again: they never
        change. Blocking; call it in a thread.
        """
        present: set[str] = set()
        changed: list[str] = []
        for root, _, names in os.walk(self._folder):
            fresh = False
            for name in names:
                path = os.path.join(root, name)
                present.add(path)
                if path not in self._synced and fsync(path):
                    fresh = True
            if fresh or root not in self._synced:
                changed.append(root)
            present.add(root)
        # Files first, then the folders that name them, the outermost last.
        for root in reversed(changed):
            fsync(root)
        if str(self._folder) not in self._synced:
            fsync(str(self._folder.parent))
        self._synced = present


def latest_version(folder: Path) -> int:
    """Return the version that the newest manifest in a table's folder names; 0 without one."""
    newest = _newest(folder)
    return _NEWEST - int(newest.stem) if newest else 0


def newest_is_damaged(folder: Path) -> bool:
    """Return whether the newest manifest was not written whole."""
    newest = _newest(folder)
    return newest is not None and not _is_whole(newest)


def set_aside_damaged(folder: Path) -> list[Path]:
    """Move manifests that were not written whole out of the way, newest first.

    Returns where they are now; empty when the newest version is sound.
    """
    # Lance looks for the newest version from here on; it must not be led to one that is gone.
    (folder / _VERSIONS / _HINT).unlink(missing_ok=True)
    moved: list[Path] = []
    while (newest := _newest(folder)) is not None and not _is_whole(newest):
        moved.append(set_aside(folder, newest))
    return moved


def set_aside_newest(folder: Path) -> Path | None:
    """Move the newest manifest out of the way, so that the version before it is the newest."""
    newest = _newest(folder)
    if newest is None or len(_manifests(folder)) < 2:
        return None
    return set_aside(folder, newest)


def set_aside(folder: Path, manifest: Path) -> Path:
    """Move one manifest into the table's folder for damaged ones."""
    (folder / _VERSIONS / _HINT).unlink(missing_ok=True)
    target = folder / _DAMAGED / manifest.name
    target.parent.mkdir(exist_ok=True)
    count = 0
    while target.exists():
        count += 1
        target = target.with_name(f"{manifest.name}.{count}")
    manifest.rename(target)
    fsync(str(target.parent))
    fsync(str(manifest.parent))
    log.error("The table version in %s is damaged; it was moved to %s.", manifest, target)
    return target


def _manifests(folder: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(
            path
            for path in (folder / _VERSIONS).iterdir()
            if path.suffix == ".manifest" and path.stem.isdigit()
        )
    return []


def _newest(folder: Path) -> Path | None:
    return next(iter(_manifests(folder)), None)


def _is_whole(path: Path) -> bool:
    """Return whether a Lance file carries its closing mark."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < 16:
            return False
        file.seek(-len(_MAGIC), os.SEEK_END)
        return file.read() == _MAGIC


def fsync(path: str | Path) -> bool:
    """Bring a file or a folder to the disk; returns whether it is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        # A concurrent clean-up removed it; nothing refers to it any more.
        return False
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True
