"""Named slots: "my favourite colour is green", "the deadline of KRONOS is 3 May"."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import lexicon as words
from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause, Subject
from agents.memory.extraction.rules.build import fact, name_of
from agents.memory.extraction.subjects import is_name
from schemas.memory import FactKind

_FAVOURITE = re.compile(
    r"^(?:all[- ]time |absolute )?(?:favou?rite|favorit(?!e)|fave|least favou?rite|"
    r"lieblings-?)\s*(?P<what>[\w "
    r"-]+)$",
    re.IGNORECASE,
)
_PROPER_SLOTS = frozenset(
    "team gym school university bank church insurance room employer client locker "
    "version repository ip".split()
) | {"internet_provider", "electricity_provider", "health_insurance"}
"""Slots whose value is a name or has a number: "my team is great" fills none."""
_DATE_SLOTS = {"birthday", "anniversary", "name day", "wedding"}
_WORK_SLOTS = {
    "deadline",
    "budget",
    "start date",
    "release date",
    "version",
    "repository",
    "client",
    "project manager",
}
_TECH_SLOTS = {"ip", "hostname", "domain", "ssid", "mac", "os", "internet_provider"}
_STATES = re.compile(
    r"^(?:(?:very|so|too|really|quite|not|a bit|pretty|still|already|getting|being|broken|down|slow|fast|"
    r"full|empty|dirty|clean|nice|great|good|"
    r"bad|fine|ok|okay|small|big|huge|lovely|beautiful|amazing|awesome|terrible|awful|horrible|late|ready|"
    r"done|gone|back|here|there|"
    r"open|closed|on|off|up|wrong|right|hot|cold|warm|expensive|cheap|boring|interesting|funny|important|"
    r"difficult|easy|hard|long|"
    r"short|new|old|weird|strange|tired|hungry|asleep|sick|ill|crazy|annoying|delicious|tasty|running|"
    r"working|acting|making|driving|"
    r"coming|going|that|to|how|what|why|if|because|about|like|one of|kaputt|langsam|schön|groß|klein|gut|"
    r"schlecht|nicht|sehr|zu|weg|voll|leer)\b|"
    r"\w+ing\b|\w+ed by\b).*",
    re.IGNORECASE,
)


_CODE_NOUN = re.compile(
    r"\b(?:function|variable|class|method|file|table|column|branch|module|field|parameter|folder)$"
)
_AMOUNTS = frozenset(
    "salary rent budget phone hourly_rate height weight shoe_size mortgage plate landline".split()
)


PASSER_BY = re.compile(
    r"\b(?:(?:taxi|cab|uber|bus|delivery) ?(?:driver|man|guy)|driver|waiter|waitress|barman|barista|"
    r"bartender|referee|"
    r"ref|guy|man|woman|girl|boy|person|bloke|nurse on duty|author|narrator|protagonist|hero|heroine|villain|"
    r"characters?|avatar|actor|actress|singer|speaker|host|seller|buyer|caller|stranger|officer|kellner\w*|"
    r"fahrer\w*|"
    r"schiedsrichter\w*|autor\w*|held\w*|figur)$",
    re.IGNORECASE,
)
"""Those whom one meets once, or in a book: their names are no facts about the owner."""
_OF_A_DAY = re.compile(
    r"\b(?:train|seat|gate|platform|flight|order|order number|ticket|table|taxi|bus|queue|queue number|"
    r"booking|zug|gleis|"
    r"platz|sitzplatz|bestellung|bestellnummer)$",
    re.IGNORECASE,
)
"""Things that are another one at the next trip."""


def slot(clause: Clause) -> list[Candidate]:
    """Read "<possessor>'s <slot> is <value>" for the slots that are known, and for things that are owned."""
    subject = clause.subject
    if subject.kind != "thing" or not subject.noun or clause.tense == "past":
        return []
    noun = subject.noun.strip().casefold()
    noun = re.sub(r"^(?:new|current|own|old|main|next|official|exact|full|neue[rs]?|erste[rs]?) ", "", noun)
    if _OF_A_DAY.search(noun) and not clause.when.phrases:
        return []
    if noun in ("name", "first name") and subject.name != "owner" and PASSER_BY.search(subject.name):
        return []
    if noun == "birthday" and subject.noun.casefold().startswith("next"):
        return []
    if clause.negated and not clause.ended:
        return []
    favourite = _FAVOURITE.match(noun) or re.match(r"^(?P<what>lieblings\w+)$", noun)
    if favourite:
        return _favourite(clause, favourite["what"], "least" in noun)
    if (noun in words.SLOT_NOUNS and noun not in words.THINGS) or noun in (
        "address",
        "number",
        "phone number",
    ):
        if words.SLOT_NOUNS[noun] == "plate" and not subject.path and subject.name == "owner":
            return _of_thing(clause, "car", "plate")  # whose else: "my licence plate is now HB-ZZ 9"
        return _known(clause, words.SLOT_NOUNS[noun])
    if last := _tail_slot(noun):
        return _of_thing(clause, *last)
    if noun in words.THINGS or re.sub(r"^\w+ ", "", noun) in words.THINGS:
        return _model(clause, noun)
    return []


def has_slot(clause: Clause) -> list[Candidate]:
    """Read "my NAS has the address 10.0.0.5", "the flat has 85 square metres"."""
    is_project = clause.subject.kind == "person" and not clause.subject.is_known
    if not (clause.subject.kind == "thing" or is_project) or clause.negated or clause.tense == "past":
        return []
    match = re.match(
        r"^(?:the |a |an |die |das |den |eine? )?(?:static |fixed |local |feste )?(?P<slot>number|"
        r"phone number|telefonnummer|nummer|extension|ip address|"
        r"ip-adresse|ip|"
        r"address|adresse|hostname|host name|name|domain|mac address|"
        r"version|port|budget|deadline|plate|licence plate|license plate|number plate|kennzeichen|serial "
        r"number|capacity) "
        r"(?:of |is |lautet |von )?(?P<v>[\w.,:/@ €$-]+)$",
        clause.rest,
        re.IGNORECASE,
    )
    if match:
        slot_name = words.SLOT_NOUNS.get(match["slot"].casefold(), match["slot"].casefold())
        if is_project:
            text = f"{clause.subject.possessive} {slot_name} is {match['v']}."
            return fact(clause, slot_name, match["v"], text, "project", is_sentence=True)
        return _of_thing(
            replace(clause, rest=match["v"], full_rest=match["v"]), clause.subject.noun, slot_name
        )
    match = re.match(
        r"^(?P<v>\d[\d.,]* ?(?:square met(?:er|re)s?|m²|sqm|qm|quadratmeter|square feet|gb|tb|gb of \w+|tb "
        r"of \w+|hp|ps|kw|kwh|cores|rooms|drives|bedrooms)\b[\w ]*)$",
        clause.rest,
        re.I,
    )
    if match:
        attribute = "size" if re.search(r"square|m²|sqm|qm|quadrat", match["v"], re.I) else "capacity"
        return _of_thing(
            replace(clause, rest=match["v"], full_rest=match["v"]), clause.subject.noun, attribute
        )
    return []


def is_named(clause: Clause) -> list[Candidate]:
    """Read "the server is called atlas", "my NAS is named vault"."""
    subject = clause.subject
    if subject.kind != "thing" or clause.negated or clause.tense == "past" or PASSER_BY.search(subject.noun):
        return []
    rest = re.sub(r"^(?:called|named) ", "", clause.rest) if clause.verb == "be" else clause.rest
    if clause.verb == "be" and rest == clause.rest:
        return []
    value = values.cut(rest)
    noun = subject.noun.casefold()
    if not value or len(value.split()) > 3 or _CODE_NOUN.search(noun):
        return []
    if noun in words.SLOT_NOUNS and noun not in words.THINGS:
        return _known(replace(clause, rest=value, full_rest=value), words.SLOT_NOUNS[noun])
    return _of_thing(replace(clause, rest=value, full_rest=value), subject.noun, "name")


def _favourite(clause: Clause, what: str, is_least: bool) -> list[Candidate]:
    what = what.strip().casefold().removeprefix("lieblings").strip("- ")
    what = {
        "color": "colour",
        "farbe": "colour",
        "essen": "food",
        "gericht": "dish",
        "buch": "book",
        "film": "film",
        "movie": "film",
        "tier": "animal",
        "band": "band",
        "musik": "music",
        "verein": "team",
    }.get(what, what)
    value = values.cut(clause.full_rest or clause.rest)
    if what in ("one", "ones", "thing", "part", "answer", "option", "so far"):
        return []
    if (
        not value
        or len(value.split()) > 8
        or re.match(r"^(?:so far|when|that|the one|this|it|still|one|to )\b", value, re.I)
    ):
        return []
    value = values.bare(value) if not re.match(r"^(?:The|A) [A-Z]", value) else value
    owner = replace(
        clause.subject,
        kind="owner" if clause.subject.name == "owner" and not clause.subject.path else "person",
        noun="",
    )
    kind = "least favourite" if is_least else "favourite"
    text = f"{owner.possessive} {kind} {what} is {value}."
    return fact(replace(clause, subject=owner), f"{kind}:{what}", value, text, "preference", is_sentence=True)


def _known(clause: Clause, name: str) -> list[Candidate]:
    subject = clause.subject
    owner = replace(subject, noun="", kind="person" if subject.path or subject.name != "owner" else "owner")
    dated = name in words.DATED_NOUNS or name in _DATE_SLOTS
    value = (
        values.cut(clause.when.phrase)
        if dated and clause.when.phrase
        else values.cut(clause.full_rest or clause.rest)
    )
    if name in _DATE_SLOTS and not re.search(r"\d|[A-ZÄÖÜ]\w+", value):
        return []  # "every year", "soon"
    if re.search(r" until \S|^until ", value):
        return []
    value = (
        re.sub(
            r"^(?:on|in|the|am|um|currently|now|set for|scheduled for|due|due on|by|for|at) (?=\S)",
            "",
            value,
            flags=re.I,
        )
        if dated
        else value
    )
    if dated:
        value = re.sub(r"^(?:on|in|the|am|scheduled for) (?=\S)", "", value, flags=re.I)
    if re.search(r"\b(?:moved|postponed|pushed|shifted|changed|rescheduled|verschoben)\b", clause.rest):
        value = re.sub(r"^from .* to ", "", value)
    if (
        not value
        or (dated and re.search(r"\b(?:late|delayed|cancelled|canceled|early)\b", value))
        or len(value.split()) > 10
        or (re.match(_STATES, value) and not dated)
        or (
            dated
            and not re.search(
                r"\d|day\b|tag\b|week|month|year|tomorrow|tonight|woche|morgen|easter|christmas|january|"
                r"february|march|april|may|june|july|august|"
                r"september|october|november|december|spring|summer|autumn|winter|noon",
                value,
                re.I,
            )
        )
    ):
        return []
    if name in ("name", "first name") and not subject.noun.casefold().startswith("project"):
        if owner.kind == "person" and not owner.path:
            return []  # its name is known: a pronoun was taken for the wrong one
        return name_of(owner, value) if is_name(value, lower=True) and len(value.split()) <= 4 else []
    if name == "job":
        value = values.job(value, is_certain=True)
    if name == "age" and not re.match(r"^\d", value):
        return []
    if name == "hobby" or name == "allergy":
        found: list[Candidate] = []
        for part in values.listed(value):
            topic = values.topic(part)
            text = (
                f"{owner.possessive} hobby is {topic}."
                if name == "hobby"
                else f"{owner.label} is allergic to {topic}."
            )
            found += fact(
                replace(clause, subject=owner),
                name,
                topic,
                text,
                "habit" if name == "hobby" else "health",
                many=True,
                is_sentence=True,
            )
        return found
    if name in _AMOUNTS and not re.search(r"\d", value):
        return []
    if name == "room" and re.match(r"^(?:in|at|on) ", value):
        return []  # where an office is, is no number of a room
    if name in _PROPER_SLOTS and not re.search(r"[A-ZÄÖÜ\d]", value):
        return []
    if name in ("dream", "goal", "status", "garden", "house", "flat", "lesson") or (
        not subject.is_known and not subject.noun
    ):
        return []
    attribute = name if name not in ("phone",) else "phone"
    shown = subject.noun
    text = f"{owner.possessive} {shown} is {value}."
    return fact(replace(clause, subject=owner), attribute, value, text, _kind_of(name), is_sentence=True)


def _tail_slot(noun: str) -> tuple[str, str] | None:
    """Split "printer's ip" or "car licence plate" into the thing and its slot."""
    for slot_noun, name in sorted(words.SLOT_NOUNS.items(), key=lambda item: -len(item[0])):
        if slot_noun in ("number", "mobile", "nummer"):
            continue  # "VAT number" is no telephone
        if noun.endswith(f" {slot_noun}") and (
            name
            not in ("name", "room", "size", "class", "lesson", "train", "number", "house", "flat", "garden")
            or slot_noun == "name"
        ):
            before = noun[: -len(slot_noun)].strip()
            before = re.sub(r"^(?:the|my|our)\s+|'s?$", "", before)
            if re.fullmatch(r"[\w -]+", before):
                return before, name
    return None


def _of_thing(clause: Clause, thing: str, name: str) -> list[Candidate]:
    subject = clause.subject
    dated = name in words.DATED_NOUNS or name in _DATE_SLOTS
    value = values.cut(
        clause.when.phrase if dated and clause.when.phrase else clause.full_rest or clause.rest
    )
    value = re.sub(r"^(?:on|the|currently|now) (?=\S)", "", value, flags=re.I)
    if re.search(r"\b(?:moved|postponed|pushed|shifted|changed|rescheduled|verschoben)\b", clause.rest):
        value = re.sub(r"^from .* to ", "", value)
    thing = " ".join(thing.split())
    if PASSER_BY.search(thing):
        return []
    if not value or len(value.split()) > 8 or _STATES.match(value) or not thing or value.startswith("with "):
        return []
    if dated and not re.search(r"\d|day|week|month|year|tomorrow|tag", value, re.I):
        return []
    owner = replace(subject, noun="", kind="person" if subject.path or subject.name != "owner" else "owner")
    kind: FactKind = _kind_of(name) if name in _DATE_SLOTS | _WORK_SLOTS | words.DATED_NOUNS else "technical"
    if owner.kind == "owner":
        known = words.THINGS.get(thing.casefold(), thing)
        text = f"{owner.possessive} {thing}'s {name.replace('_', ' ')} is {value}."
        subject_of = Subject(name=known if known != "nas" else "NAS", label=thing, kind="thing")
        return fact(replace(clause, subject=subject_of), name, value, text, kind, is_sentence=True)
    text = f"{owner.possessive} {thing}'s {name.replace('_', ' ')} is {value}."
    return fact(replace(clause, subject=owner), f"{thing}.{name}", value, text, kind, is_sentence=True)


def _model(clause: Clause, noun: str) -> list[Candidate]:
    """Read "my car is an Opel Astra"."""
    value = re.split(r" with |, | mit ", values.cut(clause.rest))[0]
    match = re.match(r"^(?:now )?(?:an?|the|eine?n?|ein) (?P<v>(?:\d{4} )?(?:\w+ )?[A-ZÄÖÜ0-9].*)$", value)
    if not match or len(match["v"].split()) > 7 or clause.ended:
        return []
    owner = replace(
        clause.subject,
        noun="",
        kind="person" if clause.subject.path or clause.subject.name != "owner" else "owner",
    )
    name = words.THINGS.get(noun) or noun
    name = {"phone": "smartphone"}.get(name, name)  # its number is another slot
    what = match["v"]
    text = f"{owner.possessive} {noun} is a {what}."
    return fact(
        replace(clause, subject=owner), name.replace(" ", "_"), what, text, "possession", is_sentence=True
    )


def _kind_of(name: str) -> FactKind:
    if name in _DATE_SLOTS:
        return "date"
    if name in _WORK_SLOTS:
        return "project"
    if name in words.DATED_NOUNS:
        return "plan"
    if name in _TECH_SLOTS:
        return "technical"
    if name in ("address", "hometown", "birthplace", "postcode"):
        return "place"
    if name in ("job", "employer", "salary"):
        return "work"
    if name in ("blood_type", "medication", "diet", "allergy", "height", "weight"):
        return "health"
    return "identity"


RULES = {
    "be": [is_named, slot],
    "be called": [is_named],
    "have": [has_slot],
}
