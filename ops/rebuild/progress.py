"""How far a rebuild came, for who waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct


class Progress(Struct, frozen=True, kw_only=True):
    """How far it came."""

    step: str
    done: int
    total: int
    per_second: float = 0.0
    seconds_left: float | None = None


Tell = Callable[[Progress], None]


class Rate:
    """Counts what is done of a step."""

    def __init__(self, step: str, total: int, tell: Tell) -> None:
        self._step, self._total, self._tell = step, total, tell
        self._done = 0
        self._began = time.monotonic()

    def more(self, count: int) -> None:
        """Say that so many more are done."""
        self._done += count
        rate = self._done / max(time.monotonic() - self._began, 1e-3)
        left = max(0, self._total - self._done)
        self._tell(
            Progress(
                step=self._step,
                done=self._done,
                total=max(self._total, self._done),
                per_second=round(rate, 1),
                seconds_left=round(left / rate, 1),
            )
        )
