"""Whom a clause is about: the owner, relatives and named people, animals, things."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from agents.memory.extraction import lexicon as words
from agents.memory.extraction.common_words import COMMON
from agents.memory.extraction.model import OWNER, Subject

THE_OWNER = Subject()
_POSSESSIVE = re.compile(
    r"^(?P<who>my|our|mein(?:e[nmrs]?)?|unser(?:e[nmrs]?)?|his|her|their|its|sein(?:e[nmrs]?)?|"
    r"ihr(?:e[nmrs]?)?"
    r"|(?P<name>[A-ZÄÖÜ][\w-]+(?: [A-ZÄÖÜ][\w-]+)?|my (?:[\w-]+ )?[\w-]+(?: [A-Z][\w-]+)?)'s)"
    r"\s+(?P<what>.+)$",
    re.IGNORECASE,
)
_OWN_GROUPS = frozenset(
    "project team company family club choir band department office household firm".split()
)
"""What "the" makes one's own: "the project's database", unlike "the city's mayor"."""
_REFERRED_TO = words.DATED_NOUNS | {"phone", "email", "address", "birthday", "ip"}
"""Slots that an "it" behind them means."""
_BARE_KIN = frozenset(
    "mum mom mam dad daddy mummy mommy mama papa grandma grandpa granny nan gran oma opa".split()
)
"""Relatives who are spoken of without "my"."""
_PRONOUN_TURNS = 2
_NAME_PART = r"[A-ZÄÖÜÁÉÎÓŁŠŽĆÇØÅ][\w'’.-]*"
NAME = re.compile(
    rf"^(?:(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau|Sir|Father|Sister)\.? )?{_NAME_PART}"
    rf"(?: (?:van|von|de|der|den|da|di|la|le|al|bin|zu|{_NAME_PART})){{0,3}}$"
)
_KIN_WORDS = "|".join(sorted(map(re.escape, [*words.KIN, *words.PETS_PLURAL]), key=len, reverse=True))
_KIN = re.compile(
    rf"^(?P<adjective>{words.KIN_ADJECTIVES})(?P<kin>{_KIN_WORDS})(?:s(?= ))?\b,?(?P<name>.*)$", re.IGNORECASE
)


@dataclass
class People:
    """Who was spoken of in a conversation: for names and pronouns."""

    relations: dict[str, Subject] = field(default_factory=dict)
    """From a name in small letters to who that is."""
    by_path: dict[str, list[str]] = field(default_factory=dict)
    """From a relation to the names known for it."""
    last: dict[str, Subject] = field(default_factory=dict)
    """Whom ``m``, ``f``, ``n`` and ``p`` (they) refer to."""
    turn: int = 0
    """The number of the user's turn that is read."""
    spoken: dict[str, int] = field(default_factory=dict)
    """In which turn those of ``last`` were spoken of."""

    is_casual: bool = False
    """The user writes without capital letters, so that names have none."""

    def introduce(self, path: str, name: str) -> Subject:
        """Note that ``name`` is the owner's ``path``; returns how that one is kept."""
        subject = _named(path, name)
        self.relations[name.casefold()] = subject
        if path in words.SINGLE_KIN:
            self.by_path[path] = [name]
        elif name not in self.by_path.setdefault(path, []):
            self.by_path[path].append(name)
        return subject

    def recent(self, gender: str) -> Subject | None:
        """Return whom a pronoun means: somebody spoken of in this turn or the two before."""
        return self.last.get(gender) if self.turn - self.spoken.get(gender, 0) <= _PRONOUN_TURNS else None

    def mention(self, subject: Subject) -> None:
        """Note that a subject was spoken of, so that a pronoun can mean it."""
        if subject.kind == "owner":
            return
        if subject.kind == "thing" and subject.path.rpartition(".")[2] in words.FEMALE | words.MALE:
            whose: Literal["m", "f"] = "f" if subject.path.rpartition(".")[2] in words.FEMALE else "m"
            owner = replace(subject, kind="person", noun="", gender=whose, names=())
            self.last[whose], self.spoken[whose] = owner, self.turn  # "my daughter's nursery": she
            return
        if subject.kind == "thing":
            noun = subject.noun.casefold()
            if noun in words.THINGS or words.SLOT_NOUNS.get(noun, "") in _REFERRED_TO:
                self.last["n"], self.spoken["n"] = subject, self.turn
            return
        for gender in (subject.gender,) if subject.gender in ("m", "f") else ("m", "f"):
            self.last[gender], self.spoken[gender] = subject, self.turn
        if subject.kind == "pet":
            self.last["n"], self.spoken["n"] = subject, self.turn
        if subject.path.rpartition(".")[2] in words.KIN_PLURAL | {"partner", "spouse"}:
            self.last["p"], self.spoken["p"] = subject, self.turn

    def resolve(self, subject: Subject) -> Subject:
        """Return the one that is known under a relation, such as the only sister that has a name."""
        names = self.by_path.get(subject.path, ())
        if subject.name == OWNER and len(names) == 1:
            known = self.relations.get(names[0].casefold())
            if known:
                return replace(known, noun=subject.noun, names=subject.names)
        return subject


