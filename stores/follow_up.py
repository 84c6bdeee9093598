"""Questions that only their conversation makes whole: "and on the second one?".

A question is searched with the ones before it when it says nothing by itself
("why?"), begins as a continuation ("and ...", "what about ..."), or is short
and points back ("is it durable?"). Any other stands for itself, as an earlier
subject would only disturb it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stores.terms import plain, telling, words

SHORT = 3
"""Telling words up to which a word that points back makes a question a continuation."""
LOOKS_BACK = 3
"""Earlier questions at most that one is searched with: as far as they are continuations themselves."""
CONTEXT_CHARS = 1000
"""Of each earlier question."""

_BEGINS = re.compile(
    r"\W*(?:and|or|but|also|then|so|what about|how about|what else|anything else|same for|the same for|"
    r"und|oder|aber|auch|was ist mit|et|ou|mais|y|o|pero|e)\b(?!\W*$)"
)
_BACK_WORDS = """
it its itself they them their theirs he him his she her hers those these one ones another other others
former latter both neither either first second third last next previous same there
es sie ihn ihm ihr dessen deren davon dazu damit darin diese dieser dieses dort erste zweite dritte
il elle ils elles lui leur celui celle ceux cela ello ella ellos ellas eso esto ese esa
"""
_POINTS_BACK = frozenset(_BACK_WORDS.split())
_THIS = re.compile(r"\b(?:this|that|das)\b(?=\s*(?:one|too|is|was|does|did|mean|work|happen|\W*$))")


def in_context(query: str, context: Sequence[str]) -> str:
    """Return what is searched for a question: itself, or with the questions before it (newest last)."""
    parts = [query]
    for earlier in reversed(context[-LOOKS_BACK:]):
        if not points_back(parts[0]):
            break
        if earlier.strip():
            parts.insert(0, earlier[:CONTEXT_CHARS])
    return "\n".join(parts)


def points_back(query: str) -> bool:
    """Return whether a question needs what was asked before it to be understood."""
    text = plain(query)
    said = [word for word in telling(query) if word not in _POINTS_BACK]
    if not said:
        return True
    if _BEGINS.match(text) and len(said) <= 2 * SHORT:
        return True
    points = any(word in _POINTS_BACK for word in words(text)) or _THIS.search(text) is not None
    return points and len(said) <= SHORT
