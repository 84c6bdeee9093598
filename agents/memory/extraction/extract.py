"""From turns to facts: the way through guard, sentences and rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, tzinfo

import msgspec

from agents.memory.extraction import (
    changes,
    common_words,
    ending_words,
    guard,
    lexicon,
    parsing,
    proper_names,
    render,
    rules,
    transitions,
)
from agents.memory.extraction.model import OWNER, Candidate, Clause, Subject
from agents.memory.extraction.notes import asked_to_remember
from agents.memory.extraction.rules.build import name_of
from agents.memory.extraction.sentences import Sentence, language_of, sentences
from agents.memory.extraction.subjects import THE_OWNER, People, parse
from schemas.chat import Turn
from schemas.memory import Fact

_AGED = re.compile(
    rf"\b(?P<who>(?:[Mm]y|[Oo]ur) )(?P<age>\d{{1,2}})[- ]years?[- ]old (?P<kin>{parsing.KIN_WORDS})\b"
    rf"(?P<name>,? [A-Z]\w+)?"
)
_BIRTHDAY = re.compile(
    rf"\b(?P<who>(?:[Mm]y|[Oo]ur) {lexicon.KIN_ADJECTIVES}(?:{parsing.KIN_WORDS})(?: [A-Z]\w+)?)'s? "
    r"(?:\d{1,3}(?:st|nd|rd|th) |big )?birthday(?: party)?(?:,? which)?(?: is)? on (?:the )?"
    r"(?P<day>\d{1,2}(?:st|nd|rd|th)?(?: of)? (?:January|February|March|April|May|June|July|August|September|"
    r"October|November|December)|(?:January|February|March|April|May|June|July|August|September|October|"
    r"November|December) \d{1,2}(?:st|nd|rd|th)?)\b"
)
_IN_PARENTHESES = re.compile(
    rf"\b(?:(?:[Mm]y|[Oo]ur) {lexicon.KIN_ADJECTIVES}(?P<kin>{parsing.KIN_WORDS}),? (?:is |called )?)?"
    r"(?P<name>[A-ZÄÖÜ][a-zäöüß]+)? ?\((?:aged? |almost |nearly )?(?P<age>\d{1,2})(?: ?y(?:ea)?rs?(?: old)?|"
    r" ?yo)?\)"
)
"""An age behind whom it is of: "my son (7)", "Theo (9) and Max (6)"."""
_CALL_ME = re.compile(
    r"^(?:(?i:please|just|but|you can|you may|bitte|du kannst),? )*(?:(?i:call me|nenn(?:e)? mich)|"
    r"mich) (?P<v>(?!The\b|A\b)"
    r"[A-ZÄÖÜ][a-zäöüß]+)(?: nennen)?(?:,? (?:from now on|please|instead|bitte|ab jetzt))*[.!]*$"
)
_PREFERRED_ANSWERS = re.compile(
    r"^(?:(?:so|and|also|please|btw),? )*i(?:'d)? (?:prefer|like|want|love) (?:my |your |the )?(?:answers?|"
    r"replies|responses|"
    r"explanations|summaries) (?:to be |in |as |with )?(?P<v>[\w -]{3,40}?)(?:,? (?:please|plz|pls|"
    r"thanks))?[.!]*$",
    re.IGNORECASE,
)
_ANSWERS = re.compile(
    r"^(?:please |from now on,? |in (?:the )?future,? |bitte |ab jetzt |in zukunft )*(?:always|from now on|"
    r"in future|only ever|never|immer|ab jetzt|künftig)[, ]+(?P<p>(?:please )?"
    r"(?:answer|reply|respond|write|speak|talk|use|call|address|give(?! up)|keep|antworte|schreib|sprich|"
    r"nenn|"
    r"duze?|be|format|include|add|avoid|start|end)\b.*)$"
    r"|^(?:please |bitte )*(?P<q>(?:always|immer|never) (?:answer|reply|respond|write|use|call|address|"
    r"antworte\w*|give(?! up)|keep)\b.*)$"
    r"|^(?:please |bitte )*(?P<r>(?:answer|reply|respond|write|speak|talk|use|call|address|antworte|"
    r"schreibe?|sprich)\b.*?),? (?:from now on|in (?:the )?future|always|ab jetzt|"
    r"in zukunft|künftig|every time|immer)[ .!]*$"
    r"|^(?:please |bitte )*(?P<s>(?:antworte|schreibe?|sprich|answer|reply|speak)\b.*\b(?:immer|always)"
    r"\b.*)$",
    re.IGNORECASE,
)


_PRETENCE_TURNS = 3
"""In a play of at most so many turns, what the user asks to remember is meant all the same."""


def extract(
    turns: Sequence[Turn], *, recalled: Sequence[str] = (), known: Sequence[Fact] = (), zone: tzinfo = UTC
) -> list[Fact]:
    """Return the facts that the user stated in these turns of one conversation, oldest first.

    ``turns`` in their order, answers included: they are the context, facts
    come from the user's turns only, their times are relative to the turn's, in
    ``zone``. ``recalled`` are texts that were given to the model or shown in
    this conversation besides those in ``Turn.passages``: what repeats them is
    no fact. ``known`` are facts that hold already: whom a name means, and what
    "I sold the Golf" ends. The same turns give the same facts with the same
    identities, so a caller may pass earlier turns again and take those whose
    ``answer`` is new.
    """
    reader = _Reader(known, recalled, zone)
    found: list[Fact] = []
    for turn in turns:
        if turn.role == "user":
            found += reader.read(turn)
        else:
            reader.hear(turn)
    return found


def identity(turn: Turn, subject: str, attribute: str, value: str) -> str:
    """Return the identity of a statement in a turn: 32 hex digits."""
    parts = (turn.project, turn.conversation, turn.answer, subject, attribute, value)
    text = "\x1f".join(" ".join(part.casefold().split()) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Reader:
    """Goes through one conversation."""

    def __init__(self, known: Sequence[Fact], recalled: Sequence[str], zone: tzinfo) -> None:
        self._zone = zone
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
        found: list[Fact] = []
        if not self._playing and guard.is_fiction(own) and (to := guard.addressee(own)):
            found += self._facts(turn, Sentence(to, is_question=False), self._mentioned(to), None)
            found = self._fresh(found, [])
        if not (self._playing > _PRETENCE_TURNS or guard.is_fiction(own) or guard.is_joke(own)):
            language = language_of(turn.text)
            self._people.is_casual = not re.search(r"[^\W\d_a-zäöüß]", own.replace("I", ""))
            for sentence in sentences(own):
                if self._people.is_casual:
                    named = proper_names.capitalised(sentence.text)
                    sentence = replace(sentence, text=named, said=sentence.text)
                if self._playing and not asked_to_remember(sentence.text):
                    continue
                if not self._recalled.repeats(sentence.text):
                    found += self._sentence(turn, sentence, language, found)
        self._said += found
        for fact in found:
            self._meet(fact)
        return found

    def _sentence(self, turn: Turn, sentence: Sentence, language: str, before: list[Fact]) -> list[Fact]:
        note = asked_to_remember(sentence.text)
        if note:
            return self._facts(turn, sentence, [_noted(note)], None) + self._changed(
                turn, note, language, before
            )
        if guard.is_reported(sentence.text):
            sentence = Sentence(guard.before_reported(sentence.text), is_question=False)
        if not sentence.text or common_words.SECRET.search(sentence.text):
            return []
        if match := _CALL_ME.match(sentence.text):
            name = Candidate(
                THE_OWNER, "nickname", match["v"], f"wants to be called {match['v']}", "identity"
            )
            return self._fresh(self._facts(turn, sentence, [name], None), before)
        is_contact = ending_words.NUMBER_NOW.match(sentence.text)
        if not is_contact and (match := _ANSWERS.match(sentence.text.rstrip(".!"))):
            wanted = (match["p"] or match["q"] or match["r"] or match["s"]).strip()
            return self._facts(turn, sentence, [_answering(wanted)], None)
        if match := _PREFERRED_ANSWERS.match(sentence.text):
            return self._facts(turn, sentence, [_answering(match["v"].strip())], None)
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
        mentioned = [
            one for one in self._mentioned(sentence.text) if (one.attribute, one.value) not in ended
        ]
        return found + self._fresh(self._facts(turn, sentence, mentioned, None), [*before, *found])

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
                changed.append(self._of_change(turn, sentence, change, *times))
        changed += [
            self._of_change(turn, sentence, change, fact.valid_from, None)
            for fact in [*found, *changed]
            for change in transitions.excluded_by(fact, active)
        ]
        return found + self._fresh(changed, [*before, *found])

    def _of_change(
        self, turn: Turn, sentence: Sentence, change: transitions.Change, start: float, end: float | None
    ) -> Fact:
        old = change.fact
        text = f"No longer: {old.text}" if change.effect == "ends" else change.text
        return msgspec.structs.replace(
            old,
            id=identity(turn, old.subject, change.attribute, f"{change.effect}{change.value}"),
            text=text,
            attribute=change.attribute,
            value=change.value,
            effect=change.effect,
            confidence=0.85,
            valid_from=start,
            valid_to=end,
            superseded_by="",
            at=turn.at,
            conversation=turn.conversation,
            answer=turn.answer,
            quote=sentence.quote,
            project=turn.project,
        )

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
            stated += name_of(
                Subject(path=path, label=f"The owner's {path.replace('.', chr(39) + 's ')}"), name
            )
        candidates = [one for one in candidates if not self._is_second_name(one, clause, before, is_correction)]
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
        if candidate.attribute != "name" or clause.verb != "be" or clause.subject.kind != "owner" or is_correction:
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

    def _mentioned(self, sentence: str) -> list[Candidate]:
        """Return relations that a sentence takes for granted, be it a question: "for my wife Carla"."""
        found: list[Candidate] = []
        for words in parsing.mentions(sentence):
            for subject in parse(words, self._people):
                self._people.mention(subject)
                for path, name in subject.names:
                    found += name_of(Subject(path=path, label=f"The owner's {path}"), name)
        for match in _BIRTHDAY.finditer(sentence):
            for subject in parse(match["who"], self._people):
                day = match["day"]
                name = subject.attribute("birthday")
                found.append(Candidate(subject, name, day, f"has their birthday on {day}", "date"))
        for match in _AGED.finditer(sentence):
            for subject in parse(f"{match['who']}{match['kin']}{match['name'] or ''}", self._people):
                found.append(_aged(subject, match["age"]))
        for match in _IN_PARENTHESES.finditer(sentence):
            kin, name = match["kin"], match["name"]
            who = f"my {kin}{f' {name}' if name else ''}" if kin else name or ""
            subjects = parse(who, self._people) if who else []
            found += [
                _aged(one, match["age"]) for one in subjects if one.is_known and one.kind in ("person", "pet")
            ]
        return found

    def _corrected(self, turn: Turn, sentence: Sentence, before: list[Fact]) -> list[Fact]:
        corrected = changes.bare_correction(sentence.text, before)
        if corrected is None:
            return []
        wrong, value, _ = corrected
        base, _, _ = wrong.attribute.partition(":")
        attribute = wrong.attribute  # the slot of the wrong value, so that it is that one which is corrected
        text = (
            wrong.text.replace(wrong.value, value)
            if wrong.value in wrong.text
            else f"{wrong.text} Rather: {value}."
        )
        right = msgspec.structs.replace(
            wrong,
            id=identity(turn, wrong.subject, attribute, value),
            text=text,
            attribute=attribute,
            value=value,
            effect="corrects",
            at=turn.at,
            conversation=turn.conversation,
            answer=turn.answer,
            quote=sentence.quote,
            project=turn.project,
        )
        path, _, last = base.rpartition(".")
        if last == "name" and path and wrong.subject == OWNER:
            self._people.introduce(path, value)
        return [right]

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

    def _facts(
        self, turn: Turn, sentence: Sentence, candidates: Sequence[Candidate], clause: Clause | None
    ) -> list[Fact]:
        found = []
        for candidate in candidates:
            times = render.times_of(candidate, clause, turn.at)
            if times is None:
                continue
            valid_from, valid_to = times
            found.append(
                Fact(
                    id=identity(
                        turn,
                        candidate.subject.name,
                        candidate.attribute,
                        f"{candidate.effect}{candidate.value}",
                    ),
                    text=render.sentence_of(candidate, valid_from, valid_to, turn.at, self._zone),
                    subject=candidate.subject.name,
                    attribute=candidate.attribute,
                    value="" if candidate.value == "-" else candidate.value,
                    kind=candidate.kind,
                    effect=candidate.effect,
                    confidence=candidate.confidence,
                    valid_from=valid_from,
                    valid_to=valid_to,
                    at=turn.at,
                    conversation=turn.conversation,
                    answer=turn.answer,
                    quote=sentence.quote,
                    project=turn.project,
                )
            )
        return found


def _aged(subject: Subject, age: str) -> Candidate:
    return Candidate(subject, subject.attribute("age"), age, f"is {age} years old", "identity")


def _noted(what: str) -> Candidate:
    key = hashlib.sha256(what.casefold().encode()).hexdigest()[:12]
    return Candidate(
        THE_OWNER,
        f"note:{key}",
        what,
        what[:1].upper() + what[1:] + ".",
        "note",
        confidence=1.0,
        is_sentence=True,
    )


def _answering(wanted: str) -> Candidate:
    match = re.search(r"\b(?:in|auf) (?P<v>[A-Z][a-z]+)\b", wanted)
    topic = "language" if match else re.sub(r"\W+", " ", wanted.casefold()).strip()[:60]
    text = f"The owner wants this of every answer: {wanted}."
    return Candidate(
        THE_OWNER, f"answers:{topic}", match["v"] if match else wanted, text, "preference", is_sentence=True
    )
