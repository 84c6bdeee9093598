"""What has to go when something is forgotten: it, and what repeats it.

An answer that was given a passage keeps that passage's text beside its own
words, so the exchange goes too. Of what recalled *that* exchange only those go
whose recalled passage shares a word with what was asked to be forgotten: else
one forgotten sentence would take half of a memory with it, as every search
finds something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.chat import Turn
from schemas.memory import Fact
from stores.conversations import Conversations, source_of, turn_source
from stores.facts import FactBook
from stores.stop_words import STOP_WORDS
from stores.timeline import normalised

SHORTEST_VALUE = 3
"""Characters of a fact's value that is looked for in its conversation; less would be found anywhere."""

_STOP = frozenset(STOP_WORDS.split())


@dataclass
class Plan:
    """What is to be forgotten, by identity."""

    exchanges: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    """Answers by (project, conversation, user)."""
    facts: dict[tuple[str, str, str], Fact] = field(default_factory=dict)
    """Facts by (project, user, identity)."""

    def sources(self) -> list[str]:
        """Return the identities under which their passages are kept."""
        found = [fact for _, _, fact in self.facts]
        for (project, conversation, _), names in self.exchanges.items():
            for name in sorted(names):
                found += [turn_source(project, conversation, name, role) for role in ("user", "assistant")]
        return found

    def turns(self, conversations: Conversations) -> int:
        """Return how many questions and answers these are."""
        return sum(
            turn.answer in names
            for (project, conversation, user), names in self.exchanges.items()
            for turn in conversations.holds(project, user, conversation=conversation)
        )

    def take(self, turn: Turn) -> bool:
        """Add a turn's exchange; returns whether it is new here."""
        names = self.exchanges.setdefault((turn.project, turn.conversation, turn.user), set())
        is_new = turn.answer not in names
        names.add(turn.answer)
        return is_new

    def add(self, other: Plan) -> None:
        """Add another plan."""
        for place, names in other.exchanges.items():
            self.exchanges.setdefault(place, set()).update(names)
        self.facts.update(other.facts)


def plan_for_turns(conversations: Conversations, facts: FactBook, turns: Sequence[Turn]) -> Plan:
    """Return what goes with these turns: their exchanges, what was learned from them, what repeats them."""
    plan = Plan()
    for turn in turns:
        plan.take(turn)
    _follow(conversations, facts, plan)
    return plan


def plan_for_fact(
    conversations: Conversations, facts: FactBook, project: str, user: str, versions: Iterable[str]
) -> Plan:
    """Return what goes with these versions of a fact.

    Beside the exchanges that they come from, those of the same conversation
    that name the value: what was said before is part of each later question.
    """
    plan = Plan()
    for name in versions:
        shown = facts.show(project, user, name)
        if shown is None:
            continue
        fact = shown.fact
        plan.facts[project, user, name] = fact
        value = normalised(fact.value)
        if not fact.conversation:
            continue
        for turn in conversations.holds(project, user, conversation=fact.conversation):
            says_so = len(value) >= SHORTEST_VALUE and value in normalised(turn.text)
            if turn.answer == fact.answer or says_so:
                plan.take(turn)
    _follow(conversations, facts, plan)
    return plan


def plan_for_project(conversations: Conversations, facts: FactBook, project: str) -> Plan:
    """Return what goes with a project, of whatever user."""
    plan = Plan()
    for turn in conversations.of_project(project):
        plan.take(turn)
    for user, fact in facts.all(project):
        plan.facts[project, user, fact.id] = fact
    _follow(conversations, facts, plan)
    return plan


def words_of(texts: Iterable[str]) -> set[str]:
    """Return the words that say something, folded."""
    found = {word for text in texts for word in re.findall(r"\w+", text.casefold())}
    return {word for word in found if word not in _STOP and (len(word) > 2 or not word.isascii())}


def _follow(conversations: Conversations, facts: FactBook, plan: Plan) -> None:
    """Add to a plan what was learned from its exchanges and what recalled any of it."""
    asked: set[str] | None = None
    done: set[str] = set()
    while True:
        _add_facts(facts, plan)
        fresh = [source for source in plan.sources() if source not in done]
        if asked is None:
            asked = words_of(_texts(conversations, plan))
            of_asked = True
        else:
            of_asked = False
        if not fresh:
            return
        done.update(fresh)
        for source in fresh:
            for turn in conversations.recalling(source):
                texts = [p.text for p in turn.passages if source_of(p.id) == source]
                if of_asked or asked & words_of(texts):
                    plan.take(turn)


def _add_facts(facts: FactBook, plan: Plan) -> None:
    """Add what was learned from a plan's exchanges."""
    for project in {project for project, _, _ in plan.exchanges}:
        for user, fact in facts.all(project):
            if fact.answer in plan.exchanges.get((project, fact.conversation, user), ()):
                plan.facts[project, user, fact.id] = fact


def _texts(conversations: Conversations, plan: Plan) -> list[str]:
    texts = [text for fact in plan.facts.values() for text in (fact.text, fact.value, fact.quote)]
    for (project, conversation, user), names in plan.exchanges.items():
        turns = conversations.holds(project, user, conversation=conversation)
        texts += [turn.text for turn in turns if turn.answer in names]
    return texts