def parse(text: str, people: People) -> list[Subject]:
    """Return whom a noun phrase or pronoun names; empty when it names nobody who can be told."""
    text = text.strip(" ,")
    low = text.casefold()
    if low in (
        "i",
        "ich",
        "me",
        "we",
        "wir",
        "i myself",
        "my family",
        "us",
        "we all",
        "my wife and I".casefold(),
    ):
        return [THE_OWNER]
    if match := re.search(
        r"^(?P<who>.+?),? (?:and|und) (?:i|me|ich)$|^(?:i|ich) (?:and|und) (?P<other>.+)", text, re.IGNORECASE
    ):
        return [
            replace(THE_OWNER, noun=match["who"] or match["other"])
        ]  # with whom, for "Tom and I broke up"
    if low in ("everyone", "everybody", "most people", "people", "my friends", "friends"):
        return [Subject(name="everybody", label="Everybody", kind="thing")]
    if low in ("he", "she", "it", "they", "er", "sie", "es"):
        gender = {"he": "m", "er": "m", "she": "f", "sie": "f", "they": "p"}.get(low, "n")
        found = people.recent(gender)
        return [replace(found, names=())] if found else []
    if match := _POSSESSIVE.match(text):
        return _possessed(match, people)
    if match := re.fullmatch(
        r"(?P<a>der|die|unser|unsere) (?:große|grosse|kleine|ältere|jüngere|älteste|jüngste|großer|kleiner)",
        low,
    ):
        son = match["a"] in ("der", "unser")
        kin = "son" if son else "daughter"
        return [
            replace(
                THE_OWNER, path=kin, label=f"The owner's {kin}", kind="person", gender="m" if son else "f"
            )
        ]
    if match := re.match(r"^(?:the|this|that|der|die|das|den|dem)\s+(?P<what>.+)$", text, re.IGNORECASE):
        return _of_phrase(match["what"], THE_OWNER, people, is_mine=False)
    first = low.split(" ")[0]
    if (low in words.SLOT_NOUNS and low not in COMMON) or (
        words.SLOT_NOUNS.get(first) in words.DATED_NOUNS and len(low.split()) <= 4
    ):
        return [replace(THE_OWNER, noun=text, kind="thing")]
    if re.fullmatch(
        r"staging|production|prod|dev|jenkins|grafana|the (?:wiki|intranet)|jupyter|kibana|the registry", text
    ):
        return [replace(THE_OWNER, noun=low, kind="thing")]
    both = re.split(r"\s+(?:and|und|&)\s+", text)
    if len(both) == 2 and all(NAME.match(part) and not _is_common(part) for part in both):
        return [_person(part, people) for part in both]
    if low in _BARE_KIN:
        return parse(f"my {low}", people)
    if low in people.relations:
        return [replace(people.relations[low], names=())]
    if NAME.match(text) and not _is_common(text):
        return [_person(text, people)]
    return []


def is_name(text: str, *, lower: bool = False) -> bool:
    """Say whether a text can be somebody's name; ``lower`` allows small letters, for those who write so."""
    text = re.sub(
        r"^(?:Doctor|Professor|Pastor|Nurse|Sister|Father|Frau|Herr|Lady) (?=[A-ZÄÖÜ])", "", text.strip()
    )
    if not text or _is_common(text):
        return False
    if NAME.match(text):
        return True
    return (
        lower
        and bool(re.fullmatch(r"[a-zäöüß]{2,}(?: [a-zäöüß]{2,})?", text))
        and not any(word in COMMON for word in text.split())
    )


def kin_of(word: str) -> str:
    """Return the English word for a relation, in the singular; empty when it is none."""
    low = word.casefold().strip()
    return words.KIN.get(low) or words.PETS_PLURAL.get(low, "")


def _possessed(match: re.Match[str], people: People) -> list[Subject]:
    who = match["who"].casefold()
    if match["name"]:
        base = parse(match["name"], people)
        if base and not base[0].is_known and " " in base[0].name:
            return []  # "Taylor Swift's cat": a full name that nobody introduced is a public person's
    elif who in ("my", "our") or who.startswith(("mein", "unser")):
        base = [THE_OWNER]
    else:
        gender = (
            "m"
            if who == "his" or who.startswith("sein")
            else "f"
            if who == "her" or who.startswith("ihr")
            else "n"
        )
        found = people.recent("p" if who == "their" else gender)
        base = [found] if found else []
    return _of_phrase(match["what"], base[0], people, is_mine=True) if base else []


