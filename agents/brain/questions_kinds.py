"""Which kind of thing a question asks for, and how a text shows that it has one: a time, an amount."""

from __future__ import annotations

import re
from typing import NamedTuple

NUMBER = (
    r"(?:(?<![\w$({#/._-])\d[\d.,]*|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|once|twice|half|dozen"
    r"|eins?|eine[rnms]?|zwei|drei|vier|f\u00fcnf|sechs|sieben|acht|neun|zehn|elf|zw\u00f6lf|einmal|zweimal)\b)"
)
_WHICH = r"\b(?:what|which|welche\w*)"
_UNIT_OF_TIME = (
    r"(?:ns|ms|s|h|d|y|nano\w+|micro\w+|milli\w+|sec\w*|min\w*|hours?|days?|weeks?|months?|years?|nights?"
    r"|sekunden?|minuten?|stunden?|tage?n?|wochen?|monate?n?|jahre?n?|n\u00e4chte?)\b"
)
_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|m\u00e4rz|apr(?:il)?|may|mai|june?|juni|july?|juli"
    r"|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DAY = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|(?:mon|diens|donners|frei|sams|sonn)tags?|mittwochs?)"
)
_DATE = (
    rf"\b{_MONTH}\b|\b{_DAY}\b|\b(?:1[5-9]|20)\d\d\b|\b\d{{1,2}}[:.]\d\d\b|\b\d{{1,2}} ?(?:am|pm|uhr)\b"
    r"|\b\d{1,2}\.\d{1,2}\.|\b(?:spring|summer|autumn|winter|easter|christmas|noon|midnight|today|tomorrow"
    r"|morning|evening|daily|weekly|monthly|yearly|every|t\u00e4glich|w\u00f6chentlich|monatlich|jede\w*"
    r"|fr\u00fchjahr|sommer|herbst|ostern|weihnachten|morgens|abends|mittags)\b"
)
_MOMENT = (
    r"\b(?:after|before|once|until|when|whenever|if|as soon as|while|during|upon|nach|vor|bis|wenn|sobald)\b"
)
_MONEY = (
    r"[\u20ac$\u00a3\u00a5] ?\d|\b(?:euros?|eur|dollars?|usd|francs?|chf|franken|cents?|kron(?:er|or)|pounds?"
    r"|gbp|yen|free|kostenlos|gratis)\b|\d ?[\u20ac$\u00a3\u00a5]"
)


def _measured(*units: str) -> str:
    return rf"{NUMBER}[\W_]{{0,3}}(?:{'|'.join(units)})\b"


class Kind(NamedTuple):
    """A kind of answer."""

    asked: re.Pattern[str]
    """Questions that want it."""
    said: re.Pattern[str]
    """What a text with an answer has."""
    implied: frozenset[str]
    """Words of such a question that an answer need not repeat: "18 \u00b0C" does not say "temperature"."""


def _kind(asked: str, said: str, implied: str = "") -> Kind:
    return Kind(re.compile(asked), re.compile(said), frozenset(implied.split()))


