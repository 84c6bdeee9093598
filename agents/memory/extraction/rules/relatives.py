"""Relatives, friends and animals that someone has."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import lexicon as words
from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact, name_of
from agents.memory.extraction.subjects import is_name

_NUMBER_WORDS = (
    r"(?:\d{1,2}|a|an|one|two|three|four|five|six|seven|eight|nine|ten|ein(?:e[nr]?)?|zwei|"
    r"drei|vier|fünf|sechs)"
)
_HAS_KIN = re.compile(
    rf"^(?P<count>{_NUMBER_WORDS}|my|our|no|any)? ?(?P<adjective>(?:[\w-]+ ){{0,3}}?)(?P<kin>"
    + "|".join(
        sorted(
            map(
                re.escape,
                [*words.KIN, *words.PETS_PLURAL],
            ),
            key=len,
            reverse=True,
        )
    )
    + r")(?:,? (?:called|named|whose names? (?:is|are)|namens|by the name of|,? (?:his|her|their|its) "
    r"names? (?:is|are)?|who is called|"
    r"who are called))?(?P<names>[ ,:].*)?$",
    re.IGNORECASE,
)


def has_kin(clause: Clause) -> list[Candidate]:
    """Read "have two sisters", "have a cat called Mimi", "have no children"."""
    if not clause.subject.is_human or (clause.verb == "get" and clause.tense == "future"):
        return []
    match = _HAS_KIN.match(clause.rest)
    if not match or re.match(r" in (?:this|the) (?:fight|race)", match["names"] or ""):
        return []
    low = match["kin"].casefold()
    is_bare = not (match["count"] or match["names"] or clause.ended or clause.negated)
    if is_bare and low not in (*words.PETS_PLURAL, "kids", "children"):
        return []
    kin = words.PETS_PLURAL.get(low) or words.KIN.get(low, low)
    is_plural = (low in words.PETS_PLURAL and low not in words.KIN) or kin in words.KIN_PLURAL
    if re.search(
        r"\b(?:and|of|like|that|than|at|in|with|for|from|to|about|by|my|our|his|her|bei|beim|on|imaginary|"
        r"toy|stuffed|robot)"
        r"\b",
        match["adjective"],
    ):
        return []
    is_pet = kin in words.PETS
    singular = words.KIN_SINGULAR.get(kin, kin)
    names = _names_behind(
        match["names"] or "", is_called="called" in match[0] or "named" in match[0] or "name" in match[0]
    )
    if (
        match["names"]
        and not names
        and not re.match(
            r"^(?:,| (?:who|with|and|in|from|that|which|at|aged|now|again|too|as|of mine)\b)", match["names"]
        )
    ):
        return []
    count = (match["count"] or "").casefold()
    if clause.ended:
        return (
            fact(
                clause,
                f"pet:{singular}" if is_pet else f"{kin}.count",
                singular if is_pet else "",
                f"has a {singular}",
                "possession" if is_pet else "relation",
            )
            if is_pet
            else []
        )
    if clause.negated or count == "no":
        return (
            fact(clause, f"{kin}.count", "none", f"has no {match['kin']}", "relation") if not is_pet else []
        )
    if clause.tense == "past" and clause.verb == "have":
        return []
    found: list[Candidate] = []
    breed = match["adjective"].strip()
    if is_pet and not names:
        what = f"{count} {low}" if is_plural and count else f"{breed} {singular}".strip()
        article = "" if is_plural and count else "a "
        found += [
            replace(candidate, attribute=clause.subject.attribute(f"pet:{singular}"))
            for candidate in fact(
                clause, "pet", _shown(what, singular), f"has {article}{what}", "possession", confidence=0.85
            )
        ]
    elif is_plural and count and count not in ("my", "our", "any"):
        found += fact(clause, f"{kin}.count", count, f"has {count} {match['kin']}", "relation")
    for name in names:
        path = clause.subject.attribute(singular)
        found += name_of(
            replace(clause.subject, path=path, label=f"{clause.subject.possessive} {singular}"), name
        )
    if not found and count in ("a", "an", "one", "eine", "einen", "ein") and not is_pet:
        what = f"{breed} {singular}".strip()
        found += fact(clause, f"{singular}.count", "one", f"has a {what}", "relation", confidence=0.8)
    return found


def listed_kin(clause: Clause, kin: str) -> list[Candidate]:
    """Read the names in "my kids are Theo (11), Ida (8) and Max"; ``kin`` is the relation."""
    singular = words.KIN_SINGULAR.get(kin, kin)
    path = clause.subject.path.removesuffix(kin) + singular
    found: list[Candidate] = []
    for part in values.listed(re.sub(r"\([^)]*\)|\b(?:little|big|baby)\b", "", clause.rest)):
        name = re.split(r" (?:who|is|are|aged)\b| \d", part)[0].strip()
        if is_name(name):
            one = replace(clause.subject, path=path, label=f"The owner's {path}")
            found += name_of(one, name, is_one_of=True)
    return found


def _names_behind(text: str, *, is_called: bool) -> list[str]:
    text = re.sub(r"^,? an? [\w -]+? (?=called|named)", "", text)
    text = re.sub(
        r"^[ ,:]*(?:called|named|namens|(?:his|her|their|its) names? (?:is|are)?|who is|who are)?[ ,:]*",
        "",
        text,
        flags=re.I,
    )
    names = []
    for part in values.listed(text):
        name = re.split(r" (?:who|is|are|which|with|from|in|aged|that)\b|\(", part)[0].strip()
        if is_name(name, lower=is_called) and not name.isdigit():
            names.append(name)
        elif not re.match(r"^\d+$", name):
            break
    return names


def _shown(what: str, singular: str) -> str:
    return singular if what == singular else what
