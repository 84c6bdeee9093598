"""Which of the facts that are known a few words mean."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.memory.extraction.ending_words import plain_object
from schemas.memory import Fact

_GENERIC = frozenset(
    "a an and the my our his her their its to for of in on at with from old new mr mrs ms dr herr "
    "frau der die "
    "das den dem ein eine einen mein meine meinen unser unsere every day week month year".split()
)


def meant(text: str, active: Sequence[Fact]) -> Fact | None:
    """Return the last learned fact that a text names; None when there is none."""
    found = all_meant(plain_object(text) or text, active)
    return found[-1] if found else None


def all_meant(text: str, active: Sequence[Fact]) -> list[Fact]:
    """Return the facts whose value, or what their slot is of, a text names."""
    asked = words_of(text)
    if not asked:
        return []
    exact = [fact for fact in active if words_of(fact.value) == asked or words_of(_tail(fact)) == asked]
    if exact:
        return exact
    return [
        fact
        for fact in active
        if asked <= (words_of(fact.value) | words_of(_tail(fact)))
        or (
            len(fact.value) > 2
            and bool(words_of(fact.value))
            and words_of(fact.value) <= asked <= words_of(f"{fact.value} {fact.attribute} {fact.text}")
        )
    ]


def same_make(new: str, active: Sequence[Fact]) -> Fact | None:
    """Return the fact whose value is another model of the same make: "Pixel 6" of "Pixel 8"."""
    first = new.casefold().split()[0]
    alike = [
        fact
        for fact in active
        if fact.kind in ("possession", "technical", "identity", "project")
        and first in fact.value.casefold().split()
        and len(first) > 2
    ]
    return alike[0] if len(alike) == 1 else None


def _tail(fact: Fact) -> str:
    base, _, tail = fact.attribute.partition(":")
    return tail if base in ("trip", "plan", "appointment", "habit", "likes") else ""


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text that tell something, in small letters and the singular."""
    found = re.findall(r"[\w+&]+", text.casefold())
    return (
        frozenset(
            one[:-1] if len(one) > 3 and one.endswith("s") and not one.endswith("ss") else one
            for one in found
        )
        - _GENERIC
    )


def starts_high(text: str) -> bool:
    """Say whether a text begins with a capital letter, an article aside."""
    return bool(re.match(r"(?:the )?[A-ZÄÖÜ]", text))


def shape(text: str) -> str:
    """Return what a value looks like: ``number``, ``name`` or ``words``."""
    return "number" if re.search(r"\d", text) else "name" if starts_high(text) else "words"