def _of_phrase(what: str, base: Subject, people: People, *, is_mine: bool) -> list[Subject]:
    """Read ``sister Anna``, ``sister's husband``, ``washing machine``, ``deadline of KRONOS``."""
    chain = re.match(r"^(?P<first>[^']+)'s?\s+(?P<rest>.+)$", what)
    if chain:
        first = _of_phrase(chain["first"], base, people, is_mine=is_mine)
        return _of_phrase(chain["rest"], first[0], people, is_mine=True) if first else []
    of = re.match(
        r"^(?P<noun>[\w -]+?) (?:of|for|vom|von|für|in) (?P<whose>(?:(?:the|my|our|mein\w*|unser\w*|der|"
        r"die|das) )?[\w .&-]+)$",
        what,
        re.IGNORECASE,
    )
    if of and (not is_mine or words.SLOT_NOUNS.get(of["noun"].casefold())):
        return _thing_of(of["noun"], of["whose"], people)
    kin = _KIN.match(what) if is_mine else None
    if kin and base.kind != "thing":
        relatives = _relative(kin, base, people)
        if relatives is not None:
            return relatives
    noun = what.strip()
    if base.kind == "thing" and base.noun:
        noun = f"{base.noun} {noun}"
    if len(noun.split()) > 5 or not re.match(r"^[\w][\w .&/'!+-]*$", noun):
        return []
    is_owned = (
        (is_mine and base.kind != "thing") or base.is_owned or noun.split()[0].casefold() in _OWN_GROUPS
    )
    return [replace(base, noun=noun, kind="thing", names=(), is_owned=is_owned)]


def _thing_of(noun: str, whose: str, people: People) -> list[Subject]:
    whose = whose.strip()
    plain = re.sub(r"^(?:the|der|die|das) ", "", whose, flags=re.IGNORECASE)
    if re.match(r"(?:my|our|mein|unser)", whose, re.IGNORECASE):
        owners = parse(whose, people)
        return (
            [replace(owners[0], noun=f"{owners[0].noun} {noun}".strip(), kind="thing", is_owned=True)]
            if owners
            else []
        )
    return [Subject(name=plain, label=plain if plain != whose else whose, kind="thing", noun=noun)]


def _relative(match: re.Match[str], base: Subject, people: People) -> list[Subject] | None:
    """Return who is meant; None for what is something else ("dentist appointment")."""
    low = match["kin"].casefold()
    adjective = match["adjective"].casefold().strip()
    kin = words.KIN.get(low) or words.PETS_PLURAL.get(low, low)
    if kin == "friend" and re.search(r"\bbest|beste", adjective):
        kin = "best friend"
    is_plural = (low in words.PETS_PLURAL and low not in words.KIN) or kin in words.KIN_PLURAL
    kind: Literal["person", "pet"] = "pet" if kin in words.PETS else "person"
    gender: Literal["m", "f", ""] = "f" if kin in words.FEMALE else "m" if kin in words.MALE else ""
    if low in ("girl", "boy") and not match["name"].strip():
        return []
    path = base.attribute(kin)
    label = f"{base.possessive} {kin}"
    subject = replace(base, path=path, label=label, kind=kind, gender=gender, noun="", names=())
    where = re.match(
        r"^ (?:in|at|from) (?!crime|law)[\w -]+$", match["name"]
    )  # "my colleagues in accounting"
    names = _names("" if where else match["name"], lower=people.is_casual)
    if names is None:
        return None
    if names:
        singular = words.KIN_SINGULAR.get(kin, kin) if is_plural or len(names) > 1 else kin
        single_path = base.attribute(singular)
        result = []
        for name in names:
            known = (
                people.introduce(single_path, name)
                if base.kind == "owner"
                else _named_of(base, singular, name)
            )
            whose = base.name if base.name != OWNER else ""
            result.append(
                replace(known, names=((single_path, name),), names_of=whose, gender=gender, kind=kind)
            )
        return result
    is_another = re.search(r"\b(?:new|neue[rns]?)\b", adjective)
    return [people.resolve(subject)] if base.kind == "owner" and not is_another else [subject]


def _names(text: str, *, lower: bool) -> list[str] | None:
    """Return the names behind a relation; None when something else stands there."""
    text = text.strip(" ,")
    if not text:
        return []
    parts = re.split(r",? (?:and|und|&) |, ", text)
    if all(is_name(part) for part in parts):
        return parts
    if lower and len(parts) == 1 and is_name(text, lower=True) and " " not in text:
        return [text]
    return None


def _named(path: str, name: str) -> Subject:
    kin = path.rpartition(".")[2]
    gender: Literal["m", "f", ""] = "f" if kin in words.FEMALE else "m" if kin in words.MALE else ""
    kind: Literal["person", "pet"] = "pet" if kin in words.PETS else "person"
    label = f"The owner's {path.replace('.', chr(39) + 's ')} {name}"
    if path in words.SINGLE_KIN:
        return Subject(path=path, label=label, kind=kind, gender=gender)
    return Subject(name=name, label=label, kind=kind, gender=gender)


def _named_of(base: Subject, kin: str, name: str) -> Subject:
    return Subject(name=name, label=f"{base.possessive} {kin} {name}", kind="person")


def _person(name: str, people: People) -> Subject:
    known = people.relations.get(name.casefold())
    if known:
        return replace(known, names=())
    return Subject(name=name, label=name, kind="person", is_known=False)


def _is_common(text: str) -> bool:
    first = text.split()[0].casefold().strip(".,!?")
    return first in COMMON or first in words.KIN
