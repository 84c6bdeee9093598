"""Which lane holds the keys and values of which tokens, and whose prompt they can serve.

A lane that ended is kept until its room is needed, the least recently used
goes first. A prompt that begins like a lane, kept or running, gets a copy of
what they have in common: what was computed once is not computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(eq=False, slots=True)
class Lane:
    """One sequence of tokens with its keys and values."""

    space: str
    most: int
    """Tokens that it may come to hold."""
    tokens: list[int] = field(default_factory=list)
    """Those whose keys and values it holds."""
    state: Any = None
    """The keys and values, as its runner has them."""
    spoiled: bool = False
    """A step failed on it: what it holds serves nobody."""

    @property
    def length(self) -> int:
        """Tokens that need not be computed any more."""
        return len(self.tokens)


class Lanes:
    """The books of all lanes; ``capacity`` is how many tokens they may hold together."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._running: list[Lane] = []
        self._kept: list[Lane] = []
        """The most recently used last."""

    @property
    def kept(self) -> int:
        """Tokens of lanes that ended."""
        return sum(lane.length for lane in self._kept)

    def alike(self, tokens: Sequence[int], space: str) -> tuple[Lane | None, int]:
        """Return the lane that shares the longest beginning with a prompt, less its last token; and how long.

        Among equals a shorter lane is better: it may be one that need not be cut.
        """
        wanted = np.asarray(tokens[:-1], dtype=np.int64)
        best: Lane | None = None
        most = 0
        for lane in (*self._kept, *self._running):
            if lane.space != space or lane.spoiled or (best is not None and lane.length < most):
                continue
            common = _common(wanted, np.asarray(lane.tokens[: wanted.size], dtype=np.int64))
            if common > most or (common == most and best is not None and lane.length < best.length):
                best, most = lane, common
        return best, most

    def begin(self, most: int, space: str, source: Lane | None = None) -> Lane | None:
        """Return a new, empty lane; None without room. Others are dropped for it, ``source`` the last."""
        free = self.capacity - sum(lane.most for lane in self._running) - most
        if free < 0:
            return None
        if source in self._kept:
            self._kept.remove(source)
            self._kept.append(source)
        while self.kept > free:
            self._kept.pop(0)
        lane = Lane(space, most)
        self._running.append(lane)
        return lane

    def drop(self, lane: Lane) -> None:
        """Forget a lane."""
        for lanes in (self._running, self._kept):
            if lane in lanes:
                lanes.remove(lane)

    def end(self, lane: Lane) -> bool:
        """Keep a lane that ended, unless another holds all of it; return whether it is kept."""
        self._running.remove(lane)
        if lane.spoiled or not lane.tokens:
            return False
        if any(_begins(other, lane) for other in (*self._kept, *self._running)):
            return False
        self._kept = [other for other in self._kept if not _begins(lane, other)]
        self._kept.append(lane)
        return True

    def runs(self, space: str) -> bool:
        """Tell whether a lane of this space runs."""
        return any(lane.space == space for lane in self._running)

    def forget(self, space: str) -> None:
        """Drop every lane of a space that ended."""
        self._kept = [lane for lane in self._kept if lane.space != space]

    def clear(self) -> None:
        """Drop every lane that ended."""
        self._kept.clear()


def _begins(lane: Lane, other: Lane) -> bool:
    """Tell whether a lane begins with all that another holds."""
    return (
        lane.space == other.space
        and not lane.spoiled
        and lane.length >= other.length
        and lane.tokens[: other.length] == other.tokens
    )


def _common(wanted: NDArray[np.int64], there: NDArray[np.int64]) -> int:
    """Return how many tokens two sequences have in common at their beginning."""
    size = min(wanted.size, there.size)
    other = np.flatnonzero(wanted[:size] != there[:size])
    return int(other[0]) if other.size else size
