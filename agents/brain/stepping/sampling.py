"""From logits to a token: penalties, temperature, nucleus, and what was how likely."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from schemas.chat import Sampling
    from stores.weights.registry import Profile

Row = NDArray[np.float32]
"""The logits of one place, (vocabulary)."""

_FAR = 25.0
"""Tokens less than e^-25 times as likely as the best are left out: 100,000 of them come to 1e-6."""
_DRY_LENGTH = 4
"""Phrases of more tokens than this are not to be repeated word for word."""
_DRY_BASE = 1.75
_DRY_BACK = 96
"""Within about the last paragraph: further back would be the passages, which may well be repeated."""


class Sampler:
    """Chooses the tokens of one answer."""

    def __init__(self, profile: Profile, sampling: Sampling, prompt: list[int]) -> None:
        default = profile.temperature if profile.temperature is not None else 0.8
        self._temperature = default if sampling.temperature is None else sampling.temperature
        self._top_p = (profile.top_p or 1.0) if sampling.top_p is None else sampling.top_p
        self._top_k = sampling.top_k
        self._min_p = sampling.min_p
        self._presence = sampling.presence_penalty
        self._frequency = sampling.frequency_penalty
        self._dry = profile.dry or 0.0
        self._counts: Counter[int] = Counter()
        self._recent = prompt[-_DRY_BACK:] if self._dry else []
        self._random = np.random.Generator(np.random.PCG64(sampling.seed))

    def choose(self, row: Row) -> int:
        """Return the next token. Changes ``row``."""
        if self._counts and (self._presence or self._frequency):
            tokens = np.fromiter(self._counts, np.int64, len(self._counts))
            times = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            row[tokens] -= self._presence + self._frequency * times
        for token, length in self._repeated():
            row[token] -= self._dry * _DRY_BASE ** (length - _DRY_LENGTH)
        if self._temperature == 0.0 or self._top_k == 1:
            return int(row.argmax())
        return self._draw(row)

    def took(self, token: int) -> None:
        """Remember a token of the answer."""
        if self._presence or self._frequency:
            self._counts[token] += 1
        if self._dry:
            self._recent.append(token)
            if len(self._recent) > 2 * _DRY_BACK:
                del self._recent[:-_DRY_BACK]

    def _draw(self, row: Row) -> int:
        best = float(row.max())
        near = np.flatnonzero(row > best - _FAR * self._temperature)
        weights = np.exp((row[near] - best).astype(np.float64) / self._temperature)
        if near.size > 1:
            order = np.argsort(-weights, kind="stable")
            near, weights = near[order], weights[order]
            if self._top_k is not None:
                near, weights = near[: self._top_k], weights[: self._top_k]
            if self._min_p:
                weights = weights[weights >= self._min_p]
            if self._top_p < 1.0:
                sums = np.cumsum(weights)
                weights = weights[: int(np.searchsorted(sums, self._top_p * sums[-1])) + 1]
        sums = np.cumsum(weights)
        place = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        return int(near[min(place, weights.size - 1)])

    def _repeated(self) -> list[tuple[int, int]]:
        """Return the tokens that would continue a phrase as it was continued before, with its length."""
        recent = self._recent[-_DRY_BACK:]
        if not self._dry or len(recent) <= _DRY_LENGTH:
            return []
        last = recent[-1]
        longest: dict[int, int] = {}
        for at in range(len(recent) - 2, _DRY_LENGTH - 2, -1):
            if recent[at] != last:
                continue
            length = 1
            while length <= at and recent[at - length] == recent[-1 - length]:
                length += 1
            if length >= _DRY_LENGTH:
                token = recent[at + 1]
                longest[token] = max(longest.get(token, 0), min(length, 40))
        return list(longest.items())


def likelihoods(row: Row, chosen: int, others: int) -> tuple[float, list[tuple[int, float]]]:
    """Return the log probability of a token, and the most likely tokens with theirs, best first."""
    best = float(row.max())
    whole = best + float(np.log(np.exp(row - best, dtype=np.float64).sum()))
    top: list[tuple[int, float]] = []
    if others:
        places = np.argpartition(-row, min(others, row.size - 1))[:others]
        places = places[np.argsort(-row[places], kind="stable")]
        top = [(int(token), float(row[token]) - whole) for token in places]
    return float(row[chosen]) - whole, top
