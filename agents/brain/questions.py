"""What a question asks for: what it is about, and of which kind an answer must be."""

from __future__ import annotations

import re

from agents.brain import words

_COUNTED = re.compile(
    r"\bhow (?:many|much|large|big|small|long|often|fast|heavy|old|far|high|deep|few|tall|wide)\b"
    r"|\b(?:what|which) (?:[\w-]+ )?(?:port|number|size|version|percentage|price|rate|year)\b"
)
_TIMED = re.compile(r"^when\b|\b(?:what|which) (?:time|date|day|year|month)\b")
_NAMED = re.compile(r"^(?:and )?who(?:se|m)?\b")
_CLOSED = re.compile(
    r"^(?:is|are|was|were|do|does|did|can|could|may|must|has|have|will|should)\b|^(?:ist|sind|hat|kann|darf|muss)\b"
)
_TIME = re.compile(
    r"\d|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|monday"
    r"|tuesday|wednesday|thursday|friday|saturday|sunday|today|yesterday|after|before|once|until|when|if|soon)\b"
)
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
        (r"\b(?:by )?defaults?\b", r"default|\u9ed8\u8ba4"),
        (r"\b(?:called|named)\b", r"\b(?:call\w*|nam(?:e|es|ed)|known as|terms?|termed)\b"),
        (
            r"\b(?:what|which) (?:header|setting|option|field|flag|parameter|variable|property)\b",
            r"`|\w[-_]\w|--\w",
        ),
        (
            r"\b(?:what|which) (?:command|function|method)\b",
            r"`|\$ |\w\(",
        ),
        (
            r"\b(?:what|which) unit\b",
            r"second|minute|hour|day|byte|bit|\b(?:[kmg]i?b|percent|met(?:er|re)s?|grams?|per)\b|%",
        ),
    )
)


_SIGN = re.compile(r"(?<!\S)[`'\"]?([^\w\s.,;:!?'\"()`&\u2013\u2014-]{1,3})[`'\"]?(?!\S)")


class Asked:
    """A question, taken apart; ``before`` is the one before it, which a short one leans on."""

    def __init__(self, text: str, before: str = "") -> None:
        lower = words.plain(text).strip()
        self.facets = tuple(said for asked, said in _FACETS if asked.search(lower))
        about = text
        for asked, _ in _FACETS:
            about = re.sub(asked.pattern, " ", about, flags=re.IGNORECASE)
        self.words = words.told(about)
        """What it is about; without the words that name a kind of answer."""
        self.leans = len(self.words) < 2 and bool(before)
        """It says too little by itself."""
        if self.leans:
            self.words |= words.told(before)
        self.repeated = set(self.words) | set(words.told(text))
        """What an answer may repeat without saying anything."""
        self.names = words.names(text.strip().partition(" ")[2])
        self.signs = set(_SIGN.findall(text))
        """Signs that stand alone, such as ``>``: they are what it is about."""
        self.numbers = words.numbers(text)
        self.counted = _COUNTED.search(lower) is not None
        self.timed = _TIMED.search(lower) is not None
        self.named = _NAMED.search(lower) is not None
        self.closed = _CLOSED.match(lower) is not None
        """It can be answered by yes or no."""

    def fits(self, text: str, names: set[str]) -> bool:
        """Tell whether a text has the kind of thing that was asked for, beyond what the question says."""
        if self.counted and not (words.quantities(text) - self.numbers):
            return False
        if self.timed and not _TIME.search(words.plain(text)):
            return False
        return not (self.named and not {n for n in names - self.names if not _TIME.search(n)})

    def touched(self, text: str) -> bool:
        """Tell whether a text speaks of a default, a maximum and the like where the question does."""
        return all(facet.search(text) for facet in self.facets)
