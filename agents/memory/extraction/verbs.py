"""The verb of a clause: its base form, tense, negation."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agents.memory.extraction.model import Tense

_REGULAR = """
    live work play learn love like enjoy adore hate dislike detest prefer smoke collect attend use need
    move start join adopt marry divorce turn graduate switch change rename decide plan travel visit call
    cook suffer stop retire finish cost belong stay rent support follow practise practice volunteer
    commute wake study try name own return trade crash migrate work expect train paint knit swim replace
    upgrade install order book schedule sign swap pass register settle relocate resign develop celebrate
    share separate split fancy despise avoid tolerate weigh measure welcome foster purchase rely host
    deploy target launch postpone cancel reschedule report walk watch listen help consist manage lead
    freelance agree hire pick opt specialise specialize major enrol enroll earn end bank
    head subscribe tolerate abide lease supervise transfer drop
""".split()
_IRREGULAR = {
    "get": "gets got gotten getting",
    "buy": "buys bought buying",
    "sell": "sells sold selling",
    "leave": "leaves left leaving",
    "quit": "quits quitting",
    "go": "goes went gone going",
    "meet": "meets met meeting",
    "lose": "loses lost losing",
    "break": "breaks broke broken breaking",
    "come": "comes came coming",
    "grow": "grows grew grown growing",
    "begin": "begins began begun beginning",
    "give": "gives gave given giving",
    "take": "takes took taken taking",
    "drive": "drives drove driven driving",
    "speak": "speaks spoke spoken speaking",
    "teach": "teaches taught teaching",
    "fly": "flies flew flown flying",
    "become": "becomes became becoming",
    "eat": "eats ate eaten eating",
    "drink": "drinks drank drunk drinking",
    "ride": "rides rode ridden riding",
    "run": "runs ran running",
    "wear": "wears wore worn wearing",
    "sing": "sings sang sung singing",
    "keep": "keeps kept keeping",
    "die": "dies died dying",
    "swim": "swims swam swum swimming",
    "wake": "wakes woke woken waking",
    "bear": "bears bore born bearing",
    "say": "says said saying",
    "read": "reads reading",
    "write": "writes wrote written writing",
    "sleep": "sleeps slept sleeping",
    "build": "builds built building",
    "teach_": "",
    "make": "makes made making",
    "pay": "pays paid paying",
    "stand": "stands stood standing",
    "understand": "understands understood",
    "hold": "holds held holding",
    "find": "finds found finding",
    "sit": "sits sat sitting",
    "see": "sees saw seen seeing",
    "do": "does did done doing",
    "can": "could",
    "want": "wants wanted wanting",
    "name": "names named naming",
    "give up": "",
    "cut": "cuts cutting",
    "put": "puts putting",
}
_PAST_FORMS = frozenset(
    "chose chosen got gotten bought sold left went gone met lost broke broken came grew grown began begun "
    "gave given took taken drove "
    "driven spoke spoken taught flew flown became ate eaten drank drunk rode ridden ran wore sang sung "
    "kept died swam woke "
    "woken bore born said wrote written slept built made paid stood understood held found sat saw seen did "
    "done quit "
    "could read cut put".split()
)

_ENGLISH: dict[str, tuple[str, Tense]] = {}
for _base in _REGULAR:
    _stem = _base[:-1] if _base.endswith("e") else _base
    _third = (
        f"{_base[:-1]}ies"
        if re.search(r"[^aeiou]y$", _base)
        else _base + ("es" if re.search(r"(?:ss|sh|ch|x|z|o)$", _base) else "s")
    )
    _past = f"{_base[:-1]}ied" if re.search(r"[^aeiou]y$", _base) else f"{_stem}ed"
    _double = f"{_base}{_base[-1]}" if re.search(r"[^aeiou][aeiou][bdgklmnprt]$", _base) else _stem
    _ENGLISH |= {_base: (_base, "present"), _third: (_base, "present"), _past: (_base, "past")}
    _ENGLISH |= {
        f"{_double}ed": (_base, "past"),
        f"{_stem}ing": (_base, "present"),
        f"{_double}ing": (_base, "present"),
    }
for _base, _forms in _IRREGULAR.items():
    _ENGLISH[_base] = (_base, "present")
    for _form in _forms.split():
        _ENGLISH[_form] = (_base, "past" if _form in _PAST_FORMS else "present")
_ENGLISH["put"] = ("put", "past")
_ENGLISH["dating"], _ENGLISH["dated"] = ("date", "present"), ("date", "past")
_ENGLISH["quit"] = ("quit", "past")
_ENGLISH["split"] = ("split", "past")

_ADVERB = re.compile(
    r"^(?:always|usually|often|sometimes|only|now|both|all|recently|currently|regularly|mostly|mainly|then|"
    r"once|first|"
    r"normally|typically|ever|soon|absolutely|truly|later|proudly|gladly|sadly|occasionally|rarely|newly|"
    r"previously|"
    r"formerly|kinda|sorta|quite|so|very much|do|does|did|did once|each)\s+",
    re.IGNORECASE,
)
_ENDED = re.compile(r",?\s*\b(?:no longer|not any ?more|any ?more|any longer|nicht mehr)\b", re.IGNORECASE)
_BLOCKING = frozenset(
    "would could should might may must shall want wants wanted need needs needed try tried tries".split()
)


@dataclass(frozen=True)
class Verb:
    """A verb and what follows it."""

    base: str
    rest: str
    tense: Tense = "present"
    negated: bool = False
    ended: bool = False
    used_to: bool = False
    progressive: bool = False


def english(text: str) -> Verb | None:
    """Read a predicate ("have been living in Bonn"); None when it does not begin with a known verb."""
    ended = bool(_ENDED.search(text))
    text = _ENDED.sub("", text).strip()
    verb = _read(text)
    if verb is None:
        return None
    return replace(verb, ended=True, negated=False) if ended else verb


def _read(text: str) -> Verb | None:
    text, never = _without_adverbs(text)
    first, _, rest = text.partition(" ")
    low = first.casefold().rstrip(",")
    negated = never
    if low in (
        "do",
        "does",
        "did",
        "will",
        "can",
        "am",
        "is",
        "are",
        "was",
        "were",
        "have",
        "has",
        "had",
    ) and (rest.startswith("not ") or rest == "not"):
        negated, rest = True, rest[4:]
    rest, never = _without_adverbs(rest)
    negated = negated or never
    verb = _auxiliary(low, rest)
    if verb is not None:
        return replace(verb, negated=verb.negated or negated)
    if low in _BLOCKING:
        return None
    known = _ENGLISH.get(low)
    return Verb(known[0], rest, known[1], negated=negated) if known else None


def _auxiliary(low: str, rest: str) -> Verb | None:
    following, _, behind = rest.partition(" ")
    known = _ENGLISH.get(following.casefold())
    if low in ("am", "is", "are", "was", "were"):
        past: Tense = "past" if low in ("was", "were") else "present"
        if following == "going" and behind.startswith("to ") and past == "present":
            inner = _read(behind[3:])
            return replace(inner, tense="future") if inner else Verb("go", behind, progressive=True)
        if known and following.endswith("ing"):
            return Verb(known[0], behind, past, progressive=True)
        return Verb("be", rest, past)
    if low in ("have", "has"):
        if following == "got":
            return Verb("have", behind)
        if following == "been":
            after, _, last = behind.partition(" ")
            ongoing = _ENGLISH.get(after.casefold())
            if ongoing and after.endswith("ing"):
                return Verb(ongoing[0], last, "perfect", progressive=True)
            return Verb("be", behind, "perfect")
        if following == "had":
            return Verb("have", behind, "perfect")
        if known and (known[1] == "past" or following in ("become", "come", "run")):
            return Verb(known[0], behind, "perfect")
        return Verb("have", rest)
    if low == "had":
        return Verb("have", rest, "past")
    if low in ("do", "does", "did"):
        inner = _read(rest)
        return replace(inner, tense="past") if inner and low == "did" else inner
    if low == "will":
        inner = Verb("be", behind, "future") if following == "be" else _read(rest)
        if inner and inner.base == "be":
            after, _, last = inner.rest.partition(" ")
            ongoing = _ENGLISH.get(after.casefold())
            if ongoing and after.endswith("ing"):
                inner = Verb(ongoing[0], last)
        return replace(inner, tense="future") if inner else None
    if low == "used" and following == "to":
        inner = Verb("be", behind[3:]) if behind.startswith("be ") else _read(behind)
        return replace(inner, used_to=True, tense="past") if inner else None
    if low == "can":
        inner = _read(rest)
        return replace(inner, base=f"can {inner.base}") if inner else None
    return None


def _without_adverbs(text: str) -> tuple[str, bool]:
    never = False
    while True:
        if match := re.match(r"^never\s+", text, re.IGNORECASE):
            never = True
        else:
            match = _ADVERB.match(text)
        if not match or match[0].strip() in ("do", "does", "did"):
            return text, never
        text = text[match.end() :]
