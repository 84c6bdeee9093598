"""The rules, by domain; each reads one clause and returns what it states."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import verbs
from agents.memory.extraction.model import Candidate, Clause, Rule
from agents.memory.extraction.rules import (
    anything,
    contracts,
    couples,
    habits,
    health,
    people,
    places,
    plans,
    possessions,
    preferences,
    roles,
    slots,
    studies,
    technical,
    work,
)

_MODULES = (
    contracts,
    couples,
    slots,
    people,
    health,
    studies,
    roles,
    work,
    places,
    preferences,
    possessions,
    technical,
    plans,
    habits,
    anything,
)
_BY_VERB: dict[str, list[Rule]] = {}
for _module in _MODULES:
    for _verb, _rules in _module.RULES.items():
        _BY_VERB.setdefault(_verb, []).extend(_rules)


def read(clause: Clause) -> list[Candidate]:
    """Return what a clause states; the first rule that finds something has it."""
    found = _first(clause) or _given_up(clause)
    if clause.verb == "be" and found and clause.subject.kind != "thing":
        # "I am 67 and retired"
        for part in re.split(r" (?:and|und) ", clause.rest)[1:]:
            has = {"name", *(candidate.attribute.partition(":")[0] for candidate in found)}
            more = _first(replace(clause, rest=part, full_rest=part))
            found = [*found, *(one for one in more if one.attribute.partition(":")[0] not in has)]
    return [
        *found,
        *(one for one in anything.named_groups(clause) if not any(one.value in f.value for f in found)),
    ]


def _given_up(clause: Clause) -> list[Candidate]:
    """Read "stopped learning Spanish" as what is no longer done."""
    is_past = clause.tense in ("past", "perfect")
    if clause.verb not in ("stop", "quit", "give") or clause.negated or not is_past:
        return []
    doing = re.sub(r"^up ", "", clause.rest)
    verb = verbs.english(f"am {doing}") if re.match(r"^\w+ing\b", doing) else None
    if verb is None or not verb.progressive:
        return []
    return _first(
        replace(clause, verb=verb.base, rest=verb.rest, full_rest=verb.rest, tense="present", ended=True)
    )


def _first(clause: Clause) -> list[Candidate]:
    for rule in _BY_VERB.get(clause.verb, ()):
        found = rule(clause)
        if found:
            return found
    return []
