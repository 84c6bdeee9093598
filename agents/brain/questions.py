"""What a question asks for: what it is about, and of which kind an answer must be."""

from __future__ import annotations

import re

from agents.brain import words
from agents.brain.questions_kinds import CLOSED, COUNTED, DATE, KINDS, WHO, focus

_FACETS = tuple(
    (re.compile(asked), re.compile(said))
    for asked, said in (
        (
            r"\b(?:at most|maximum|max|largest|greatest|highest|longest|upper limit|up to)\b",
            r"\bmax|\b(?:most|limit\w*|up to|(?:less|fewer) than|no more|exceed\w*|\w+gest|highest)\b",
        ),
        (
            r"\b(?:at least|minimum|min|smallest|lowest|fewest)\b",
            r"\bmin|\b(?:least|requires?|needs?|smallest|lowest|fewest|more than)\b",
        ),
        (
            r"\b(?:exactly|only one|a single|just one)\b",
            r"\b(?:exactly|single|precisely|(?:just|only) one|(?:just|only) (?:a|an)|no (?:more|other))\b",
        ),
        (r"\b(?:by )?defaults?\b", r"default|\u9ed8\u8ba4"),
        (r"\b(?:called|named)\b", r"\b(?:call\w*|nam(?:e|es|ed)|known as|terms?|termed)\b"),
        (
            r"\b(?:what|which) (?:header|setting|option|field|flag|parameter|variable|property)\b",
            r"`|\w[-_]\w|--\w",
        ),
        (
            r"\b(?:what|which) command\b",
            r"`[^`\s]+ [^`]+`|\$ \w|\bcommands?\b",
        ),
        (
            r"\b(?:what|which) (?:function|method)\b",
            r"`|\w\(",
        ),
        (
            r"\b(?:what|which) unit\b",
            r"second|minute|hour|day|byte|bit|\b(?:[kmg]i?b|percent|met(?:er|re)s?|grams?|per)\b|%",
        ),
    )
)


LONGEST = 2000
"""Characters of a question that are looked at."""
LEAST, MOST = 5.0, 8.0
"""Bounds of what a word of a question weighs: a short one may be the very thing that is asked for."""
_ITEM = re.compile(r"^\s*(?:\d+[.)]|[-*+])\s+", re.MULTILINE)
"""What an item of a list begins with."""
_SIGN = re.compile(r"(?<!\S)[`'\"]?([^\w\s.,;:!?'\"()`&\u2013\u2014-]{1,3})[`'\"]?(?!\S)")


class Asked:
    """A question, taken apart; ``before`` is the one before it, which a short one leans on."""

    def __init__(self, text: str, before: str = "") -> None:
        text = text[:LONGEST]
        lower = words.plain(text).strip()
        self.facets = tuple(said for asked, said in _FACETS if asked.search(lower))
        self.kinds = tuple(kind for kind in KINDS if kind.asked.search(lower))
        about = text
        for asked, _ in _FACETS:
            about = re.sub(asked.pattern, " ", about, flags=re.IGNORECASE)
        implied = {words.stem(word) for kind in self.kinds for word in kind.implied}
        told = words.told(about)
        left = {word for word in told if word not in implied} or set(told)
        self.words = {word: max(LEAST, min(told[word], MOST)) for word in told if word in left}
        """What it is about; without the words that name a kind of answer."""
        self.leans = len(self.words) < 2 and bool(before)
        """It says too little by itself."""
        self.focus = {word for word in words.told(focus(lower)) if word in self.words}
        """What of it is asked for."""
        if self.leans:
            self.words |= words.told(before)
        self.repeated = set(self.words) | set(words.told(text))
        """What an answer may repeat without saying anything."""
        self.names = words.names(text.strip().partition(" ")[2])
        self.signs = set(_SIGN.findall(text))
        """Signs that stand alone, such as ``>``: they are what it is about."""
        self.numbers = words.numbers(text)
        counted = COUNTED.search(lower)
        self.counted = {words.stem(word) for word in counted.groups() if word} if counted else set()
        """What is counted, one of one or two words."""
        self.named = WHO.search(lower) is not None
        self.closed = CLOSED.match(lower) is not None
        """It can be answered by yes or no."""

    def fits(self, text: str, names: set[str]) -> bool:
        """Tell whether a text has the kind of thing that was asked for, beyond what the question says."""
        said = _ITEM.sub("", words.plain(text))
        if not all(any(self._new(hit.group()) for hit in kind.said.finditer(said)) for kind in self.kinds):
            return False
        return not self.named or any(
            not name[0].isdigit() and not DATE.search(name) for name in names - self.names
        )

    def touched(self, text: str) -> bool:
        """Tell whether a text speaks of a default, a maximum and the like where the question does."""
        return all(facet.search(text) for facet in self.facets)

    def _new(self, text: str) -> bool:
        found = words.numbers(text)
        return not found or not found <= self.numbers
