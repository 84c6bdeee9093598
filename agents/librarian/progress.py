"""Telling how far indexing came: often while it runs, never while nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

from bus.connection import Bus
from schemas.documents import StorageChanged, StorageStatus
from schemas.errors import KaraisError

PERIOD_SECONDS = 0.5
CHANGED_SECONDS = 3.0
"""While more is to come, readers are told of a new version at most so often: each costs their next search
what it kept of the last one."""
RATE_SECONDS = 20.0
"""The rate is that of the last so many seconds, ..."""
RATE_JOBS = 8
"""... and of so many jobs at least: large files take longer than that."""


class Progress:
    """Publishes StorageStatus at most every PERIOD_SECONDS, and StorageChanged less often."""

    def __init__(self, bus: Bus, status: Callable[[], Awaitable[StorageStatus]]) -> None:
        self._bus = bus
        self._status = status
        self._awake = asyncio.Event()
        self._done: deque[tuple[float, int]] = deque()
        self._version = 0
        self._told_version = 0
        self.total = 0
        """Jobs done since the start."""

    def wake(self) -> None:
        """Something is about to happen."""
        self._awake.set()

    def done(self, passages: int) -> None:
        """A job is done that wrote so many passages."""
        self.total += 1
        self._done.append((time.monotonic(), passages))
        self._awake.set()

    def changed(self, version: int) -> None:
        """The table has another version."""
        self._version = version
        self._awake.set()

    def rates(self) -> tuple[float, float]:
        """Return jobs and passages a second, lately."""
        now = time.monotonic()
        while len(self._done) > RATE_JOBS and self._done[0][0] < now - RATE_SECONDS:
            self._done.popleft()
        # What was done before a pause says nothing of now.
        lately = [done for done in self._done if done[0] > now - 10 * RATE_SECONDS]
        if len(lately) < 2:
            return 0.0, 0.0
        seconds = max(now - lately[0][0], 0.1)
        return len(lately) / seconds, sum(passages for _, passages in lately) / seconds

    async def run(self) -> None:
        """Publish for ever."""
        told: StorageStatus | None = None
        told_version_at = -CHANGED_SECONDS
        while True:
            # What is held back is told in the end even if nothing more happens.
            untold = self._version != self._told_version
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), CHANGED_SECONDS if untold else None)
            self._awake.clear()
            with contextlib.suppress(KaraisError):  # the bus is gone: the next change tells it all
                status = await self._status()
                version, now = self._version, time.monotonic()
                due = not status.waiting or now - told_version_at >= CHANGED_SECONDS
                if version != self._told_version and due:
                    await self._bus.publish(StorageChanged(version=version))
                    self._told_version, told_version_at = version, now
                if status != told:
                    await self._bus.publish(status)
                    told = status
            await asyncio.sleep(PERIOD_SECONDS)
