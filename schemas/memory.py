"""Facts: what was learned from conversations, since when it holds, and where from.

A fact on the wire::

    Turn @ chat.<project>.<conversation>.turn        (a user's turn; memory extracts from it)
    FactLearned   @ memory.<project>.fact.<fact>.*   (kept: the log of what is remembered)
    FactEdited    @ memory.<project>.fact.<fact>.*   (the user put it right)
    FactForgotten @ memory.<project>.fact.<fact>.*   (its text is gone for good; only the identity stays)

All facts with the same project, subject and attribute are the versions of one
*slot*: at any moment at most one of them is valid. An attribute whose values
stand side by side carries the value behind a colon (``likes:coffee``,
``sister.name:anna``), so that each has a slot of its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.base import Acting, Message, Token

MAX_FACT_CHARS = 2_000

FactKind = Literal[
    "identity",
    "relation",
    "place",
    "work",
    "study",
    "preference",
    "possession",
    "habit",
    "plan",
    "date",
    "health",
    "technical",
    "project",
    "note",
    "other",
]
"""What a fact is about. ``note`` is what the user asked to remember, word by word."""

FactEffect = Literal["states", "ends", "corrects"]
"""What a statement does to its slot.

``states``: it holds from ``valid_from`` on, and what held before ends there.
``ends``: from ``valid_from`` on nothing holds ("I no longer have a dog").
``corrects``: what the slot said last was never true, and this holds instead.
"""

FactOrigin = Literal["extracted", "user"]


class Fact(Struct, frozen=True, kw_only=True):
    """One thing that is known, with the words that it comes from and the time that it holds."""

    id: Token
    """Derived from project, source turn and statement: extracting again gives the same one."""
    text: Annotated[str, Meta(min_length=1, max_length=MAX_FACT_CHARS)]
    """The fact in one sentence that stands alone, in the third person."""
    subject: str
    """Whom or what it is about: ``owner``, or a name such as ``Tom`` or ``KRONOS``."""
    attribute: str
    """What it says of the subject: ``city``, ``sister.employer``, ``likes:coffee``."""
    value: str = ""
    """The value, as it was said; empty when the statement ends a fact without naming one."""
    kind: FactKind = "other"
    effect: FactEffect = "states"
    confidence: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """How sure it is that this was said and meant, 0 to 1; 1 for what the user wrote as a fact."""
    valid_from: float
    """Seconds since the epoch from which it holds; 0 when it held before anything was said."""
    valid_to: float | None = None
    """Seconds since the epoch at which it stopped, or will stop, to hold; None while no end is known."""
    at: float
    """Seconds since the epoch when it was said."""
    conversation: str = ""
    """Conversation of the turn that it comes from; empty for one that the user wrote as a fact."""
    answer: str = ""
    """Identity of the turn that it comes from: its ``Turn.answer``."""
    quote: str = ""
    """The exact words that it comes from, a part of that turn's text."""
    project: Token
    """Project that it belongs to; ``global`` for one that the user made valid everywhere."""
    origin: FactOrigin = "extracted"
    superseded_by: str = ""
    """Identity of the version that took its place; empty for one that nothing replaced."""


class FactLearned(Acting, frozen=True, kw_only=True):
    """A fact was extracted from a turn, or written by the user. Learning it again changes nothing."""

    learned: Fact

    @property
    def fact(self) -> str:
        """Identity of the fact, the last token of the subject."""
        return self.learned.id


class FactEdited(Acting, frozen=True, kw_only=True):
    """The user put a fact right; the older version stays in the history."""

    fact: Token
    """Identity of the version that was wrong."""
    replacement: Fact
    """The new version, with ``origin`` ``user``."""
    at: float
    """Seconds since the epoch."""


class FactForgotten(Acting, frozen=True, kw_only=True):
    """A fact was removed for good. Carries no text; a fact of this identity is not learned again."""

    fact: Token
    at: float
    """Seconds since the epoch."""
    replaced: tuple[Token, ...] = ()
    """Versions that the user had put right by this one: they stay wrong."""


class ListFacts(Acting, frozen=True, kw_only=True):
    """Ask for a project's facts, latest learned first."""

    matching: Annotated[str, Meta(max_length=200)] = ""
    """Only those whose text contains these words; beginnings of words count."""
    history: bool = False
    """Also those that do not hold any more; otherwise only those that hold."""
    as_of: float | None = None
    """Those that held at this time (seconds since the epoch); None for now. Not used with ``history``."""
    with_global: bool = False
    """Also those of the reserved project ``global``."""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=64)] = ""
    """Only those behind the fact of this identity, for paging."""


class Facts(Message, frozen=True, kw_only=True):
    """Reply to ListFacts."""

    facts: tuple[Fact, ...]
    more: bool = False
    """There are further ones behind the last."""


class ShowFact(Acting, frozen=True, kw_only=True):
    """Ask why something is believed: where it comes from, since when, and what it replaced."""

    fact: Token
    with_global: bool = False
    """Also look among the facts of the reserved project ``global``."""


class FactWithHistory(Message, frozen=True, kw_only=True):
    """Reply to ShowFact and EditFact."""

    fact: Fact
    """Its source turn is ``fact.conversation`` and ``fact.answer``."""
    earlier: tuple[Fact, ...] = ()
    """Versions of the same slot that came before, oldest first."""
    later: tuple[Fact, ...] = ()
    """Versions of the same slot that came after, oldest first."""


class EditFact(Acting, frozen=True, kw_only=True):
    """Put a fact right: a new version of origin ``user`` takes its place. Replied with FactWithHistory."""

    fact: Token
    text: Annotated[str, Meta(min_length=1, max_length=MAX_FACT_CHARS)]
    """The fact as it is right, in one sentence."""
    value: Annotated[str, Meta(max_length=MAX_FACT_CHARS)] = ""
    """The value alone; empty takes over the old version's where the new text contains it, else the text."""
    valid_from: float | None = None
    """Seconds since the epoch; None takes over the old version's."""
    valid_to: float | None = None
    """Seconds since the epoch; None takes over the old version's."""


class AddFact(Acting, frozen=True, kw_only=True):
    """Remember what the user wrote down himself. Replied with FactWithHistory."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_FACT_CHARS)]
    """The fact in one sentence that stands alone."""
    valid_from: float | None = None
    """Seconds since the epoch from which it holds; None for now."""
    valid_to: float | None = None
