"""What is said of a thing that no other rule knows: "my accountant is Sofia Reis", where a spare key is.

The noun may be any; so the value has to look like one: a name, a number, a place where something is kept.
"""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause, Subject
from agents.memory.extraction.rules.build import fact
from agents.memory.extraction.rules.people import NATIONALITIES
from agents.memory.extraction.rules.slots import PASSER_BY

_NO_SLOT = re.compile(
    r"^(?:(?:\w+ )?(?:questions?|ideas?|problems?|issues?|points?|guess(?:es)?|plans?|opinions?|thoughts?|"
    r"goals?|"
    r"dreams?|turns?|faults?|li[fv]es?|days?|weeks?|months?|years?|weekends?|mornings?|evenings?|nights?|"
    r"times?|"
    r"things?|ways?|reasons?|answers?|concerns?|worry|worries|advice|suggestions?|moods?|feelings?|"
    r"impressions?|"
    r"experiences?|heads?|hearts?|backs?|body|hair|eyes?|hands?|minds?|souls?|understanding|sentences?|"
    r"texts?|"
    r"story|stories|poems?|songs?|essays?|translations?|characters?|novels?|examples?|requests?|tasks?|"
    r"orders?|"
    r"wish(?:es)?|hopes?|fears?|loves?|god|goodness|choices?|options?|one|words?|messages?|prompts?|inputs?|"
    r"results?|outputs?|errors?|bugs?|code|pick|pleasure|treat|gut|bad|english|german|luck|joke|"
    r"rest|side|half|part|kind|type|sort|favou?rite|best|first|last|next|sentence|hypothesis|conclusion|bet|"
    r"arrays?|lists?|functions?|variables?|quer(?:y|ies)|class(?:es)?|methods?|formulas?|regex|scripts?|"
    r"loops?|strings?|"
    r"files?|photos?|pictures?|images?|screens?|tables?|columns?|paragraphs?|documents?|homework|batter(?:y|"
    r"ies)|"
    r"temperature|heart rate|pulse|blood pressure|internet|soup|tea|coffee|beer|dinner|lunch|breakfast|"
    r"guests?|"
    r"planet|galaxy|world|universe|sun|earth|moon|chancellor|president|government|king|queen|prime minister|"
    r"mayor|"
    r"(?:train|seat|gate|platform|flight|order|order number|ticket|table|taxi|bus|queue|queue number|driver|"
    r"word limit|page limit|limit|total|change|bill|score|turn|level|rank|avatar|character|zug|gleis|platz|"
    r"bestellnummer)|meetings?|progress|scores?|team|group|apps?|websites?|"
    r"house|flat|garden|city|country|town|wedding|birthday|daughters?|sons?|kids?|family|"
    r"frage|idee|problem|meinung|leben|tag|plan|traum|ziel|antwort|satz|text|geschichte))$",
    re.IGNORECASE,
)
"""Nouns of which something is said that tells nothing lasting."""
_FORMER = re.compile(
    r"^(?:old|former|previous|last|ex|next|future|dream|ideal|imaginary|alte\w*|ehemalige\w*)\b", re.I
)
_STATE = re.compile(
    rf"\b(?:late|full|hot|cold|behind|early|ahead|old|away|delayed|broken|ready|done|off|left|style|today|"
    rf"tonight)$"
    rf"|[\[\]{{}}()=*;<>^|\\]|^\W*(?:{'|'.join(NATIONALITIES)})\b",
    re.IGNORECASE,
)
"""How something is at the moment, code, or where it comes from: no value of a slot."""
_NUMBER_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|"
    r"sixty|eighty|ninety|hundred)"
)
_MEASURE = re.compile(
    rf"^(?:(?:about|around|roughly|only|just|like|over|"
    rf"under) )?{_NUMBER_WORD}(?:[- ]{_NUMBER_WORD})? (?:minutes?|hours?|days?|"
    r"weeks?|months?|years?|kilomet(?:er|re)s?|miles?|met(?:er|re)s?|euros?|dollars?|pounds?|people|kilos?|"
    r"percent|litres?|liters?)\b",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"^(?:biggest|greatest|usual|go-to|preferred|main|secret|primary|proudest|second|worst)\b", re.IGNORECASE
)
"""With these a value in small letters says something too: "my go-to snack is popcorn"."""
_NAMES_NO_VALUE = re.compile(
    r"^(?:I|It|He|She|We|You|They|That|This|There|Yes|No|OK|Okay|Not|Very|So|Too|Also|My|Our|Your|Here|"
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|Today|Tomorrow)\b"
)
_KEPT = re.compile(
    r"\b(?:keys?|passports?|fuse box|meters?|stopcock|first[- ]aid kit|tool ?box|tools|ladder|documents?|"
    r"will|"
    r"certificates?|contracts?|decorations?|manuals?|spare \w+|remote(?: control)?|charger|torch|flashlight|"
    r"candles|safe|binders?|folders?|backups?|router|thermostat|main valve|water valve|extinguisher|umbrella|"
    r"suitcases?|sleeping bags?|jack|schlüssel|pass|sicherungskasten|werkzeug|papiere|unterlagen)\b",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"^(?P<v>(?:(?:kept|stored|hidden|located) )?(?:in|on|under|underneath|behind|above|below|beneath|"
    r"inside|next to|"
    r"beside|near|between|on top of|at the back of|with|unter|hinter|neben|im|in|auf|bei) (?:the |my |our |"
    r"a |"
    r"an |de[rmn] |mein\w* |unser\w* |[A-Z0-9])[\w .'&-]+)$"
)
_ROOMS = re.compile(
    r"\b(?:office|desk|parking space|parking spot|locker|seat|cellar|storage unit|büro)$", re.I
)
_GROUP_NOUN = (
    r"(?:project|app|company|start-?up|band|podcast|blog|newsletter|shop|caf[eé]|restaurant|farm|"
    r"club|choir|team|boat|yacht|firm|agency|bakery|studio|charity)"
)
_NAMED_GROUP = re.compile(
    rf"\b(?:an?|my|our|my own|the) (?:[\w-]+ ){{0,3}}?(?P<noun>{_GROUP_NOUN}),? (?:called|named) "
    r"(?P<v>[A-ZÄÖÜ\d][\w&'’-]*(?: [A-ZÄÖÜ\d&][\w&'’-]*){0,3})"
)