KINDS = (
    _kind(
        rf"{_WHICH} (?:\w+ )?temperatur\w*|\b(?:how|wie) (?:hot|warm|cold|hei\u00df|kalt)\b",
        r"\d\s*(?:\u00b0|degrees?\b|grad\b|[ckf]\b)",
        "temperature temperatures temperatur hot warm cold hei\u00df kalt",
    ),
    _kind(
        r"\bhow much\b.*\b(?:costs?|pay|paid|charged?|price|rent|earns?|earned|spend|spent|fee|salary)\b"
        r"|\bwhat (?:do|does|did) .*\bcost\b"
        r"|\b(?:what|which|welche\w*) (?:\w+ )?(?:price|fee|costs?|rent|salary|preis)\b"
        r"|\bwie ?viel\b.*\b(?:kostet|kosten|zahl\w*|bezahl\w*|verdien\w*)\b|\bwas kostete?n?\b",
        _MONEY,
        "cost costs price pay paid kostet kosten preis",
    ),
    _kind(
        r"\b(?:how long|wie lange)\b(?! ago)|\bhow much time\b",
        rf"{NUMBER}[\W_]{{0,3}}(?:\w+ )?{_UNIT_OF_TIME}|\b\d+[smhdy]\d*|\b(?:until|till|forever|indefinitely"
        r"|unlimited|bis|as long as|a (?:second|minute|day|week|month|year|moment)|an hour)\b",
        "long lange time take takes last lasts dauert",
    ),
    _kind(
        r"\bhow (?:often|frequently)\b|\bwie oft\b",
        rf"\b(?:every|each|times?|daily|weekly|monthly|yearly|annually|hourly|per|always|never|immediately"
        rf"|jede\w*|t\u00e4glich|w\u00f6chentlich|j\u00e4hrlich|mal|once|twice|einmal|zweimal)\b"
        rf"|{NUMBER}[\W_]{{0,3}}{_UNIT_OF_TIME}",
        "often frequently oft",
    ),
    _kind(
        r"\bhow heavy\b|\b(?:what|how much)\b.*\bweighs?\b|\bwie (?:schwer|viel wiegt)\b",
        _measured(
            "[km]?g", "t", "kilos?", "kilograms?", "grams?", "gramm", "lbs?", "pounds?", "tons?", "tonnen?"
        ),
        "heavy weigh weighs schwer wiegt",
    ),
    _kind(
        r"\bhow (?:far|tall|wide|deep)\b|\bwie (?:weit|breit|tief)\b",
        _measured("[kcm]?m", r"\w*met(?:er|re)s?", "miles?", "inch(?:es)?", "feet", "ft"),
        "far tall wide deep weit breit tief",
    ),
    _kind(
        r"\b(?:what|which|how much|welche\w*) (?:[\w-]+ )?(?:pressure|\w*druck)\b",
        _measured("bar", "m?bar", "psi", "[kh]?pa"),
        "pressure druck",
    ),
    _kind(
        r"\b(?:how much|wie ?viel) (?:electricity|power|energy|strom|energie)\b",
        _measured("[kmg]?wh?", "watts?", "amps?", "amperes?"),
        "electricity power energy strom energie",
    ),
    _kind(r"\bhow loud\b|\bwie laut\b", r"\d ?db\b|\bdecibel", "loud laut"),
    _kind(
        r"\b(?:phone|telephone|fax|mobile|telefon) ?-?(?:number|nummer)\b",
        r"(?:\d[ ()/-]*){6}",
        "phone telephone number telefonnummer mobile",
    ),
    _kind(r"\be-?mail[ -]?(?:address|adresse)\b", r"\S@\S", "address adresse mail email e"),
    _kind(
        rf"{_WHICH} (?:\w+ ){{0,2}}version\b",
        r"\bv?\d+\.\d+",
        "version",
    ),
    _kind(rf"{_WHICH} (?:year|jahr)\b", r"\b(?:1[5-9]|20)\d\d\b", "year jahr"),
    _kind(
        rf"{_WHICH} (?:time|date|day|month|weekday|uhrzeit|datum|tag|monat|wochentag)\b",
        _DATE,
        "time date day month weekday uhrzeit datum tag monat wochentag",
    ),
    _kind(
        r"^\W*(?:(?:and|since|until|till|by|from|und|seit|bis|ab) )*(?:when|wann)\b",
        f"{_DATE}|{_MOMENT}",
        "until since",
    ),
    _kind(
        r"\b(?:how (?:many|much|few|large|big|small|high|old|fast|strong|thick)"
        r"|wie ?(?:viele?|hoch|gro\u00df|klein|alt|schnell|stark|dick))\b"
        r"|\b(?:what|which|welche\w*) (?:[\w-]+ )?(?:port|number|size|percentage|rate|amount|age|height|speed"
        r"|nummer|gr\u00f6\u00dfe|betrag|h\u00f6he)\b",
        NUMBER,
        "many much few large big small high old fast viel viele hoch gro\u00df klein alt amount",
    ),
    _kind(
        r"^\W*(?:why|warum|weshalb|wieso)\b",
        r"\b(?:because|since|so that|due to|reasons?|otherwise|therefore|thus|hence|avoid|in order to|allows?"
        r"|enables?|ensures?|means|as|weil|damit|sonst|denn|da|deshalb|daher|um)\b|\w: \w",
        "reason",
    ),
)
DATE = re.compile(_DATE)
COUNTED = re.compile(
    r"\b(?:how many|wie ?viele)\s+(?:(?:different|other|more|of the)\s+)?([\w-]+)(?:\s+([\w-]+))?"
)
WHO = re.compile(r"^\W*(?:and |und )?(?:who(?:se|m)?|wer|wem|wen|wessen)\b")
CLOSED = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|can|could|may|must|has|have|will|should|am)\b"
    r"|^\W*(?:ist|sind|war|waren|hat|haben|kann|k\u00f6nnen|darf|d\u00fcrfen|muss|m\u00fcssen|wird|werden|soll|gibt|gilt)\b"
)

