"""Which passages an answer rests on, by the words that they share; no model is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from schemas.documents import Passage

_WORD = re.compile(r"\w+", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+")
_MARK = re.compile(r"\[(\d{1,2})\]")
_COMMON = frozenset(
    """
    about after also another answer because been before being between both could does each every
    file files from have having here into just like more most much must only other over passage
    passages same should some such than that their them then there these they this those through
    under very were what when where which while will with within without would your
    """.split()  # noqa: SIM905  # a list of sixty strings reads worse
)
MARKED_SHARE = 0.3
"""Of a sentence's words that a passage must hold when the sentence names the passage."""
UNMARKED_SHARE = 0.6
"""The same when it names none."""
FEWEST_WORDS = 3
"""A sentence with fewer telling words is no evidence unless it names the passage."""


def cited(text: str, passages: Sequence[Passage]) -> tuple[int, ...]:
    """Return the numbers (from 1) of the passages that support a sentence of ``text``."""
    words = [_telling(p.text) | _telling(p.heading) for p in passages]
    found: set[int] = set()
    for sentence in _SENTENCE.split(text):
        marks = {int(m) for m in _MARK.findall(sentence)}
        said = _telling(_MARK.sub("", sentence))
        if not said:
            continue
        shares = [len(said & known) / len(said) for known in words]
        for number, share in enumerate(shares, 1):
            if number in marks and share >= MARKED_SHARE:
                found.add(number)
        best = max(shares, default=0.0)
        if len(said) >= FEWEST_WORDS and best >= UNMARKED_SHARE:
            found.add(shares.index(best) + 1)
    return tuple(sorted(found))


def _telling(text: str) -> set[str]:
    """Return the words that carry meaning: long or non-Latin ones, without the commonest."""
    return {
        word
        for word in (w.lower() for w in _WORD.findall(text))
        if (len(word) >= 4 or not word.isascii()) and word not in _COMMON
    }
