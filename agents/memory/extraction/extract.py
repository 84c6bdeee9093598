"""From turns to facts: the way through guard, sentences and rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, tzinfo

import msgspec

from agents.memory.extraction import (
    changes,
    common_words,
    exclusions,
    guard,
    lexicon,
    making,
    mentioned,
    parsing,
    proper_names,
    rules,
    statements,
    transitions,
    wishes,
)
from agents.memory.extraction.judging import Judge, Spoken
from agents.memory.extraction.model import OWNER, Candidate, Clause, Subject
from agents.memory.extraction.notes import asked_to_remember
from agents.memory.extraction.sentences import Sentence, language_of, sentences
from agents.memory.extraction.subjects import THE_OWNER, People, parse
from schemas.chat import Turn
from schemas.memory import Fact

_PRETENCE_TURNS = 3
"""In a play of at most so many turns, what the user asks to remember is meant all the same."""


def extract(
    turns: Sequence[Turn],
    *,
    recalled: Sequence[str] = (),
    known: Sequence[Fact] = (),
    zone: tzinfo = UTC,
    judge: Judge | None = None,
) -> list[Fact]:
    """Return the facts that the user stated in these turns of one conversation, oldest first.

    ``turns`` in their order, answers included: they are the context, facts
    come from the user's turns only, their times are relative to the turn's, in
    ``zone``. ``recalled`` are texts that were given to the model or shown in
    this conversation besides those in ``Turn.passages``: what repeats them is
    no fact. ``known`` are facts that hold already: whom a name means, and what
    "I sold the Golf" ends. ``judge`` says how likely a sentence states a
    lasting fact: what rules found in an unlikely one is dropped, and a very
    likely one of which they found too little is kept as a statement. Without
    it the rules are alone. The same turns give the same facts with the same
    identities, so a caller may pass earlier turns again and take those whose
    ``answer`` is new. An identity depends on words alone, never on how likely
    they were.
    """
    reader = Reader(known, recalled, zone, judge)
    found: list[Fact] = []
    for turn in turns:
        if turn.role == "user":
            found += reader.read(turn)
        else:
            reader.hear(turn)
    return found


class Reader:
    """Goes through one conversation, turn by turn."""

    def __init__(
        self, known: Sequence[Fact], recalled: Sequence[str], zone: tzinfo, judge: Judge | None
    ) -> None:
        self._zone = zone
        self._judge = judge
        self._since_fiction = 99
        self._invented: set[str] = set()
        self._recalled = guard.Recalled(recalled)
        self._people = People()
        self._known = list(known)
        self._said: list[Fact] = []
        self._playing = 0
        for fact in known:
            self._meet(fact)
            parts = fact.attribute.partition(":")[0].rpartition(".")
            if parts[2] == "name" and parts[0] and fact.subject == OWNER and fact.effect != "ends":
                self._people.introduce(parts[0], fact.value)

    def _meet(self, fact: Fact) -> None:
        """Take a name that something was learned of as known, so that its changes count."""
        name = fact.subject
        if name != OWNER and re.match(r"^[A-ZÄÖÜ]\w+(?: [A-ZÄÖÜ]\w+)?$", name) and fact.kind != "technical":
            label = (
                name
                if not fact.text.startswith("The owner's")
                else fact.text[: fact.text.find(name) + len(name)]
            )
            self._people.relations.setdefault(name.casefold(), Subject(name=name, label=label, kind="person"))

    def hear(self, turn: Turn) -> None:
        """Note an answer: what it says, and what was given to the model for it, is recalled text."""
        self._recalled.add(turn.text)
        for passage in turn.passages:
            self._recalled.add(passage.text)

    def read(self, turn: Turn) -> list[Fact]:
        """Return the facts of a user's turn."""
        self._people.turn += 1
        own = guard.own_words(turn.text)
        self._playing = 0 if guard.ends_play(own) else max(self._playing - 1, guard.play_turns(own))
        self._invented.update(guard.invented(own))
        is_fiction = guard.is_fiction(own) or bool(self._invented & set(own.casefold().split()[:1]))
        self._since_fiction = 0 if is_fiction or self._playing else min(self._since_fiction + 1, 99)
        found: list[Fact] = []
        if not self._playing and is_fiction and (to := guard.addressee(own)):
            found += self._facts(
                turn, Sentence(to, is_question=False), mentioned.read(to, self._people), None
            )
            found = self._fresh(found, [])
        if not (self._playing > _PRETENCE_TURNS or is_fiction or guard.is_joke(own)):
            language = language_of(turn.text)
            self._people.is_casual = not re.search(r"[^\W\d_a-zäöüß]", own.replace("I", ""))
            said = sentences(own)
            judged: list[statements.Judged] = []
            slots = {(fact.subject, fact.attribute) for fact in [*self._known, *self._said]}
            for place, sentence in enumerate(said):
                spoken = Spoken(sentence.text, own, place, len(said), self._since_fiction)
                if self._people.is_casual:
                    named = proper_names.capitalised(sentence.text)
                    sentence = replace(sentence, text=named, said=sentence.text)
                if self._playing and not asked_to_remember(sentence.text):
                    continue
                if self._recalled.repeats(sentence.text):
                    continue
                stated = self._sentence(turn, sentence, language, found)
                if self._judge:
                    odds = self._judge(spoken)
                    stated = statements.believed(statements.Judged(sentence, odds, stated), slots)
                    if not self._recalled.tells(sentence.text):
                        judged.append(statements.Judged(sentence, odds, stated))
                found += stated
            found += self._with_statements(turn, judged, found)
        self._said += found
        for fact in found:
            self._meet(fact)
        return found

    def _with_statements(
        self, turn: Turn, judged: Sequence[statements.Judged], found: Sequence[Fact]
    ) -> list[Fact]:
        """Return what is kept of a turn as it was said, and the ends of statements that it makes untrue."""
        if not self._judge:
            return []
        stated: list[Fact] = []
        active = transitions.holding([*self._known, *self._said])
        if statement := statements.proposed(judged):
            new = self._fresh(self._facts(turn, *statement, None), list(found))
            stated += [
                statements.in_time(one, found) for one in new if not statements.outdated([one], active, found)
            ]
        # What is known holds, whatever reading the earlier turns once more seems to end of it.
        held = {fact.attribute: fact for fact in [*self._known, *active] if statements.is_statement(fact)}
        for old in statements.outdated(list(held.values()), active, found):
            if not any(one.attribute == old.attribute for one in found):
                change = transitions.Change(old, "ends", old.attribute, old.value)
                by = Sentence(found[0].quote, is_question=False)
                stated.append(making.changed(turn, by, change, found[0].valid_from, None))
        return stated

    def _facts(
        self, turn: Turn, sentence: Sentence, candidates: Sequence[Candidate], clause: Clause | None
    ) -> list[Fact]:
        return making.stated(turn, sentence, candidates, clause, self._zone)

    def _sentence(self, turn: Turn, sentence: Sentence, language: str, before: list[Fact]) -> list[Fact]:
        note = asked_to_remember(sentence.text)
        if note:
            return self._facts(turn, sentence, [wishes.noted(note)], None) + self._changed(
                turn, note, language, before
            )
        if guard.is_reported(sentence.text):
            sentence = Sentence(guard.before_reported(sentence.text), is_question=False)
        if not sentence.text or common_words.SECRET.search(sentence.text):
            return []
        if wish := wishes.read(sentence.text):
            wanted = self._facts(turn, sentence, [wish], None)
            return self._fresh(wanted, before) if wish.attribute == "nickname" else wanted
        found: list[Fact] = []
        if not guard.is_conditional(sentence.text):
            is_correction = changes.is_correction(sentence.text)
            clauses = parsing.read(sentence, language, self._people, turn.at, self._zone)  # type: ignore[arg-type]
            for clause in clauses:
                found += self._clause(turn, sentence, clause, [*before, *found], is_correction=is_correction)
            if not sentence.is_question:
                found = self._with_transitions(turn, sentence, language, found, before)
            if is_correction and not found and not sentence.is_question:
                found += self._corrected(turn, sentence, [*self._said, *before])
        ended = {(fact.attribute, fact.value) for fact in found if fact.effect == "ends"}
        granted = [
            one
            for one in mentioned.read(sentence.text, self._people)
            if (one.attribute, one.value) not in ended
        ]
        return found + self._fresh(self._facts(turn, sentence, granted, None), [*before, *found])

    def _with_transitions(
        self, turn: Turn, sentence: Sentence, language: str, found: list[Fact], before: list[Fact]
    ) -> list[Fact]:
        """Return what was found and what the sentence changes of facts that are known already."""
        active = transitions.holding([*self._known, *self._said, *before])
        just_said = transitions.holding(found)
        changed: list[Fact] = []
        for change in transitions.read(sentence.text, language, active, just_said, turn.at, self._zone):  # type: ignore[arg-type]
            found = [fact for fact in found if not change.covers(fact)]
            times = change.times(turn.at)
            replaced = change.effect == "ends" and any(
                fact.subject == change.fact.subject and fact.attribute == change.attribute for fact in found
            )
            if times is not None and not replaced:
                changed.append(making.changed(turn, sentence, change, *times))
        changed += [
            making.changed(turn, sentence, change, fact.valid_from, None)
            for fact in [*found, *changed]
            for other in exclusions.excluded_by(fact, active)
            for change in (transitions.Change(other, "ends", other.attribute, other.value),)
        ]
        return found + self._fresh(changed, [*before, *found])

    def _changed(self, turn: Turn, note: str, language: str, before: list[Fact]) -> list[Fact]:
        """Return what a note changes of the facts that are known: "note that my email is now …"."""
        said = Sentence(note, is_question=False)
        if common_words.SECRET.search(note) or guard.is_conditional(note) or guard.is_reported(note):
            return []
        active = [*self._known, *self._said, *before]
        found: list[Fact] = []
        clauses = parsing.read(said, language, self._people, turn.at, self._zone)  # type: ignore[arg-type]
        for clause in clauses:
            found += self._clause(turn, said, clause, [*before, *found], is_correction=False)
        slots = {(fact.subject, fact.attribute) for fact in active}
        return [fact for fact in found if (fact.subject, fact.attribute) in slots]

    def _clause(
        self, turn: Turn, sentence: Sentence, clause: Clause, before: list[Fact], *, is_correction: bool
    ) -> list[Fact]:
        stated: list[Candidate] = []
        candidates = rules.read(clause)
        gone = {candidate.value for candidate in candidates if candidate.effect == "ends"}
        for path, name in clause.subject.names:
            if name in gone:
                continue  # "our old cat Minka died"
            stated += mentioned.name_stated(clause.subject, path, name)
        candidates = [
            one for one in candidates if not self._is_second_name(one, clause, before, is_correction)
        ]
        candidates = changes.switched(candidates, [*self._known, *self._said, *before])
        active = [*self._known, *self._said, *before]
        for candidate in candidates:
            stated += changes.resolved(candidate, active) if candidate.effect == "ends" else [candidate]
            self._notice(candidate)
        facts = self._facts(turn, sentence, stated, clause)
        if is_correction:
            facts = [self._as_correction(fact, active) for fact in facts]
        return self._fresh(facts, before)

    def _is_second_name(
        self, candidate: Candidate, clause: Clause, before: list[Fact], is_correction: bool
    ) -> bool:
        """Say whether "I am Batman" would rename an owner whose name is known: that is no introduction."""
        if (
            candidate.attribute != "name"
            or clause.verb != "be"
            or clause.subject.kind != "owner"
            or is_correction
        ):
            return False
        named = (fact for fact in [*self._known, *self._said, *before] if fact.subject == OWNER)
        return any(fact.attribute == "name" and fact.effect != "ends" for fact in named)

    def _notice(self, candidate: Candidate) -> None:
        """Learn whom a name means, and what "it" is, from what was just stated."""
        base, _, _ = candidate.attribute.partition(":")
        path, _, last = base.rpartition(".")
        if last == "name" and path and candidate.subject.name == OWNER:
            self._people.mention(self._people.introduce(path, candidate.value))
        elif candidate.kind == "possession" and base == "owns":
            noun = next((word for word in lexicon.THINGS if word in candidate.value.casefold().split()), "")
            car = candidate.text.startswith("drives") or not noun
            thing = replace(THE_OWNER, kind="thing", noun=noun or ("car" if car else ""))
            self._people.mention(thing)
        elif base.startswith("pet") and candidate.effect != "ends":
            self._people.mention(
                replace(
                    THE_OWNER,
                    path=candidate.attribute.partition(":")[2],
                    kind="pet",
                    label=f"The owner's {candidate.attribute.partition(':')[2]}",
                )
            )
        elif base.endswith(".count") and candidate.value == "one":
            for subject in parse(f"my {base.removesuffix('.count')}", self._people):
                self._people.mention(subject)

    def _corrected(self, turn: Turn, sentence: Sentence, before: list[Fact]) -> list[Fact]:
        corrected = changes.bare_correction(sentence.text, before)
        if corrected is None:
            return []
        wrong, value, _ = corrected
        base, _, _ = wrong.attribute.partition(":")
        path, _, last = base.rpartition(".")
        if last == "name" and path and wrong.subject == OWNER:
            self._people.introduce(path, value)
        return [making.corrected(turn, sentence, wrong, value)]

    def _as_correction(self, fact: Fact, before: list[Fact]) -> Fact:
        """Let a fact correct what the same slot said in this conversation."""
        same = [
            other
            for other in before
            if other.attribute == fact.attribute
            and other.subject == fact.subject
            and other.value != fact.value
        ]
        return msgspec.structs.replace(fact, effect="corrects") if same and fact.effect == "states" else fact

    def _fresh(self, facts: list[Fact], before: list[Fact]) -> list[Fact]:
        """Leave out what was said in this conversation already and still holds."""
        latest = {(fact.subject, fact.attribute): fact for fact in [*self._said, *before]}
        result: list[Fact] = []
        for fact in facts:
            last = latest.get((fact.subject, fact.attribute))
            if last and last.value.casefold() == fact.value.casefold() and last.effect == fact.effect:
                continue
            latest[(fact.subject, fact.attribute)] = fact
            result.append(fact)
        return result
