"""Likes, dislikes, favourites, and how answers should be."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact

_LIKING = {"like": "likes", "love": "loves", "enjoy": "enjoys", "adore": "adores", "fancy": "fancies"}
_NOT_LASTING = re.compile(
    r"^(?:your|this|that|the (?:idea|way|answer|look|sound|second|first|third|last|new|one|design|"
    r"suggestion|recipe|result|plan|part|"
    r"other)\b|it\b|you\b|to (?:know|see|hear|have|be|get|ask|learn|understand|buy|book|make)\b|how\b|"
    r"when\b|what\b|my\b|our\b|"
    r"him\b|her\b|them\b|me\b|option\b|someone|something|(?:just )?take a|everywhere|all (?:the|these|"
    r"those)|being|having|making sure|a (?:quick|short|list|summary|table|recipe|suggestion))",
    re.IGNORECASE,
)

_NO_TOPIC = re.compile(
    r"^(?:at|in|on|with|for|from|by|to|of|about|been|being|was|finally|again|even|especially when|never|"
    r"always|beyond|too|also|still|maybe|yes|no|"
    r"(?:every|any)thing|modern|classical$|old$|new$)\b",
    re.IGNORECASE,
)


_SCENERY = re.compile(
    r"^(?:all )?the (?:[A-Z]|(?:sea|seaside|mountains?|ocean|beach|outdoors|theat(?:re|er)|opera|cinema|"
    r"forest|snow|"
    r"sun|rain|countryside|desert|woods|night|heat|cold|sauna|colou?r \w+|smell of|sound of|taste of))"
)


def likes(clause: Clause) -> list[Candidate]:
    """Read "love hiking", "do not like olives", "like neither"."""
    if (
        clause.subject.kind not in ("owner", "person", "pet")
        or clause.progressive
        or clause.tense in ("future",)
    ):
        return []
    if (
        clause.tense in ("past", "perfect")
        and not (clause.used_to or clause.ended)
        and clause.when.since is None
    ):
        return []
    rest = (
        re.sub(r"^(?:to just|to|the taste of|eating|all things) ", "", clause.rest)
        if not re.match(_NOT_LASTING, clause.rest)
        else ""
    )
    if not rest:
        return []
    if re.match(r"^(?:all )?the ", rest) and not _SCENERY.match(rest):
        return []  # "I love the colours!" comments on something at hand
    found: list[Candidate] = []
    text = re.sub(r" with a (?:passion|vengeance)$", "", values.cut(rest))
    text = re.sub(r"(?<!,) (?:esp\.?|especially|particularly) .*$", "", text)
    is_joined = re.search(r"\b(?:and|or|und|oder|&)\b", text)
    parts = values.listed(re.split(r" (?:like|such as) (?=[A-Z])", text)[0])
    if parts and re.match(r"^\w+ing \w", parts[0]):
        # "making sure that …", "creating a safe, quiet place": an activity with its object is no enumeration.
        parts = (
            []
            if re.search(r"\b(?:an?|the|more|sure) \w+$|\bsure\b", parts[0]) and len(parts) > 1
            else parts[:1]
        )
    if len(parts) > 1 and not is_joined and any(" " in part for part in parts):
        parts = parts[:1]  # "hospital waiting rooms, been here for hours": no enumeration
    parts = [part for part in parts if not _NO_TOPIC.match(part)]
    for part in (re.sub(r"^(?:esp\.?|especially|particularly|mainly|mostly) ", "", one) for one in parts):
        if len(part.split()) > 4 and part.islower():
            continue
        what = values.bare(re.sub(r" like [A-Z].*$", "", values.topic(part)))
        if (
            not what
            or what in ("to", "theme", "part", "spending time")
            or _NOT_LASTING.match(what)
            or re.match(r"^(?:I|and)\b", what)
        ):
            continue
        if clause.negated:
            found += fact(clause, "dislikes", what, f"does not like {what}", "preference", many=True)
        else:
            found += fact(
                clause, "likes", what, f"{_LIKING.get(clause.verb, 'likes')} {what}", "preference", many=True
            )
    return found


def dislikes(clause: Clause) -> list[Candidate]:
    """Read "hate crowded beaches", "can not stand cilantro"."""
    if clause.verb.startswith("can ") and not clause.negated:
        return []
    positive = replace(clause, negated=not clause.negated) if not clause.verb.startswith("can ") else clause
    if not positive.negated:
        return []
    return [
        replace(one, text=one.text.replace("does not like", "dislikes"))
        for one in likes(replace(positive, verb="like"))
    ]


def is_fan(clause: Clause) -> list[Candidate]:
    """Read "be a big fan of Radiohead", "be into climbing", "be not fond of cats"."""
    match = re.match(
        r"^(?:(?:a|an) )?(?:(?:big|huge|great|massive|real|die-hard|lifelong|keen|passionate|avid|total|"
        r"pretty|very|really|quite|so|großer|riesiger) )*"
        r"(?:fan of|fan von|lover of|fond of|into|crazy about|keen on|passionate about|obsessed with|"
        r"interested in|mad about|partial to|enthusiastic about|"
        r"not a fan of|not into|not fond of|not keen on) (?P<v>.+)$",
        clause.rest,
        re.IGNORECASE,
    )
    if not match:
        fan = re.match(
            r"^(?:a|an) (?:(?:big|huge|passionate|real|avid|keen|great|massive|die-hard|lifelong|hobby) )"
            r"*(?P<v>[\w-]+(?: [\w-]+)?) (?:fan|lover|enthusiast|addict|nerd|buff|person)$",
            clause.rest,
            re.I,
        )
        match = fan
    if not match:
        fan = re.match(
            r"^(?:a|an) (?:hobby|amateur|avid|keen|passionate|enthusiastic) (?P<v>[\w-]+)$", clause.rest, re.I
        )
        if fan and not clause.negated and clause.subject.is_human:
            return fact(clause, "hobby", fan["v"], f"is a keen {fan['v']}", "habit", many=True)
    if not match or clause.tense in ("past", "future"):
        return []
    return likes(
        replace(clause, verb="like", rest=match["v"], negated=clause.negated or "not " in clause.rest[:8])
    )


def prefers(clause: Clause) -> list[Candidate]:
    """Read "prefer trains over planes", "prefer tea to coffee"."""
    if clause.negated or not clause.subject.is_human or clause.tense != "present":
        return []
    match = re.match(
        r"^(?P<v>.+?)(?: (?P<than>over|to|rather than|instead of|vor|statt) (?P<w>.+))?$", clause.rest
    )
    if not match or _NOT_LASTING.match(clause.rest) or re.match(r"^the\b", clause.rest, re.I):
        return []
    what = values.topic(match["v"])
    other = values.topic(match["w"]) if match["w"] else ""
    if not what or len(what.split()) > 5:
        return []
    text = f"prefers {what} over {other}" if other else f"prefers {what}"
    return fact(clause, "prefers", what, text, "preference", many=True)


RULES = {
    "like": [likes],
    "love": [likes],
    "enjoy": [likes],
    "adore": [likes],
    "hate": [dislikes],
    "dislike": [dislikes],
    "detest": [dislikes],
    "despise": [dislikes],
    "can stand": [dislikes],
    "can bear": [dislikes],
    "can abide": [dislikes],
    "be": [is_fan],
    "prefer": [prefers],
}
