"""Keeps one process running: starts or adopts it, and starts it again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ops import exits, launch, processes

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Below 10 seconds, so that even a process that is killed often is back in time."""
STEADY = 10.0
"""Seconds after which a start counts as a success and pauses begin again."""


@dataclass(frozen=True)
class Unit:
    """A process that shall run."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    stage: int = 0

    @property
    def fingerprint(self) -> str:
        """What tells whether a process that runs was started with the same choices and code."""
        settings = sorted((k, v) for k, v in self.environ.items() if k.startswith("KARAIS_"))
        relevant = [*self.argv, *(f"{k}={v}" for k, v in settings if k != launch.NAME)]
        return sha256("\0".join(relevant).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass
class Keeper:
    """One unit and the process that runs for it now."""

    unit: Unit
    tell: Callable[[str], None]
    """Takes a sentence for the owner."""
    started: Callable[[], None] = field(default=lambda: None)
    """Called each time the process was started (again), not when it was adopted."""
    process: processes.Process | None = None
    gave_up: str = ""
    """Why the process is not started again, in one sentence."""
    starts: int = 0
    _stopping: bool = False
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def adopt(self, found: processes.Found | None) -> bool:
        """Take over a process that runs already, if it is what this unit wants."""
        if found is None or found.fingerprint != self.unit.fingerprint:
            return False
        self.process = processes.adopt(found)
        return self.process is not None

    async def keep(self) -> None:
        """Run the process until ``stop`` is called or starting it again is of no use."""
        pause = FIRST_PAUSE
        while not self._stopping:
            if self.process is None:
                self._start()
            assert self.process is not None  # _start set it or raised
            code = await self.process.ended()
            lived = time.monotonic() - self.process.since
            await asyncio.to_thread(self._end_helpers, self.process.pid)
            self.process.close()
            self.process = None
            if self._stopping:
                return
            if code == exits.CONFIGURATION:
                self.gave_up = processes.last_line(self.unit.log) or f"Its log is {self.unit.log}."
                self.tell(f"{self.unit.name} cannot run: {self.gave_up}")
                return
            if lived > STEADY:
                pause = FIRST_PAUSE
            self.tell(f"{self.unit.name} {_how(code)}; starting it again (log: {self.unit.log}).")
            await self._rest(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _end_helpers(self, pid: int) -> None:
        """End what a process left behind: its helpers may hold ports, locks and memory."""
        home = Path(self.unit.environ[launch.HOME])
        processes.end([p for p in processes.find(home) if p.owner == pid and p.pid != pid], grace=0.0)

    def _start(self) -> None:
        environ = {**self.unit.environ, launch.FINGERPRINT: self.unit.fingerprint}
        self.process = processes.start(self.unit.name, self.unit.argv, environ, self.unit.log)
        self.starts += 1
        self.started()

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            return

    async def stop(self, grace: float) -> None:
        """End the process: SIGTERM, and SIGKILL after ``grace`` seconds. ``keep`` then returns."""
        self._stopping = True
        self._hurry.set()
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 2.0)):
            process = self.process
            if process is None:
                return
            process.send(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.gone.wait(), patience)


def _how(code: int | None) -> str:
    if code is None:
        return "ended"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"