def _is_mute(clause: Clause) -> bool:
    return (
        clause.subject.kind != "thing"
        or not clause.subject.noun
        or clause.negated
        or clause.ended
        or clause.tense in ("past", "future")
        or clause.progressive
    )


def any_slot(clause: Clause) -> list[Candidate]:
    """Read "my accountant is Sofia Reis", "our club's treasurer is Volker", "my commute is fifty minutes"."""
    noun = re.sub(r"\b(?:new|current|neue[rs]?|aktuelle[rs]?) ", "", clause.subject.noun.strip(), flags=re.I)
    if _is_mute(clause) or not clause.subject.is_owned or _FORMER.match(noun):
        return []
    head = re.split(r" (?:of|for|in|at|with|to|from|von|für|vom) ", noun)[0]
    if re.search(r"\b(?:I|i|he|she|we|they|you|think|say|want|like)\b", noun):
        return []
    if PASSER_BY.search(head.removesuffix(" name")):
        return []
    if _NO_SLOT.match(head) or len(noun.split()) > 5:
        return []
    value = re.sub(
        r"^(?:now|currently|still|called|named|actually|jetzt) ", "", clause.full_rest or clause.rest
    )
    value = values.cut(value)
    made_by = re.match(r"^from (?P<v>[A-ZÄÖÜ][\w&-]*)$", value)
    article = re.match(r"^(?:an?|the|eine?|der|die|das) (?=.*[A-ZÄÖÜ\d])", value)
    if made_by:
        value = made_by["v"]
    elif article:
        value = value[article.end() :]
    telling = _TELLING.match(head) and re.fullmatch(r"[a-zäöüß-]+(?: [a-zäöüß-]+){0,2}", value)
    if not telling and not _is_value(value, has_article=bool(article)):
        return []
    if not 0 < len(value.split()) <= 7 or values.is_vague(value) or _STATE.search(value):
        return []
    if re.match(r"(?:today|tonight|now|right now|this)\b", clause.when.phrase, re.IGNORECASE):
        return []  # how it is today
    owner = _owner(clause.subject)
    text = f"{owner.possessive} {noun} is {value}."
    return fact(
        replace(clause, subject=owner),
        noun.casefold(),
        value,
        text,
        "identity",
        confidence=0.8,
        is_sentence=True,
    )


def kept(clause: Clause) -> list[Candidate]:
    """Read "the spare key is under the flower pot", "my office is in room 4.12"."""
    noun = clause.subject.noun.strip()
    if _is_mute(clause) or clause.when.phrase:
        return []
    match = _WHERE.match(values.cut(clause.rest) or "")
    if not match or len(match["v"].split()) > 9:
        return []
    is_room = (
        _ROOMS.search(noun) and clause.subject.is_owned and re.search(r"\d|floor|stock|\b[A-Z]", match["v"])
    )
    is_plain = re.fullmatch(r"(?:keys?|remote|charger|umbrella|will|jack|meters?|tools)", noun, re.IGNORECASE)
    if not ((_KEPT.search(noun) and not is_plain) or is_room):
        return []  # "the keys are on the table" says where they were put down
    where = match["v"]
    owner = _owner(clause.subject)
    label = f"{owner.possessive} {noun}" if owner.name == "owner" else f"The {noun} of {owner.label}"
    name = f"{noun.casefold()} location"
    return fact(
        replace(clause, subject=owner), name, where, f"{label} is {where}.", "identity", is_sentence=True
    )


