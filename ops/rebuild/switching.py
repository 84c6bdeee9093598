"""Putting a rebuilt memory into the place of the one in use."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
from pathlib import Path

from bus.settings import Settings
from ops import processes

AGENTS = ("memory", "librarian")
"""Those that have the memory folder open."""
_EXCHANGE = 2
_AT_FDCWD = -100


def switch(settings: Settings, rebuilt: Path) -> None:
    """Put the rebuilt memory into the place of the one in use, and have its agents start again."""
    found = [one for one in processes.find(settings.home) if one.name in AGENTS]
    for one in found:  # nothing may be written between the exchange and their end
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGSTOP)
    try:
        settings.memory.mkdir(parents=True, exist_ok=True)
        _sync(rebuilt)
        _exchange(rebuilt, settings.memory)
    finally:
        # What they had not finished is in the logs and queues, as after any kill.
        for one in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders in one step; where the file system cannot, in two."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    if done != 0:
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), str(other))
        aside = one.with_name("memory.old")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)
    for folder in (one.parent, other.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Bring a folder to the disk before it is relied on."""
    for root, _, names in os.walk(folder, topdown=False):
        for path in (*(os.path.join(root, name) for name in names), root):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
