"""Corrections and ends: what a sentence does to facts that are known already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate
from agents.memory.extraction.subjects import is_name
from schemas.memory import Fact

_CUE = re.compile(
    r"^(?:(?:oh|ah|oops|ups|hm+|uh|ok)[,. ]+)*(?:no(?= *[,.;:!–-]| (?:it|that|not|i|he|she|my|the|wait|"
    r"sorry)\b)|nope|nein|"
    r"sorry(?! (?:to|about|for|if|that)\b)|correction|"
    r"korrektur|wait|actually|my mistake|my bad|"
    r"i (?:meant|mean)|ich meinte?|scratch that|typo|excuse me|pardon|let me correct|to correct|apologies|"
    r"i misspoke|i was wrong|"
    r"that(?:'s| is| was) wrong|that(?:'s| is) not right|i made a mistake|i mixed|entschuldigung|quatsch|"
    r"falsch|moment|doch nicht)\b",
    re.IGNORECASE,
)
_INNER = re.compile(
    r"\b(?:i (?:meant|mean)|not \w+ but|ich meinte?|wait,? no|no,? wait|scratch that|correction)\b",
    re.IGNORECASE,
)
_CUES = re.compile(
    r"^(?:(?:oh|ah|oops|ups|hm+|no|nope|nein|sorry|correction|korrektur|wait|actually|my mistake|my bad|i "
    r"meant|i mean|ich meinte?|scratch that|typo|"
    r"apologies|i misspoke|that(?:'s| is| was) wrong|that(?:'s| is) not right|to say|i was wrong|"
    r"entschuldigung|quatsch|falsch|moment|pardon|excuse me|"
    r"i made a mistake|should be|should have been|should read|it should be|it is|it's|it was|they are|that "
    r"is|that's|he is|she is|he's|she's|"
    r"es ist|er ist|sie ist|es sind|natürlich|of course|doch|halt|warte|ach|nö|eh|vielmehr|sondern|"
    r"make that|rather)[\s,.:;!–-]+)+",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"(?P<new>.+?),? (?:and |und )?(?:not|nicht|instead of|rather than|statt) (?:on |in |at |am |the )"
    r"?(?P<old>[\w .'-]+)$",
    re.IGNORECASE,
)
_NOT_BUT = re.compile(r"^(?:not|nicht) (?P<old>[\w .'-]+?),? (?:but|sondern) (?P<new>.+)$", re.IGNORECASE)
_ALIKE = 0.6
"""Similarity from which one value is a misspelt other."""
_PARTNERS = ("boyfriend", "girlfriend", "partner", "husband", "wife", "fiancé", "fiancée", "spouse")


def is_correction(sentence: str) -> bool:
    """Say whether a sentence corrects what was said before."""
    return bool(_CUE.match(sentence.strip()) or _INNER.search(sentence))


def bare_correction(sentence: str, before: Sequence[Fact]) -> tuple[Fact, str, str] | None:
    """Read "Sorry, I meant Ingeborg" or "It is on Tuesday, not Monday".

    Returns the fact of ``before`` (oldest first) that it corrects, its new
    value and the new value's words; None when it is no such sentence.
    """
    text = sentence.strip().rstrip(".!")
    text = _CUES.sub("", f"{text} ").strip()
    text = re.sub(r"^(?:on|in|at|am|um) (?=\S)", "", text, flags=re.I)
    pair = _NOT_BUT.match(text) or _NOT.match(text)
    new = values.cut(pair["new"] if pair else text)
    new = re.sub(r"^(?:it is|it's|on|at) ", "", new, flags=re.I)
    new = re.split(r" (?:with (?:a |double |one |two )|mit (?:doppel|zwei|einem)|spelled|spelt|like)\b", new)[
        0
    ].strip(" ,\"'")
    if (
        not new
        or len(new.split()) > 6
        or re.match(r"^(?:i|we|my|you|that|this|it|he|she|they|the (?:other|first|second))\b", new, re.I)
    ):
        return None
    if not before:
        return None
    if pair:
        old = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", values.cut(pair["old"]).casefold())
        for fact in reversed(before):
            if old and re.search(rf"(?<!\w){re.escape(old)}", fact.value.casefold()):
                at = fact.value.casefold().index(old)
                rest = set(re.findall(r"\w+", f"{fact.value[:at]} {fact.value[at + len(old) :]}".casefold()))
                if rest & set(re.findall(r"\w+", new.casefold())):
                    return fact, new, new  # "5 April" for "4 April": the whole value was said again
                return fact, fact.value[:at] + new + fact.value[at + len(old) :], new
        return None
    recent = [fact for fact in before[-6:] if fact.effect != "ends" and _shape(new) == _shape(fact.value)]
    if not recent:
        return None
    alike = max(recent, key=lambda fact: SequenceMatcher(None, fact.value.casefold(), new.casefold()).ratio())
    if SequenceMatcher(None, alike.value.casefold(), new.casefold()).ratio() >= _ALIKE:
        return alike, new, new
    named = [fact for fact in recent if fact.attribute.partition(":")[0].endswith("name")]
    last = named[-1] if named and is_name(new) else recent[-1]
    return (last, new, new) if last in before[-2:] else None


def switched(candidates: list[Candidate], known: Sequence[Fact]) -> list[Candidate]:
    """Let "switched from physics to maths" change what holds the old value, be it a study or a telephone."""
    if [one.effect for one in candidates] != ["ends", "states"]:
        return candidates
    old, new = candidates
    if not (old.attribute.startswith("uses:") and new.attribute.startswith("uses:")):
        return candidates
    holds = [fact for fact in known if fact.effect != "ends" and fact.subject == old.subject.name]
    slots = {fact.attribute: fact for fact in holds if fact.value.casefold() == old.value.casefold()}
    if not slots and f"{old.value}{new.value}".islower():
        return []  # "from coffee to tea"
    if len(slots) != 1 or next(iter(slots)).startswith("uses:"):
        return candidates
    [(attribute, fact)] = slots.items()
    text = fact.text.removesuffix(".").replace(fact.value, new.value)
    base, colon, _ = attribute.partition(":")
    changed = replace(new, attribute=attribute, text=f"{text}.", kind=fact.kind, is_sentence=True)
    if not colon:
        return [changed]
    ends = replace(old, attribute=attribute, text=fact.text, kind=fact.kind, is_sentence=True)
    return [ends, replace(changed, attribute=f"{base}:{new.value.casefold()}")]


def resolved(candidate: Candidate, known: Sequence[Fact]) -> list[Candidate]:
    """Return what an end ends: the known facts that it means, or itself when none is known."""
    subject = candidate.subject.name
    base, _, _ = candidate.attribute.partition(":")
    value = "" if candidate.value == "-" else candidate.value
    means = []
    for fact in known:
        if fact.effect == "ends" or fact.valid_to is not None:
            continue
        known_base = fact.attribute.partition(":")[0]
        if base == "partner.name" or base.endswith(".partner.name"):
            parts = fact.attribute.partition(":")[0].split(".")
            about = (
                fact.subject == subject
                or fact.value.casefold() == subject.casefold()
                or (candidate.subject.path and (fact.attribute.startswith(candidate.subject.path)))
            )
            if (
                len(parts) >= 2
                and parts[-1] == "name"
                and parts[-2] in _PARTNERS
                and about
                and (
                    not value
                    or value.casefold() in (fact.value.casefold(), fact.subject.casefold())
                    or subject.casefold() == fact.value.casefold()
                )
            ):
                means.append(fact)
        elif (
            (base == "pet" and fact.subject == subject and known_base == f"{value}.name")
            or (fact.subject == subject and known_base == base and _is_meant(value, fact.value))
            or (
                base == "owns"
                and fact.subject == subject
                and fact.kind == "possession"
                and _is_meant(value, f"{fact.value} {fact.attribute}")
            )
        ):
            means.append(fact)
    if not means:
        if base.endswith("employer") and candidate.effect == "ends":
            is_home = any(one.attribute == "city" and _is_meant(value, one.value) for one in known)
            return [candidate] if value and base == "employer" and not is_home else []
        return [candidate] if value else []
    return [
        replace(candidate, attribute=fact.attribute, value=fact.value, kind=fact.kind) for fact in means[-1:]
    ]


def _is_meant(value: str, known: str) -> bool:
    asked, has = set(value.casefold().split()), set(re.findall(r"[\w!'-]+", known.casefold()))
    more = [word for word in value.split() if word.casefold() not in has]
    is_fuller = bool(has) and has <= asked and all(re.match(r"[A-ZÄÖÜ\d]", word) for word in more)
    return not asked or asked <= has or is_fuller


def _shape(text: str) -> str:
    """Return what kind of thing a value is, so that a name does not correct a date."""
    if re.search(r"\d", text):
        return "number"
    if re.search(
        r"(?:day|tag|mittwoch|morning|january|february|march|april|may|june|july|august|september|october|"
        r"november|december)\b",
        text,
        re.I,
    ):
        return "number"
    return "words"
