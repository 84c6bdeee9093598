"""What runs here now: its settings, as the supervisor recorded them, and the lock that shows it is alive."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bus.settings import Settings, environment, load


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor leaves in ``run/karais.json`` for the other commands."""

    version: str
    pid: int
    url: str
    """Address of the chat page."""
    settings: dict[str, str]
    """The settings it runs with, as environment variables."""
    command: tuple[str, ...] = ()
    """What started the supervisor, and starts another one."""


@dataclass
class Lock:
    """A lock that ends with the process that holds it, however that ends."""

    file: Path
    _descriptor: int = -1

    def take(self) -> bool:
        """Take the lock; return False when another process has it."""
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def supervisor_lock(settings: Settings) -> Lock:
    """Return the lock that a supervisor holds while it runs."""
    return Lock(settings.run / "lock")


def guardian_lock(settings: Settings) -> Lock:
    """Return the lock that a guardian holds while it runs."""
    return Lock(settings.run / "guardian.lock")


def is_up(settings: Settings) -> bool:
    """Tell whether ``karais up`` runs for this data folder."""
    if not settings.run.is_dir():
        return False
    for lock in (supervisor_lock(settings), guardian_lock(settings)):
        if not lock.take():
            return True
        lock.release()
    return False


def read(settings: Settings) -> Record | None:
    """Return what runs, or what ran last; None when nothing ever did or the record is damaged."""
    try:
        return msgspec.json.decode((settings.run / "karais.json").read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def write(settings: Settings, *, version: str, url: str, command: Sequence[str] = ()) -> None:
    """Record what runs with these settings."""
    record = Record(
        version=version,
        pid=os.getpid(),
        url=url,
        settings=environment(settings),
        command=tuple(command),
    )
    file = settings.run / "karais.json"
    draft = file.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(record))
    draft.replace(file)


def effective(settings: Settings) -> Settings:
    """Return the settings of the KARAIS that runs in this data folder, else the given ones."""
    record = read(settings) if is_up(settings) else None
    return load({"home": settings.home}, record.settings) if record else settings


def gateway_address(settings: Settings) -> dict[str, Any] | None:
    """Return what the gateway wrote about where it listens, None when it never did."""
    try:
        address = json.loads((settings.run / "gateway.json").read_bytes())
    except (OSError, ValueError):
        return None
    return address if isinstance(address, dict) else None


def already_up(settings: Settings) -> str:
    """Return the sentence for a second ``karais up``."""
    record = read(settings)
    where = f" at {record.url}" if record else ""
    return f"KARAIS already runs for {settings.home}{where}: stop it with `karais down`."
