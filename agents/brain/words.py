"""The words of a sentence that say something, in the form in which they are compared."""

from __future__ import annotations

import itertools
import re
import unicodedata

from stores.stop_words import STOP_WORDS

_TOKEN = re.compile(r"[\w$]+(?:[-._][\w]+)*|[\w$]+", re.UNICODE)
_WIDE = re.compile(r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_WIDE_PAIRS = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_CAMEL = re.compile(r"[a-z0-9][A-Z]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_QUANTITY = re.compile(r"(?<![\w$({#/._])(\d+(?:[.,]\d+)*)(?![)}\]])")
_VAGUE = re.compile(
    r"\bone (?:or more|of|another)\b|\bat once\b|\bonce\b|\b(?:this|that|the|any|each|no) one\b"
)
_ENDINGS = tuple(
    """
    ations ements ation ated ates ating ement ments ities ate ment ings ions ible able ing ion ies ied ers
    ors ity ive er or ed es al ly as s e y a
    """.split()  # noqa: SIM905  # a list of strings reads worse
)
"""Longest first."""
_SPELLED = {
    name: str(value)
    for value, name in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
    )
} | {"once": "1", "twice": "2", "dozen": "12", "hundred": "100", "thousand": "1000", "million": "1000000"}
_STOP = frozenset(STOP_WORDS.split()) | frozenset(
    """
    according answer answers question passage passages information provided context text mentioned following
    based given called known refers typically usually generally often various several certain specific
    important however therefore thus hence additionally furthermore also well via per within upon while
    does doing done being been having let lets able used use uses using need needs needed want wants
    kind kinds type types sort way ways instead exist exists
    anything something anyone someone everything everyone nothing nobody somebody etwas jemand
    yes no not never none nor cannot don t s re ve ll d m
    """.split()  # noqa: SIM905
)


def plain(text: str) -> str:
    """Return a text without differences of case and form."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def stem(word: str) -> str:
    """Cut English endings, so that forms of one word become one; other scripts stay as they are."""
    if not word.isascii() or len(word) < 4 or any(c.isdigit() for c in word):
        return word
    for _ in range(2):
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 4:
                word = word[: -len(ending)]
                break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word


def told(text: str) -> dict[str, float]:
    """Return the stems of the words that say something, each with its weight by length."""
    found: dict[str, float] = {}
    for token in _TOKEN.findall(plain(text)):
        for word in re.split(r"[-._]", token) if not token[0].isdigit() else (token,):
            if not word or word in _STOP or word in _SPELLED:
                continue
            if _WIDE.search(word):
                for run in _WIDE.findall(word):
                    for at in range(max(1, len(run) - 1)):
                        found[run[at : at + 2]] = 3.0
                word = _WIDE.sub("", word)
            if len(word) > 1 or word.isdigit():
                found[stem(word)] = float(min(max(len(word), 3), 9))
    return found


def held(word: str, among: set[str]) -> bool:
    """Tell whether a stem is among others, or a longer form of it: "haftpflicht" in "privathaftpflicht"."""
    if word in among or any(f"{word}{ending}" in among for ending in _VERBAL):
        return True
    if any(word.endswith(ending) and word.removesuffix(ending) in among for ending in _VERBAL):
        return True
    if len(word) < _ALIKE or not word.isalpha():
        return False
    return any(word in other or _alike(word, other) for other in among if len(other) >= _ALIKE)


def _alike(one: str, other: str) -> bool:
    """Tell whether two stems differ by an ending only."""
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if same is None:
        same = min(len(one), len(other))
    return same >= _ALIKE and same >= _SAME * max(len(one), len(other))


_VERBAL = ("d", "ed", "ing", "er", "n")
"""Endings that ``stem`` leaves at short words."""
_ALIKE = 5
"""Letters that two words must share to be taken for forms of one."""
_SAME = 0.75
"""Share of the longer one's letters."""
_BEFORE, _BEHIND = 2, 3
"""How many words before a number and behind it what it counts may stand."""


def counted(text: str, things: set[str]) -> bool:
    """Tell whether a number stands near one of the stems."""
    tokens = _TOKEN.findall(plain(text))
    stems = [stem(token) for token in tokens]
    places = [at for at, token in enumerate(tokens) if token[0].isdigit() or token in _SPELLED]
    return any(
        held(thing, set(stems[max(0, at - _BEFORE) : at + _BEHIND + 1])) for at in places for thing in things
    )


def pairs(text: str) -> set[tuple[str, str]]:
    """Return which words follow each other, small words included: what is copied has the same."""
    found = [word for token in _TOKEN.findall(plain(text)) for word in _WIDE_PAIRS.findall(token) or (token,)]
    return set(itertools.pairwise(found))


def numbers(text: str) -> set[str]:
    """Return the numbers, spelled ones up to twelve as well, without separators of thousands."""
    found = {_normal(number) for number in _NUMBER.findall(text)}
    return found | {_SPELLED[word] for word in re.findall(r"[a-z]+", plain(text)) if word in _SPELLED}


def quantities(text: str) -> set[str]:
    """Return the numbers that count or measure: not those inside of names, calls and headings."""
    found = {_normal(match.group(1)) for match in _QUANTITY.finditer(text)}
    spelled = _VAGUE.sub(" ", plain(text))
    return found | {_SPELLED[word] for word in re.findall(r"[a-z]+", spelled) if word in _SPELLED}


def names(text: str) -> set[str]:
    """Return names and identifiers, lower case: written with capitals, digits, ``_``, ``$`` or in code."""
    found: set[str] = set()
    for match in _TOKEN.finditer(text):
        word = match.group()
        first = not re.search(r"[\w,;:)][\s*_`(\"']*$", text[: match.start()])
        inner = len(word) > 1 and (
            word[1:] != word[1:].lower() or "_" in word or "$" in word or bool(_CAMEL.search(word))
        )
        if (
            inner
            or (word[0].isupper() and not first)
            or (any(c.isdigit() for c in word) and any(c.isalpha() for c in word))
        ):
            found.add(plain(word))
    return {name for name in found if name not in _STOP and len(name) > 1}


def named(name: str) -> str:
    """Return the pattern of a name in plain text: with other endings, a long one also within a compound.

    German writes every noun as a name: "des Rasenm\u00e4hers" is the one under "Rasenm\u00e4her".
    """
    bare = _CASE.sub("", name) if len(name) > _LONG and name.isalpha() else name
    begin = "" if len(bare) > _LONG and bare.isalpha() else r"(?<!\w)"
    return rf"{begin}{re.escape(bare)}(?:'?s|es|e?n)?(?!\w)"


_CASE = re.compile(r"(?:es|s|n)$")
_LONG = 6
"""Letters above which a name is looked for within others and with other endings."""


def negated(text: str) -> bool:
    """Tell whether a sentence denies."""
    return _DENIAL.search(plain(text)) is not None


_DENIAL = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|without|nicht|kein\w*|nie)\b|n['\u2019]t\b|\u4e0d|\u6ca1\u6709|\u65e0\u6cd5"
)


def _normal(number: str) -> str:
    number = re.sub(r",(?=\d{3}(?:\D|$))", "", number)
    return number.rstrip(".,").lstrip("0") or "0"


_MARK = re.compile(r"\s*\[\d{1,3}(?:\s*,\s*\d{1,3})*\](?!\()")


def without_marks(text: str) -> str:
    """Return a text without the citation marks that a model wrote into it."""
    return _MARK.sub("", text)


_BACK = re.compile(
    r"^\W*(?:(?:if|when|then|and|but|so|there|in \w+|wenn|dann|und|aber)\s+)?"
    r"(?:it|its|this|that|these|those|they|their|he|she|his|her|er|sie|es|dies\w*|davon|dazu|damit)\b",
    re.IGNORECASE,
)


def points_back(text: str) -> bool:
    """Tell whether a sentence is about what the one before it named."""
    return _BACK.match(text) is not None
