"""Processes that outlive their parent: started, found again, watched and ended.

Each process carries its name, its id and its KARAIS in its environment. What
runs is therefore read from ``/proc``, not from pid files: a power cut leaves
nothing stale behind, a process id that was given to another program is never
mistaken for an agent, and neither is a helper that an agent started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.launch import FINGERPRINT, HOME, NAME, PID, marked

LOG_LIMIT = 5 * 1024 * 1024


@dataclass(frozen=True)
class Found:
    """A process that runs for a KARAIS."""

    name: str
    pid: int
    fingerprint: str
    """What it was started with, as its starter put it."""
    owner: int
    """The process that was started: its own id, or of whom it is a helper."""

    @property
    def leader(self) -> bool:
        """It is the process that was started, not a helper that this started itself."""
        return self.owner == self.pid


def find(home: Path) -> list[Found]:
    """Return every process that was started for the KARAIS in ``home``, helpers included."""
    found = []
    wanted = os.fsencode(str(home))
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            environ = Path("/proc", entry, "environ").read_bytes()
            values = dict(pair.partition(b"=")[::2] for pair in environ.split(b"\0"))
            name = values.get(NAME.encode())
            if name is None or values.get(HOME.encode()) != wanted or _state(int(entry)) in "ZX":
                continue
        except OSError:
            continue  # It ended meanwhile, or is another user's.
        owner = int(values.get(PID.encode()) or 0)
        fingerprint = values.get(FINGERPRINT.encode(), b"")
        found.append(Found(os.fsdecode(name), int(entry), os.fsdecode(fingerprint), owner))
    return found


def leaders(home: Path) -> dict[str, Found]:
    """Return the processes that were started for the KARAIS in ``home``, by name."""
    return {process.name: process for process in find(home) if process.leader}


def _state(pid: int) -> str:
    """Return the state letter of a process: ``Z`` for one that ended and was not collected."""
    return Path("/proc", str(pid), "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]


def age(pid: int) -> float:
    """Return for how many seconds a process has run; 0 when it is gone."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


class Process:
    """A process that runs, whether it is our child or was adopted."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.since = time.monotonic()
        self.gone = asyncio.Event()
        self._child = child
        self._descriptor = os.pidfd_open(pid)

    async def ended(self) -> int | None:
        """Wait for the end; return the exit code, negative for a signal, None if it is not our child's."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, self.gone.set)
        try:
            await self.gone.wait()
        finally:
            loop.remove_reader(self._descriptor)
        return self._child.wait() if self._child else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended is not an error."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """End the process at once."""
        self.send(signal.SIGKILL)

    def close(self) -> None:
        """Forget the process; it is not touched."""
        os.close(self._descriptor)


def start(name: str, argv: Sequence[str], environ: Mapping[str, str], log: Path) -> Process:
    """Start a process in a session of its own, with its output in ``log``.

    Raises OSError when the program or the log cannot be opened.
    """
    rotate(log)
    with log.open("ab") as output:
        child = subprocess.Popen(
            marked(argv),
            env={**environ, NAME: name},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(child.pid, child)


def adopt(found: Found) -> Process | None:
    """Take over a process that was found, or return None when it just ended."""
    try:
        return Process(found.pid)
    except ProcessLookupError:
        return None


def rotate(log: Path) -> None:
    """Put a long log aside; the one put aside before is dropped."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(log.suffix + ".1"))


def last_line(log: Path) -> str:
    """Return the last line that a process wrote, without the time before it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "").removeprefix("karais: ")


def end(processes: Iterable[Found], grace: float) -> None:
    """End processes and wait for it: SIGTERM, and SIGKILL after ``grace`` seconds. Blocks."""
    descriptors: list[int] = []
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(process.pid))
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 2.0)):
        for descriptor in descriptors:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
        descriptors = wait(descriptors, patience)
    for descriptor in descriptors:
        os.close(descriptor)


def wait(descriptors: list[int], seconds: float) -> list[int]:
    """Wait for processes to end; close those that did and return the others. Blocks."""
    import select

    deadline = time.monotonic() + seconds
    left = set(descriptors)
    poll = select.poll()
    for descriptor in left:
        poll.register(descriptor, select.POLLIN)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(remaining * 1000):
            poll.unregister(descriptor)
            os.close(descriptor)
            left.discard(descriptor)
    return list(left)
