"""What the steps of extraction hand on: subjects, clauses, candidates, and what is known so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from agents.memory.extraction.times import When
from schemas.memory import FactEffect, FactKind

OWNER = "owner"

SubjectKind = Literal["owner", "person", "pet", "thing"]


@dataclass(frozen=True)
class Subject:
    """Whom or what a clause is about."""

    name: str = OWNER
    """``owner``, or the name under which facts about it are kept."""
    path: str = ""
    """How the owner names it, with dots: ``sister``, ``sister.husband``; empty for the owner or a name."""
    label: str = "The owner"
    """What a sentence about it begins with."""
    kind: SubjectKind = "owner"
    gender: Literal["m", "f", "n", ""] = ""
    noun: str = ""
    """For a thing: what it is called, such as ``deadline``; the rest is whose it is."""
    is_known: bool = True
    """False for a name that was never brought into relation with the owner."""
    is_owned: bool = False
    """For a thing: somebody's, or part of what is spoken of as one's own ("the project's database")."""
    names: tuple[tuple[str, str], ...] = ()
    """Relations and names that the subject's words state: ``(("sister", "Anna"),)``."""

    names_of: str = ""
    """Whose relatives ``names`` are: a name under which facts are kept, empty for the owner's."""

    @property
    def possessive(self) -> str:
        """The label as an owner of something: ``The owner's``."""
        return f"{self.label}'" if self.label.endswith("s") else f"{self.label}'s"

    @property
    def is_human(self) -> bool:
        """It is the owner or another person."""
        return self.kind in ("owner", "person")

    def attribute(self, attribute: str) -> str:
        """Return the attribute as it is kept for this subject."""
        return f"{self.path}.{attribute}" if self.path else attribute


Tense = Literal["present", "perfect", "past", "future"]


@dataclass(frozen=True)
class Clause:
    """A statement with one verb, in a form that does not depend on its language."""

    subject: Subject
    verb: str
    """Base form, in English."""
    rest: str
    """What follows the verb, without expressions of time."""
    tense: Tense = "present"
    negated: bool = False
    ended: bool = False
    """It says that something holds no longer."""
    used_to: bool = False
    progressive: bool = False
    """``am flying``: the present, or for an event the near future."""
    when: When = field(default_factory=lambda: When())
    full_rest: str = ""
    """What follows the verb, expressions of time included."""
    language: Literal["en", "de"] = "en"

    def about(self, subject: Subject) -> Clause:
        """Return the clause with another subject."""
        return replace(self, subject=subject)


@dataclass(frozen=True)
class Candidate:
    """A fact before it has its identity and its times."""

    subject: Subject
    attribute: str
    value: str
    text: str
    """The predicate in the third person, present tense: ``lives in Bonn``; or a whole sentence."""
    kind: FactKind
    effect: FactEffect = "states"
    confidence: float = 0.9
    valid_from: float | None = None
    valid_to: float | None = None
    is_sentence: bool = False
    """``text`` is a whole sentence, the subject included."""


Rule = Callable[[Clause], list[Candidate]]
