"""What cannot hold beside a fact: who is married is not single."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agents.memory.extraction.model import OWNER
from schemas.memory import Fact

COUPLE = frozenset({"girlfriend.name", "boyfriend.name", "partner.name"})
MARRIED = frozenset({"wife.name", "husband.name", "spouse.name", "fiancé.name", "fiancée.name"})
_ALONE = frozenset({"single", "divorced", "widowed", "separated"})
_NO_JOB = frozenset({"unemployed", "jobless", "out of work", "retired", "between jobs"})


def excluded_by(fact: Fact, active: Sequence[Fact]) -> Iterator[Fact]:
    """Yield what cannot hold beside a fact, though it is kept under another attribute."""
    if fact.effect == "ends" or fact.subject != OWNER or ((fact.valid_to or 0) and fact.valid_to <= fact.at):
        return
    value = fact.value.casefold()
    for other in active:
        if other.subject != OWNER or other.attribute == fact.attribute:
            continue
        known = other.value.casefold()
        is_over = (
            (fact.attribute in COUPLE | MARRIED and other.attribute == "marital_status" and known == "single")
            or (fact.attribute in COUPLE | MARRIED and other.attribute in COUPLE and known != value)
            or (fact.attribute == "marital_status" and value in _ALONE and other.attribute in COUPLE)
            or (
                fact.attribute == "marital_status"
                and value in ("single", "divorced")
                and other.attribute in MARRIED
            )
            or (fact.attribute == "employer" and other.attribute == "job" and known in _NO_JOB)
            or (fact.attribute == "job" and value in _NO_JOB and other.attribute == "employer")
        )
        if is_over:
            yield other
