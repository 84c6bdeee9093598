"""The rules, by domain; each reads one clause and returns what it states."""

from __future__ import annotations

from agents.memory.extraction.model import Candidate, Clause, Rule
from agents.memory.extraction.rules import (
    habits,
    health,
    people,
    places,
    plans,
    possessions,
    preferences,
    slots,
    technical,
    work,
)

_MODULES = (slots, people, health, work, places, preferences, possessions, technical, plans, habits)
_BY_VERB: dict[str, list[Rule]] = {}
for _module in _MODULES:
    for _verb, _rules in _module.RULES.items():
        _BY_VERB.setdefault(_verb, []).extend(_rules)


def read(clause: Clause) -> list[Candidate]:
    """Return what a clause states; the first rule that finds something has it."""
    for rule in _BY_VERB.get(clause.verb, ()):
        found = rule(clause)
        if found:
            return found
    return []
