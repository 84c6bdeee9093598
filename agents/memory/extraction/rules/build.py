"""How rules make candidates: one place for tenses, ends and values side by side."""

from __future__ import annotations

import re

from agents.memory.extraction import lexicon as words
from agents.memory.extraction.model import Candidate, Clause, Subject
from schemas.memory import FactEffect, FactKind


def fact(
    clause: Clause,
    attribute: str,
    value: str,
    text: str,
    kind: FactKind,
    *,
    many: bool = False,
    confidence: float = 0.9,
    is_sentence: bool = False,
    effect: FactEffect | None = None,
) -> list[Candidate]:
    """Return the candidate for a clause; ``many`` values of the attribute stand side by side.

    ``text`` is the predicate in the third person and the present tense.
    """
    value = value.strip(" ,.;:!?\"'")
    if attribute in ("name", "nickname"):
        value = re.split(r",? (?:after|since|because|when|from|before|now|these) |, ", value)[0]
    if not value or _INNER_CLAUSE.search(value) or value.startswith("s "):
        return []
    subject = clause.subject
    if not subject.is_known and (clause.tense == "past" or kind not in _OF_STRANGERS):
        return []
    name = subject.attribute(attribute)
    if many:
        name = f"{name}:{' '.join(value.casefold().split())}"
    effect = effect or ("ends" if clause.ended else "states")
    return [Candidate(subject, name, value, text, kind, effect, confidence, is_sentence=is_sentence)]


_INNER_CLAUSE = re.compile(
    r"\b(?:I|he|she|we|they|you|it) (?:am|is|are|was|were|have|has|had|will|would|can|could|do|does|did)\b"
    r"|\b(?:ich|wir) (?:bin|sind|habe|haben)\b|.\b(?:until|bis) \w+$"
)
"""Words of another clause that was not cut off: the value is none."""
_OF_STRANGERS = frozenset(
    {"place", "work", "study", "health", "relation", "identity", "possession", "date", "project"}
)
"""What may be learned of a name that was never brought into relation with the owner."""


def name_of(subject: Subject, name: str, *, is_one_of: bool = False) -> list[Candidate]:
    """Return the fact that someone has a name; relations of which there are several have one slot each.

    ``is_one_of`` says that there are several of them even where one has one as a rule.
    """
    relation = subject.path.rpartition(".")[2]
    many = bool(subject.path) and (is_one_of or relation not in words.SINGLE_KIN)
    attribute = subject.attribute("name") + (f":{name.casefold()}" if many else "")
    return [
        Candidate(subject, attribute, name, f"is called {name}", "relation" if subject.path else "identity")
    ]


def with_article(title: str) -> str:
    """Return a profession with its article: ``an engineer``."""
    return f"{'an' if title[:1].casefold() in 'aeiou' else 'a'} {title}"
