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
RATE_SECONDS = 20.0
"""The rate is that of the last so many seconds."""


class Progress:
    """Publishes StorageStatus and StorageChanged at most every PERIOD_SECONDS."""

    def __init__(self, bus: Bus, status: Callable[[], Awaitable[StorageStatus]]) -> None:
        self._bus = bus
        self._status = status
        self._awake = asyncio.Event()
        self._done: deque[float] = deque()
        self._version = 0
        self._told_version = 0
        self.total = 0
        """Jobs done since the start."""

    def wake(self) -> None:
        """Something is about to happen."""
        self._awake.set()

    def done(self) -> None:
        """A job is done."""
        self.total += 1
        self._done.append(time.monotonic())
        self._awake.set()

    def changed(self, version: int) -> None:
        """The table has another version."""
        self._version = version
        self._awake.set()

    def rate(self) -> float:
        """Return jobs a second, lately."""
        now = time.monotonic()
        while self._done and self._done[0] < now - RATE_SECONDS:
            self._done.popleft()
        if len(self._done) < 2:
            return 0.0
        return len(self._done) / max(now - self._done[0], 0.1)

    async def run(self) -> None:
        """Publish for ever."""
        told: StorageStatus | None = None
        while True:
            await self._awake.wait()
            self._awake.clear()
            with contextlib.suppress(KaraisError):  # the bus is gone: the next change tells it all
                if self._version != self._told_version:
                    version = self._version
                    await self._bus.publish(StorageChanged(version=version))
                    self._told_version = version
                status = await self._status()
                if status != told:
                    await self._bus.publish(status)
                    told = status
            await asyncio.sleep(PERIOD_SECONDS)
