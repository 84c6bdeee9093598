"""Leaving the machine to chat: what works in the background stands still while an answer runs.

A low priority is not enough on a processor: an answer's threads wait for one
another hundreds of times a token, and share caches and memory with whatever
else runs. So the processes that work in bulk are stopped, in the midst of what
they do, when a brain says that it answers, and go on when it says that it
ended. However much is asked, they get some of the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from schemas.chat import Answering

HELD_SECONDS = 20.0
"""After the last question, at most: an answer that takes longer shares the machine, and a brain may die."""
LONGEST_SECONDS = 60.0
"""In one go, however many questions follow one another, ..."""
FREE_SECONDS = 6.0
"""... and for so long the work then goes on."""


class GivingWay:
    """Calls ``hold(True)`` and ``hold(False)`` of what works in the background."""

    def __init__(self, *holds: Callable[[bool], None]) -> None:
        self._holds = holds
        self._until: dict[str, float] = {}
        """Till when each brain is taken to answer."""
        self._since: float | None = None
        """Since when the work is held."""
        self._free_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def heard(self, said: Answering) -> None:
        """Take in what a brain says."""
        if said.running:
            self._until[said.worker] = time.monotonic() + HELD_SECONDS
        else:
            self._until.pop(said.worker, None)
        self._look()

    def close(self) -> None:
        """Let the work go on, and forget who answers."""
        self._until.clear()
        self._look()

    def _look(self) -> None:
        now = time.monotonic()
        self._until = {worker: until for worker, until in self._until.items() if until > now}
        if self._since is not None and now >= self._since + LONGEST_SECONDS:
            self._free_until = now + FREE_SECONDS
        held = bool(self._until) and now >= self._free_until
        if held != (self._since is not None):
            self._since = now if held else None
            for hold in self._holds:
                hold(held)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._until:
            end = self._free_until if self._since is None else self._since + LONGEST_SECONDS
            at = min(end, max(self._until.values()))
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now) + 0.001, self._look)
