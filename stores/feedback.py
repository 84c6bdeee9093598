"""Asking again with what the best passages say: pseudo-relevance feedback, by meaning and by words.

The passages that a first look finds best tell what others that fit look like.
Their vectors, weighted by how good they are, are added to the question's
(Rocchio), and the words that they use most are searched as well (the relevance
model RM3), among the candidates only: no further search is made. Constants are
those of the literature: 10 passages, 15 words, half of the weight for each;
near them the result stays the same within 0.025.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nlargest
from itertools import pairwise
from operator import itemgetter
from typing import Any

from stores.terms import searchable, sought, stem, telling

BEST = 10
"""Passages that the question is widened by."""
TERMS = 15
"""Words that it is widened by."""
SHARPNESS = 0.2
"""A passage whose score is lower than the best one's by this counts e times less."""
OWN_WORDS = 0.5
"""Weight of the question's own words beside those of the best passages."""
SATURATION = 1.2
LENGTH = 0.75
"""The two constants of BM25 at their usual values."""
READ_CHARS = 4000
"""Of each passage."""
KEY_BYTES = 8
"""Letters of each word that are compared as one number."""


def weights(scores: Any) -> tuple[Any, Any]:
    """Return the indexes of the best scores and what each of them counts, in sum 1."""
    import numpy as np

    best = np.argsort(-scores, kind="stable")[:BEST]
    counted = np.exp((scores[best] - scores[best[0]]) / SHARPNESS)
    return best, counted / counted.sum()


def widened(vector: Any, vectors: Any, best: Any, counted: Any) -> Any:
    """Return the question's vector, length 1, with those of the best passages in it."""
    import numpy as np

    moved = vector + counted @ vectors[best]
    return moved / max(float(np.linalg.norm(moved)), 1e-9)


def further_terms(texts: Sequence[str], best: Any, counted: Any) -> dict[str, float]:
    """Return the stems that the best of these texts use most, each with its weight."""
    found: dict[str, float] = {}
    for at, weight in zip(best.tolist(), counted.tolist(), strict=True):
        stems = [stem(word) for word in telling(texts[at][:READ_CHARS])]
        for term, times in Counter(stems).items():
            found[term] = found.get(term, 0.0) + weight * times / len(stems)
    return dict(nlargest(TERMS, found.items(), key=itemgetter(1)))


class Pool:
    """The texts of the candidates, searched by words among themselves."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        # All words of all texts at once: where each begins, in which text, and its first letters as a number.
        joined, sizes, characters = searchable([text[:READ_CHARS] for text in texts])
        self._joined = joined + b" " * KEY_BYTES
        self._norm = SATURATION * (1 - LENGTH + LENGTH * np.array(characters) / np.mean(characters))
        self._counts: dict[str, Any] = {}
        spaces = np.frombuffer(self._joined, "u1") == ord(" ")
        self._begins = np.flatnonzero(spaces[:-KEY_BYTES] & ~spaces[1 : len(spaces) - KEY_BYTES + 1]) + 1
        self._ends = np.cumsum(sizes)
        words = np.diff(np.searchsorted(self._begins, self._ends), prepend=0)
        self._text_of = np.repeat(np.arange(len(texts)), words)
        windows: Any = np.ndarray((len(joined),), ">u8", self._joined, strides=(1,))
        keys = windows[self._begins].astype("u8")
        self._keys = {KEY_BYTES: keys}
        """By how many letters they are of."""

    def counts(self, term: str) -> Any:
        """Return how often a stem occurs in each text."""
        import numpy as np

        if term not in self._counts:
            needle = sought(term)
            if needle.startswith(b" "):
                found = self._text_of[self._beginning(needle[1:])]
                counts = np.bincount(found, minlength=len(self._ends)).astype("f8")
            else:
                spans = pairwise([0, *self._ends.tolist()])
                counts = np.array([self._joined.count(needle, *span) for span in spans], dtype="f8")
            self._counts[term] = counts
        return self._counts[term]

    def _beginning(self, letters: bytes) -> Any:
        """Return which words begin with these letters."""
        import numpy as np

        first = letters[:KEY_BYTES]
        if len(first) not in self._keys:
            self._keys[len(first)] = self._keys[KEY_BYTES] >> np.uint64(8 * (KEY_BYTES - len(first)))
        found = np.flatnonzero(self._keys[len(first)] == np.uint64(int.from_bytes(first, "big")))
        if len(letters) > KEY_BYTES:
            begins = self._begins[found].tolist()
            found = found[[self._joined.startswith(letters, at) for at in begins]] if begins else found
        return found

    def coverage(self, terms: Mapping[str, float]) -> Any:
        """Return the share of the terms, by weight, that occurs in each text."""
        import numpy as np

        if not terms:
            return np.zeros(len(self._ends))
        held = np.stack([self.counts(term) > 0 for term in terms])
        weights = np.fromiter(terms.values(), "f8")
        return (held * weights[:, None]).sum(axis=0) / max(float(weights.sum()), 1e-9)

    def scores(self, terms: Mapping[str, float]) -> Any:
        """Return each text's BM25 score for weighted terms; the highest is 1.

        A word's rarity is counted among these texts, so that what all of them
        say does not count.
        """
        import numpy as np

        if not terms:
            return np.zeros(len(self._ends))
        counts = np.stack([self.counts(term) for term in terms])
        holding = np.count_nonzero(counts, axis=1)
        rarity = np.log1p((counts.shape[1] - holding + 0.5) / (holding + 0.5))
        weights = rarity * np.fromiter(terms.values(), "f8")
        return normal(((SATURATION + 1) * counts / (counts + self._norm) * weights[:, None]).sum(axis=0))


def normal(scores: Any) -> Any:
    """Return scores of which the highest is 1."""
    highest = float(scores.max(initial=0.0))
    return scores / highest if highest > 0 else scores
