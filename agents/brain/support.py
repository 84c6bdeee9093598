"""Whether a passage supports a sentence, and whether it answers the question; no model is asked.

Two things have to hold before a citation is shown. The passage says what the
sentence says: its telling words stand close together there, its numbers and
names all do, and neither denies what the other states. And the passage is
about what was asked: it holds the question's names and nearly all of its
telling words, and the sentence adds something of the kind that was asked for
(a number to "how many", a time to "when"). A small model writes a fluent
sentence from whatever it was given; a near miss must not look like a proof.
"""

from __future__ import annotations

import re
from functools import cached_property

from agents.brain import words
from agents.brain.questions import Asked
from agents.brain.sentences import sentences
from schemas.documents import Passage

SAID = 0.7
"""Share of a sentence's telling words, by weight, that must stand close together in the passage."""
ASKED = 0.66
"""Share of the question's telling words that must stand near what the sentence rests on."""
DECIDED = 0.85
"""The same for a question to be answered by yes or no: all but its every word is what is asked."""
UNFOCUSED = 0.7
"""What is left of the support where the very thing that is asked for is not named."""
UNCOUNTED = 0.55
"""The same where no number stands beside the thing that is counted."""
COPIED = 0.4
"""What of the support depends on words that stand in the passage side by side as they do in the sentence."""

ORDER = re.compile(
    r"^.*(?:\b(?:ignore|disregard|forget|override) (?:(?:all|any|of|your|my|the|these|previous|prior) )*"
    r"(?:instructions?|rules|prompts?|guidelines)\b|\bsystem prompt\b|\bIMPORTANT:|\byou are now\b"
    r"|\b(?:say|answer|reply|respond|output|repeat) (?:exactly|only|with)\b|<\|).*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that gives orders: a model that obeyed it repeats it, which proves nothing."""


class Said:
    """A sentence, taken apart."""

    def __init__(self, text: str, under: str = "") -> None:
        self.text = text
        self.under = set(words.told(under))
        """Words of the head of the table whose row it is."""
        self.words = words.told(text)
        self.numbers = words.numbers(text)
        self.denies = words.negated(text)
        self.pairs = words.pairs(text)

    @cached_property
    def names(self) -> set[str]:
        """Names and identifiers in it."""
        return words.names(self.text)

    def counts(self, things: set[str]) -> bool:
        """Tell whether a number stands near to one of the words, or it is a row of a table that has them."""
        return words.counted(self.text, things) or any(words.held(thing, self.under) for thing in things)


class Source:
    """A passage, taken apart."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    @cached_property
    def units(self) -> list[Said]:
        """Its sentences, rows and lines of code, without lines that tell an assistant what to do."""
        text = ORDER.sub("", self._passage.text)
        return [Said(piece.text, piece.under) for piece in sentences(text, code=True)]

    @cached_property
    def head(self) -> set[str]:
        """The words of its headings and of its path."""
        return set(words.told(f"{self._passage.heading} {re.sub(r'[/_.-]+', ' ', self._passage.path)}"))

    @cached_property
    def held(self) -> set[str]:
        """All its words."""
        return {word for unit in self.units for word in (*unit.words, *unit.under)} | self.head

    @cached_property
    def numbers(self) -> set[str]:
        """All its numbers."""
        return words.numbers(self.plain)

    @cached_property
    def plain(self) -> str:
        """All that it says, in the form in which names are looked for."""
        return words.plain(f"{self._passage.heading}\n{self._passage.path}\n{self._passage.text}")

    def support(self, asked: Asked, said: Said, *, within: int = 2) -> float:
        """Return how well it supports the sentence as an answer to the question, from 0, not at all, to 1.

        All that it takes has to stand ``within`` so many sentences.
        """
        new = {word: weight for word, weight in said.words.items() if word not in asked.repeated}
        if (
            not asked.words
            or not said.words
            or not (new or asked.closed)
            or not asked.fits(said.text, said.names)
        ):
            return 0.0
        if _share(said.words, self.held) < SAID or _about(asked.words, self.held) < ASKED:
            return 0.0
        if not all(self._holds(name) for name in asked.names | said.names):
            return 0.0
        if not asked.numbers <= self.numbers:
            return 0.0
        return max(
            (
                self._at(asked, said, new, at, size)
                for at in range(len(self.units))
                for size in range(1, within + 1)
            ),
            default=0.0,
        )

    def _at(self, asked: Asked, said: Said, new: dict[str, float], at: int, size: int) -> float:
        """Return how well the sentences from ``at`` on support it."""
        evidence = self.units[at : at + size]
        held = {word for unit in evidence for word in unit.words}
        share = _share(said.words, held | self.head)
        if share < SAID or _share(new, held) < SAID:
            return 0.0
        if not said.numbers <= {number for unit in evidence for number in unit.numbers}:
            return 0.0
        if said.denies != any(unit.denies for unit in evidence):
            return 0.0
        if not all(any(sign in unit.text for unit in evidence) for sign in asked.signs):
            return 0.0
        if not asked.touched(
            words.plain(f"{self._passage.heading} " + " ".join(unit.text for unit in evidence))
        ):
            return 0.0
        near = held | self.head | {word for unit in evidence for word in unit.under}
        about = _about(asked.words, near)
        if about < (DECIDED if asked.closed else ASKED):
            return 0.0
        if asked.focus and not all(words.held(word, near) for word in asked.focus):
            about *= UNFOCUSED
        if asked.counted and not said.counts(asked.counted):
            about *= UNCOUNTED
        copied = len(said.pairs & {pair for unit in evidence for pair in unit.pairs}) / max(
            1, len(said.pairs)
        )
        return share * about * (1 - COPIED + COPIED * copied)

    def _holds(self, name: str) -> bool:
        return re.search(words.named(name), self.plain) is not None


def _share(wanted: dict[str, float], held: set[str]) -> float:
    """Return the share of the words, by weight, that are held; 1 when nothing is wanted."""
    total = sum(wanted.values())
    return sum(weight for word, weight in wanted.items() if word in held) / total if total else 1.0


def _about(wanted: dict[str, float], held: set[str]) -> float:
    """Return the same for a question: it may use other forms of the words."""
    total = sum(wanted.values())
    return sum(weight for word, weight in wanted.items() if words.held(word, held)) / total if total else 1.0
