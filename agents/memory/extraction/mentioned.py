"""Relations, ages and birthdays that a sentence takes for granted, be it a question."""

from __future__ import annotations

import re

from agents.memory.extraction import lexicon, parsing
from agents.memory.extraction.model import OWNER, Candidate, Subject
from agents.memory.extraction.rules.build import name_of
from agents.memory.extraction.subjects import People, parse

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


def read(sentence: str, people: People) -> list[Candidate]:
    """Return relations that a sentence takes for granted, be it a question: "for my wife Carla"."""
    found: list[Candidate] = []
    for words in parsing.mentions(sentence):
        for subject in parse(words, people):
            people.mention(subject)
            for path, name in subject.names:
                found += name_stated(subject, path, name)
    for match in _BIRTHDAY.finditer(sentence):
        for subject in parse(match["who"], people):
            day = match["day"]
            name = subject.attribute("birthday")
            found.append(Candidate(subject, name, day, f"has their birthday on {day}", "date"))
    for match in _AGED.finditer(sentence):
        for subject in parse(f"{match['who']}{match['kin']}{match['name'] or ''}", people):
            found.append(_aged(subject, match["age"]))
    for match in _IN_PARENTHESES.finditer(sentence):
        kin, name = match["kin"], match["name"]
        who = f"my {kin}{f' {name}' if name else ''}" if kin else name or ""
        subjects = parse(who, people) if who else []
        found += [
            _aged(one, match["age"]) for one in subjects if one.is_known and one.kind in ("person", "pet")
        ]
    return found


def name_stated(subject: Subject, path: str, name: str) -> list[Candidate]:
    """Return that a relative of the owner, or of whom ``subject.names_of`` names, has a name."""
    whose = subject.names_of or "The owner"
    label = f"{whose}'s {path.replace('.', chr(39) + 's ')}"
    return name_of(Subject(name=subject.names_of or OWNER, path=path, label=label), name)


def _aged(subject: Subject, age: str) -> Candidate:
    return Candidate(subject, subject.attribute("age"), age, f"is {age} years old", "identity")
