"""Asking again with what the best passages say: pseudo-relevance feedback, by meaning and by words.

The passages that a first look finds best tell what others that fit look like.
Their vectors, weighted by how good they are, are added to the question's
(Rocchio), and the words that they use most are searched as well (the relevance
model RM3), among the candidates only: no further search is made. Constants are
those of the literature, 10 passages, 20 words, half of the weight for each;
nothing near them changes the result by more than a hundredth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from stores.terms import searchable, sought, stem, telling

BEST = 10
"""Passages that the question is widened by."""
TERMS = 20
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


def by_words(texts: Sequence[str], best: Any, counted: Any) -> Any:
    """Return each text's BM25 score for the words that the best of them use most; the highest is 1.

    A word's rarity is counted among these texts, so that what all of them say
    does not count.
    """
    import numpy as np

    found: Counter[str] = Counter()
    for at, weight in zip(best.tolist(), counted.tolist(), strict=True):
        stems = [stem(word) for word in telling(texts[at][:READ_CHARS])]
        for term in stems:
            found[term] += weight / len(stems)
    spaced = [searchable(text[:READ_CHARS]) for text in texts]
    lengths = np.array([len(text) for text in spaced], dtype="f8")
    norm = SATURATION * (1 - LENGTH + LENGTH * lengths / lengths.mean())
    total = np.zeros(len(texts))
    for term, weight in found.most_common(TERMS):
        needle = sought(term)
        counts = np.array([text.count(needle) for text in spaced], dtype="f8")
        holding = float(np.count_nonzero(counts))
        rarity = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5))
        total += weight * rarity * counts * (SATURATION + 1) / (counts + norm)
    highest = float(total.max(initial=0.0))
    return total / highest if highest > 0 else total