_AUXILIARIES = frozenset(
    """
    is are was were do does did can could may must has have had will would should shall might
    ist sind war waren hat haben kann k\u00f6nnen darf muss wird werden wurde wurden soll
    """.split()  # noqa: SIM905  # a list of strings reads worse
)
_ASKING = re.compile(r"^\W*(?:[\w-]+ ){0,2}?(what|which|welche\w*|who|wer|was) ((?:[\w'.-]+ ?)+)")
_OF = frozenset("of for from in on at to by with von vom des der f\u00fcr im am bei".split())  # noqa: SIM905
_ARTICLES = frozenset("the a an our my your his her der die das mein unser".split())  # noqa: SIM905
_NOUNS = 4
"""Words behind "which" among which a verb is looked for that ends what is asked for."""


def focus(plain: str) -> str:
    """Return the part of a plain question that says what of a thing is asked; empty where it is unclear.

    "Which bank gave us the loan" asks for a bank: a passage about the loan
    that speaks of no bank hardly answers.
    """
    match = _ASKING.match(plain)
    if not match:
        return ""
    asking, rest = match.group(1), match.group(2).split()
    verbs = [at for at, word in enumerate(rest) if word in _AUXILIARIES]
    if asking in ("who", "wer"):
        doing = [word for word in rest if word not in _AUXILIARIES]
        # German puts what was done last: "Wer hat den Vertrag unterschrieben?"
        return "" if not doing else doing[-1] if asking == "wer" and verbs == [0] else doing[0]
    if not verbs or verbs[0] > _NOUNS:
        return "" if asking == "was" else rest[0]
    if verbs[0] > 0:
        return " ".join(rest[: verbs[0]])
    if rest[0] not in ("is", "are", "was", "were", "ist", "sind", "war", "waren"):
        return ""
    named = rest[1:]
    while named and named[0] in _ARTICLES:
        named = named[1:]
    ends = next((at for at, word in enumerate(named) if word in _OF), None)
    return " ".join(named[:ends]) if ends is not None else ""


_WHAT_WAS_SAID = re.compile(
    r"\bdid you (?:say|tell)\b"
    r"|\b(?:you|du|ihr)\b.{0,20}\b(?:said|told|wrote|suggest\w*|recommend\w*|advi[sc]e\w*|mention\w*|explain\w*"
    r"|propos\w*|answer\w*|promis\w*|gave|given|g[ae]b\w*|gegeben|gesagt|vorgeschlagen|empfohlen|geantwortet|erkl\w+t"
    r"|geschrieben)\b"
    r"|\b(?:said|told|gave|sagtest|schriebst|empfahlst|erz\w+hltest) (?:you|me|du|mir)\b"
    r"|\b(?:your|deine?[nmrs]?) (?:\w+ )?(?:answer|suggestion|advice|idea|proposal|recommendation|recipe|plan"
    r"|list|antwort|vorschlag|vorschl\w+ge|rat|idee|empfehlung|rezept|liste)s?\b"
    r"|\b(?:we|wir)\b.{0,20}\b(?:talk\w*|discuss\w*|sp(?:eak|oke\w*)|chat\w*|agree\w*|geredet"
    r"|gesprochen|besprochen)\b"
    r"|\b(?:last|earlier|previous|letzten?|fr\u00fchere[nrs]?) "
    r"(?:time|conversation|chat|talk|mal|gespr\w+ch)\b",
    re.IGNORECASE | re.DOTALL,
)


def asks_what_was_said(question: str) -> bool:
    """Tell whether a question is about what was said in an earlier conversation, true or not."""
    return _WHAT_WAS_SAID.search(question[:2000]) is not None