def counts(clause: Clause) -> list[Candidate]:
    """Read "our company has 45 employees", "my building has six floors"."""
    if _is_mute(clause) or not clause.subject.is_owned:
        return []
    match = re.match(
        rf"^(?:about |around |roughly |over )?(?P<v>(?:\d[\d.,]*|{_NUMBER_WORD}) (?P<what>[a-zäöü]+s|people|"
        r"[A-ZÄÖÜ][a-zäöü]+e[nr]))$",
        values.cut(clause.rest),
    )
    noun = clause.subject.noun.strip()
    if (
        not match
        or _NO_SLOT.match(noun)
        or re.search(r"(?:minutes|hours|days|weeks|problems|issues|questions|errors|ideas)$", match["v"])
    ):
        return []
    owner = _owner(clause.subject)
    text = f"{owner.possessive} {noun} has {match['v']}."
    name = f"{noun.casefold()} {match['what']}"
    return fact(replace(clause, subject=owner), name, match["v"], text, "identity", is_sentence=True)


def moved(clause: Clause) -> list[Candidate]:
    """Read "our office moved to Heidelberg"."""
    subject, noun = clause.subject, clause.subject.noun.strip()
    match = re.match(r"^to (?P<v>[A-ZÄÖÜ].*)$", clause.rest)
    if subject.kind != "thing" or not subject.is_owned or clause.negated:
        return []
    if not match or not _ROOMS.search(noun):
        return []
    where = values.place(match["v"])
    if not where or clause.tense not in ("past", "perfect"):
        return []
    owner = _owner(subject)
    text = f"{owner.possessive} {noun} is in {where}."
    name = f"{noun.casefold()} location"
    return fact(
        replace(clause, subject=owner, tense="present"), name, f"in {where}", text, "place", is_sentence=True
    )


def topic(clause: Clause) -> list[Candidate]:
    """Read "my thesis is about B-trees"."""
    match = re.match(r"^(?:mainly )?about (?P<v>.+)$", clause.rest)
    noun = clause.subject.noun.strip()
    if _is_mute(clause) or not match or not re.search(_WRITTEN, noun) or not clause.subject.is_owned:
        return []
    what = values.cut(match["v"]).split(", ")[0]
    if not what or len(what.split()) > 8 or values.is_vague(what):
        return []
    owner = _owner(clause.subject)
    text = f"{owner.possessive} {noun} is about {what}."
    return fact(
        replace(clause, subject=owner), f"{noun.casefold()} topic", what, text, "study", is_sentence=True
    )


def named_groups(clause: Clause) -> list[Candidate]:
    """Read the name in "I run a small bakery called Krume", "we work on a project named Seagull"."""
    subject = clause.subject
    if not subject.is_human or not subject.is_known or clause.negated or clause.ended:
        return []
    if clause.tense == "future" or (
        clause.tense == "past" and clause.verb not in ("start", "found", "join", "buy")
    ):
        return []
    if clause.verb not in _DOING:
        return []
    match = _NAMED_GROUP.search(clause.rest)
    if not match:
        return []
    noun = match["noun"].casefold()
    text = f"{subject.possessive} {noun} is called {match['v']}."
    present = replace(clause, tense="present")
    return fact(present, f"{noun}.name", match["v"], text, "work", is_sentence=True)


_WRITTEN = re.compile(r"\b(?:thesis|dissertation|paper|project|research|podcast|blog|book|phd)$", re.I)
_DOING = frozenset(
    "be work run own start found play sing lead manage build develop host have join buy".split()
)


def _owner(subject: Subject) -> Subject:
    is_other = bool(subject.path) or subject.name != "owner"
    return replace(subject, noun="", kind="person" if is_other else "owner")


def _is_value(value: str, *, has_article: bool) -> bool:
    if not value or _NAMES_NO_VALUE.match(value):
        return False
    if _MEASURE.match(value):
        return True
    if re.match(
        r"^[A-ZÄÖÜ]|^(?:(?:number|no\.?|room|unit|floor|gate|platform|seat|level|row) )?\S*\d|^[\w.+-]+@",
        value,
    ):
        return True
    return has_article and bool(re.search(r"(?:^| )[A-ZÄÖÜ][\w-]+|\d", value)) and len(value.split()) <= 4


def banks(clause: Clause) -> list[Candidate]:
    """Read "bank with ING"."""
    match = re.match(r"^(?:with|at) (?P<v>[A-ZÄÖÜ][\w& -]*)$", values.cut(clause.rest))
    if not match or clause.negated or not clause.subject.is_human or clause.tense == "future":
        return []
    return fact(clause, "bank", match["v"], f"banks with {match['v']}", "identity")


RULES = {
    "bank": [banks],
    "be": [kept, topic, any_slot],
    "have": [counts],
    "move": [moved],
}
