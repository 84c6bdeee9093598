"""What a judge of sentences makes of them: facts of rules that it drops, and statements that are kept whole.

Rules know what a sentence says about whom, and miss most ways to say it. What
is very likely a lasting fact and was not understood is kept as it was said: it
is found again all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass

import msgspec

from agents.memory.extraction import common_words, guard
from agents.memory.extraction.model import Candidate
from agents.memory.extraction.notes import asked_to_remember
from agents.memory.extraction.sentences import Sentence
from agents.memory.extraction.subjects import THE_OWNER
from schemas.memory import Fact

WHOLE_FROM = -1.0
"""Log odds from which rules are believed that took up all of a sentence."""
KNOWN_FROM = -3.0
"""Log odds from which they are believed of what is known to have a value, which may change."""
PART_FROM = 1.5
"""Log odds from which they are believed of a part."""
KEPT_FROM = 1.7
"""Log odds of a turn's likeliest sentence from which it is kept."""
ALSO_FROM = 0.0
"""Log odds of the others from which they are kept with it: they say whom it is about, or more of it."""
LONGEST_CHARS = 400
_CONFIDENCE = 0.7
_LONGEST_VALUE = 6
_LEFT_OVER = 1
"""Words of a sentence that rules understood whole in spite of them."""
_BEGINNING = 4
_PLAIN_WORDS = 11
_JOINED = re.compile(r"[,;:()–—](?!\d)|[.!?]\s|\b(?:and|but|so|because|und|aber|weil)\b", re.IGNORECASE)
"""A sentence of a few words without any of these says one thing."""
_FREE = ("note", "answers", "nickname", "address")
"""Attributes whose values are whole sentences, or have commas."""
_NAMED = ("city",)
_CERTAIN = ("name", "age", "birthday", "diet", "condition", "allergy", "intolerance", "city", "employer")
"""Attributes of which rules take the right words out of a longer sentence."""
_HALF = re.compile(
    r",(?!\d)|;|\b(?:i|me|my|it|its|him|her|them|that|this|and|no|not|myself|altogether)\b", re.IGNORECASE
)
_UNCLEAN = re.compile(
    rf"{_HALF.pattern}|\b(?:at|for|by|with|on|years|ago|before|after|each|every|own|in the|in this|"
    r"one in|same)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"[\\{}|<>=]|\w\(|\(\)|\s--\w|::|\b\w+/\w+/\w+|\b(?:error|failed|cannot|warning|fatal)\b[^.!?]*:"
)
_SAYS = re.compile(
    r"(?<!\bi )\b(?:said|says|claims|claimed|reckons|swears|insists|texted|wrote|sagt|sagte|meint|meinte|"
    r"behauptet|schreibt|schrieb)\b",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(?:i|i'm|me|my|mine|we|us|our|ours|ich|mir|mich|mein\w*|wir|uns|unser\w*)\b", re.IGNORECASE
)
_ASKS = re.compile(
    r"\?|\bor\b|^(?:(?:ok|and|so|now|please|third|second|first|next),? )*(?:which|what|who|where|when|why|"
    r"how|is|are|can|could|do|does|did|should|add|make|draft|write|name|list|give|show|tell|find|sort|tag|"
    r"translate|letter|cover letter|agenda|worksheet|budget|drills|draw|schedule|compare|explain|welche\w*|"
    r"was|wer|wo|wie)\b|\b\d+ (?:words|lines|slides|bullets)\b|\bname (?:one|two|three)\b",
    re.IGNORECASE,
)
"""Of a sentence without a word for oneself: it asks, or says what is to be made."""
_HAVING = re.compile(
    r"^(?:I|we)(?: also| still| now)? (?:have|own|have got|'ve got) (?:an? |some |my |our )?"
    r"(?P<what>\w[\w' -]{2,30})[.!]?$",
    re.IGNORECASE,
)
"""What ends by its own name: "my braces came off"."""
_PASSING = re.compile(r"\b(?:bin|sind|ist) (?:gerade|momentan|derzeit|heute)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_BLANK = re.compile(r"\s*\ufffc[\s\ufffc]*")


@dataclass(frozen=True)
class Judged:
    """A sentence, how likely it states a lasting fact (log odds), and what rules found in it."""

    sentence: Sentence
    odds: float
    found: list[Fact]


def believed(judged: Judged, slots: Set[tuple[str, str]] = frozenset()) -> list[Fact]:
    """Return what rules found in a sentence that is likely to state it.

    Of a sentence that says more than they took up, what they took may be half
    of something, or said of another: then only names and the like are
    believed, and what changes one of ``slots`` (subject and attribute), which
    are known.
    """
    text = judged.sentence.text
    if asked_to_remember(text):
        return judged.found
    is_whole = len(_content(text) - _taken(judged.found)) <= _LEFT_OVER or _is_plain(text)
    ends = is_change(judged.found)
    kept = []
    for fact in judged.found:
        is_known = (fact.subject, fact.attribute) in slots
        least = KNOWN_FROM if is_known else WHOLE_FROM if is_whole or ends else PART_FROM
        is_taken = is_whole or ends or is_known or _base(fact) in _CERTAIN
        if (ends and (is_whole or (is_known and fact.effect == "ends"))) or (
            is_taken and judged.odds >= least and _is_clean(fact, is_whole=is_whole)
        ):
            kept.append(fact)
    return kept


def _is_plain(text: str) -> bool:
    """Say whether a sentence says one thing: what rules found in it is all of it."""
    return len(text.split()) <= _PLAIN_WORDS and not _JOINED.search(text)


def is_change(found: Sequence[Fact]) -> bool:
    """Say whether a sentence ends something that was known: the old value would live on in its words."""
    return any(fact.effect == "ends" for fact in found)


def _is_clean(fact: Fact, *, is_whole: bool) -> bool:
    """Say whether a rule took a name, a number or a thing, and not half of a sentence."""
    if _base(fact) in _NAMED and not fact.value[:1].isupper():
        return False
    if _base(fact) in _FREE or fact.kind in ("plan", "date"):
        return True
    if _base(fact) == "name" and fact.value.endswith(("'s", "’s")):
        return False
    unclean = _HALF if is_whole else _UNCLEAN
    return not unclean.search(fact.value) and len(fact.value.split()) <= _LONGEST_VALUE


def _base(fact: Fact) -> str:
    return fact.attribute.partition(":")[0].rpartition(".")[2]


def proposed(judged: Sequence[Judged]) -> tuple[Sentence, list[Candidate]] | None:
    """Return what is kept of a turn as it was said, with its likeliest sentence; None for nothing."""
    kept = [
        one
        for one in judged
        if one.odds >= ALSO_FROM
        and not is_change(one.found)
        and not (one.found and _is_plain(one.sentence.text))
        and _may_stand(one.sentence.text)
    ]
    best = max(kept, key=lambda one: one.odds, default=None)
    if best is None or best.odds < KEPT_FROM:
        return None
    while len(said := " ".join(one.sentence.quote for one in kept)) > LONGEST_CHARS and len(kept) > 1:
        kept.remove(min(kept, key=lambda one: one.odds))
    said = _BLANK.sub(" … ", said).strip()
    if not _says_more(said, [fact for one in judged for fact in one.found]):
        return None
    if having := _HAVING.match(said):
        what = having["what"]
        owned = Candidate(
            THE_OWNER, f"owns:{what.casefold()}", what, f"has {what}", "possession", confidence=_CONFIDENCE
        )
        return best.sentence, [owned]
    key = " ".join(re.findall(r"\w+", said.casefold()))[:120]
    statement = Candidate(
        THE_OWNER,
        f"statement:{key}",
        said,
        f"The owner said: “{said}”",
        "other",
        confidence=_CONFIDENCE,
        is_sentence=True,
    )
    quote = max(_BLANK.split(best.sentence.quote), key=len)
    return Sentence(quote, is_question=False), [statement]


def outdated(statements: Sequence[Fact], active: Sequence[Fact], found: Sequence[Fact]) -> list[Fact]:
    """Return the statements that hold a value of an ``active`` fact which one found ended or replaced."""
    old = {fact.value or fact.attribute.partition(":")[2] for fact in found if fact.effect == "ends"}
    for fact in found:
        slot = (fact.subject, fact.attribute)
        old.update(one.value for one in active if (one.subject, one.attribute) == slot)
    old -= {fact.value for fact in found if fact.effect != "ends"}
    return [one for one in statements if is_statement(one) and any(_holds(one.value, value) for value in old)]


def in_time(statement: Fact, found: Sequence[Fact]) -> Fact:
    """Return a statement that holds when what rules found in its turn does: "we move in October"."""
    starts = [fact.valid_from for fact in found if fact.valid_from > statement.at]
    ends = [fact.valid_to for fact in found if fact.valid_to is not None and fact.valid_to > statement.at]
    return msgspec.structs.replace(
        statement,
        valid_from=min(starts, default=statement.valid_from),
        valid_to=max(ends, default=statement.valid_to),
    )


def is_statement(fact: Fact) -> bool:
    """Say whether a fact is a statement that was kept as it was said."""
    return fact.attribute.startswith("statement:")


def _holds(said: str, value: str) -> bool:
    words = _spaced(value)
    return words.strip() != "" and words in _spaced(said)


def _spaced(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _may_stand(text: str) -> bool:
    """Say whether a sentence may be kept as it was said: it is no secret, order, question, code or report."""
    if common_words.SECRET.search(text) or asked_to_remember(text):
        return False
    if guard.is_reported(text) or _SAYS.search(text) or _PASSING.search(text):
        return False
    return not _CODE.search(text) and (bool(_OWN.search(text)) or not _ASKS.search(text))


def _says_more(said: str, found: Sequence[Fact]) -> bool:
    """Say whether a statement has three words or a number that rules did not take up."""
    left = _content(said) - _taken(found)
    return not found or len(left) >= 3 or any(word.isdigit() for word in left)


def _taken(found: Sequence[Fact]) -> set[str]:
    """Return the words that are in facts."""
    return {
        word
        for fact in found
        for word in _content(f"{fact.text} {fact.value} {fact.attribute} {fact.subject}")
    }


def _content(text: str) -> set[str]:
    """Return the words that carry a text's meaning, by their beginnings, so that "works" is "work"."""
    words = re.findall(r"\w+", text.casefold())
    return {word[:_BEGINNING] for word in words if len(word) > 1 and word not in common_words.COMMON}
