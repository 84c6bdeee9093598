"""Noticing changes of the storage as they happen, without looking at it meanwhile.

Each folder that the walk looked into is watched by itself: a watch on the
whole tree would follow links out of the storage, and spend watches on what is
left out. Where the system cannot tell of changes, ``watch`` says why, and the
storage is looked through now and then instead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

STEP_MS = 200
"""Changes are taken when none came for so long, ..."""
DEBOUNCE_MS = 800
"""... or when the first one is so old."""
TIMEOUT_MS = 3_600_000
_NETWORK_NAMES = "nfs nfs4 cifs smb3 smbfs 9p afs ceph glusterfs lustre beegfs virtiofs davfs vboxsf prl_fs"
_NETWORK = frozenset(_NETWORK_NAMES.split())


class Watcher:
    """Collects the paths at which something changed; ``changed`` is set when there are any."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._loop = asyncio.get_running_loop()
        self._watch: _Watch | None = None
        self._paths: set[str] = set()
        self.changed = asyncio.Event()
        self.folders: frozenset[str] = frozenset()
        """Folders that are watched, relative to the storage."""

    async def watch(self, folders: Collection[str]) -> str:
        """Watch these folders and no others; returns why that is impossible, empty when it is not."""
        reason = await asyncio.to_thread(remoteness, self._root)
        if reason:
            await self.close()
            return reason
        before = self._watch
        absolute = [os.path.join(self._root, folder) if folder else self._root for folder in folders]
        try:
            self._watch = await asyncio.to_thread(_Watch, absolute, self._take)
        except OSError as error:
            await self.close()
            return _why(error)
        if before is not None:
            await asyncio.to_thread(before.close)
        self.folders = frozenset(folders)
        return ""

    def drop(self, paths: Collection[str]) -> None:
        """Forget that folders at and below these paths are watched, as they may be others by now."""
        kept = (folder for folder in self.folders if not _below_any(folder, paths))
        self.folders = frozenset(kept)

    def take(self) -> set[str]:
        """Return the paths, relative to the storage, at which something changed since the last call."""
        paths, self._paths = self._paths, set()
        self.changed.clear()
        return paths

    async def close(self) -> None:
        """End watching."""
        watch, self._watch = self._watch, None
        self.folders = frozenset()
        if watch is not None:
            await asyncio.to_thread(watch.close)

    def _take(self, paths: set[str]) -> None:
        """Called from a watch's own thread."""
        relative = {os.path.relpath(path, self._root) for path in paths}

        def add() -> None:
            self._paths.update("" if path == "." else path for path in relative)
            self.changed.set()

        try:
            self._loop.call_soon_threadsafe(add)
        except RuntimeError:  # the loop ends before this thread does
            log.debug("changes came too late")


class _Watch:
    """One set of watches with the thread that waits for them."""

    def __init__(self, folders: list[str], take: Any) -> None:
        from watchfiles._rust_notify import RustNotify

        self._stop = threading.Event()
        self._notify = RustNotify([folder for folder in folders if os.path.isdir(folder)], *_OPTIONS)
        self._take = take
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the watches."""
        self._stop.set()
        self._thread.join()
        self._notify.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            found = self._notify.watch(DEBOUNCE_MS, STEP_MS, TIMEOUT_MS, self._stop)
            if isinstance(found, set):
                self._take({path for _, path in found})


_OPTIONS = (False, False, 300, False, False)
"""No debugging, no polling (nor its delay), not recursive, and missing permission is an error."""


def remoteness(root: str) -> str:
    """Return why the system cannot tell of changes in a folder; empty where it can. Linux."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(root)
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = (
            before.split()[4].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
        )
        filesystem = after.split()[0]
        inside = point == real or point.startswith(f"{real}/")
        if inside and _is_remote(filesystem):
            return _about(point, filesystem)
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, filesystem
    return _about(root, kind) if _is_remote(kind) else ""


def _is_remote(filesystem: str) -> bool:
    return filesystem in _NETWORK or filesystem.startswith("fuse.")


def _about(folder: str, filesystem: str) -> str:
    return f"{folder} is a {filesystem} file system, which may not tell of changes made elsewhere."


def _why(error: OSError) -> str:
    if "limit" in str(error).lower():
        return (
            "There are more folders than the system may watch: raise fs.inotify.max_user_watches "
            "(and max_user_instances) by sysctl."
        )
    return f"The system cannot watch the storage: {str(error).rstrip('.')[:200]}."


def _below_any(path: str, scopes: Collection[str]) -> bool:
    return any(not scope or path == scope or path.startswith(f"{scope}/") for scope in scopes)
