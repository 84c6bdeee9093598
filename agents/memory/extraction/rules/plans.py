"""Appointments, trips and other things with a date."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact, name_of
from agents.memory.extraction.subjects import THE_OWNER, is_name

_EVENT_NOUN = (
    r"appointment|check-?up|exam|test|interview|surgery|operation|meeting|party|wedding|concert|lesson|"
    r"class|training|flight|train|trip|"
    r"reservation|booking|deadline|presentation|conference|workshop|course|game|match|tournament|race|"
    r"marathon|recital|performance|play|show|"
    r"graduation|viewing|inspection|delivery|move|holiday|vacation|visit|ceremony|christening|funeral|"
    r"birthday|anniversary|reunion|date|dinner|lunch|"
    r"call|talk|session|ultrasound|scan|termin|prüfung|klausur|hochzeit|konzert|flug|operation|urlaub|"
    r"feier|besuch|tüv|festival|seminar|"
    r"premiere|barbecue|bbq|hearing|trial|audition|open day|parents' evening|vaccination|jab|service|"
    r"retreat|cruise|camp"
)


_NOT_TRIPS = (
    "bed|work|school|sleep|church|dinner|lunch|town|gym|office|shop|store|doctor|dentist|cinema|"
    "party|uni|class|bank|park|pool"
)


def has_event(clause: Clause) -> list[Candidate]:
    """Read "have a dentist appointment next Thursday at 14:30"."""
    if (
        clause.subject.kind not in ("owner", "person", "pet")
        or clause.negated
        or clause.tense in ("past", "perfect")
    ):
        return []
    match = re.match(
        rf"^(?:an? |my |our |the |eine?n? |tickets for (?:the )?)(?P<v>(?:[\w'’-]+ )"
        rf"{{0,4}}?[\w-]*(?:{_EVENT_NOUN})\b(?: (?:with|at|for|to|in|bei|mit|nach|beim|zum) [\w .'-]+)?)",
        clause.rest,
        re.I,
    )
    when = clause.when.phrase
    if (
        not match
        or not when
        or _is_today(when)
        or re.match(r"^(?:good|great|nice|bad|long|busy)\b", match["v"], re.I)
    ):
        return []
    what = values.cut(match["v"]).casefold()
    when = when[:1].lower() + when[1:] if when.startswith(("Next", "On", "In")) else when
    return _plan(
        clause,
        f"appointment:{what}" if "appointment" in what or "termin" in what else f"plan:{what}",
        when,
        f"has a {values.cut(match['v'])} {_at(when)}",
    )


def is_away(clause: Clause) -> list[Candidate]:
    """Read "be on leave from 14 to 25 July", "be away next week"."""
    match = re.match(
        r"^(?P<v>on (?:annual |parental |maternity |paternity |sick )?(?:leave|holiday|vacation)|away|"
        r"off work|out of (?:the )?office|im Urlaub)$",
        values.cut(clause.rest),
        re.I,
    )
    when = clause.when.phrase
    if not match or clause.negated or not clause.subject.is_human or not clause.subject.is_known:
        return []
    if clause.tense in ("past", "perfect") or not when or _is_today(when) or not re.search(r"\d", when):
        return []
    return _plan(clause, f"plan:{match['v'].casefold()}", when, f"is {match['v']} {_at(when)}")


def is_event(clause: Clause) -> list[Candidate]:
    """Read "my driving test is on 3 July", "the concert starts at 20:00 on Friday"."""
    subject = clause.subject
    if (
        subject.kind != "thing"
        or clause.negated
        or clause.tense in ("past", "perfect")
        or not clause.when.phrases
        or _is_clock(clause.when.phrase)
    ):
        return []
    if (
        not re.search(rf"(?:{_EVENT_NOUN})s?\b", subject.noun, re.I)
        or len(values.cut(clause.rest).split()) > 6
    ):
        return []
    if subject.noun.split()[-1].casefold() in (
        "test",
        "play",
        "service",
        "show",
    ) and clause.when.phrase.lower() in ("today", "now"):
        return []
    owner = replace(
        subject, noun="", kind="person" if subject.path or subject.name != "owner" else "owner", is_known=True
    )
    when = values.cut(re.sub(r"^(?:on|am) (?=\S)", "", clause.when.phrase, flags=re.I))
    what = re.sub(r"^(?:next|new) ", "", subject.noun.casefold())
    attribute = f"appointment:{what}" if "appointment" in what or "termin" in what else f"plan:{what}"
    return _plan(
        replace(clause, subject=owner),
        attribute,
        when,
        f"{owner.possessive} {subject.noun} is {_at(when)}.",
        is_sentence=True,
    )


def _is_clock(when: str) -> bool:
    """Say whether a time has no day: it is today's."""
    return bool(
        re.fullmatch(
            r"(?:at|from|um|around|by|from) \d{1,2}(?:[:.]\d\d)?(?: ?(?:am|pm|uhr))?", when, re.IGNORECASE
        )
    )


def trip(clause: Clause) -> list[Candidate]:
    """Read "be flying to Lisbon on 12 June", "will be in Vienna from 5 to 9 May"."""
    if not clause.subject.is_human or clause.negated:
        return []
    future = clause.tense == "future" or clause.progressive or clause.when.future
    when = clause.when.phrase
    if not future or not when or _is_today(when) or clause.tense in ("past", "perfect"):
        return []
    rest = re.sub(
        r"^(?:on (?:a )?(?:holiday|vacation|trip|business)|camping|skiing|back|down|up|over|hiking|away) ?",
        "",
        clause.rest,
        flags=re.I,
    )
    match = re.match(r"^(?:to |in |nach |at |for )(?P<v>.+)$", rest)
    text = match["v"] if match else rest if clause.verb == "visit" else ""
    where = values.place(text) or (values.cut(text) if clause.verb == "visit" else "")
    if not where or (
        clause.verb in ("go", "be", "travel", "drive", "fly", "take")
        and (
            not re.search(r"[A-ZÄÖÜ]", where)
            and (not clause.full_rest.islower() or re.search(rf"\b(?:{_NOT_TRIPS})\b", where))
        )
    ):
        return []
    verb = {
        "be": "will be in",
        "fly": "flies to",
        "go": "goes to",
        "travel": "travels to",
        "drive": "drives to",
        "visit": "visits",
    }.get(clause.verb, "goes to")
    return _plan(clause, f"trip:{where.casefold()}", when, f"{verb} {where} {_at(when)}")


def books(clause: Clause) -> list[Candidate]:
    """Read "booked a week in Madeira from 5 to 12 May", "booked flights to Rome for 3 June"."""
    match = re.match(
        r"^(?:an? |our |my |the |some )?(?:[\w-]+ )?(?:week|weekend|trip|flights?|fortnight|holiday|"
        r"vacation|cruise|hotel|days|tickets|break|cottage|villa|airbnb)"
        r"(?: away)? (?:in|to|for|on) (?P<v>[A-ZÄÖÜ].*)$",
        clause.rest,
    )
    when = clause.when.phrase
    if not match or not when or clause.negated or clause.subject.kind != "owner" or clause.tense == "future":
        return []
    where = values.place(match["v"])
    return _plan(clause, f"trip:{where.casefold()}", when, f"goes to {where} {_at(when)}") if where else []


def intends(clause: Clause) -> list[Candidate]:
    """Read "be planning to renovate the bathroom this autumn", "plan to run the marathon in May"."""
    match = re.match(r"^to (?P<v>(?!be\b|have\b|do\b|say\b|ask\b)[a-z]+ .+)$", clause.rest)
    when = clause.when.phrase
    if not match or clause.negated or not clause.subject.is_human or clause.tense == "past":
        return []
    if not when or _is_today(when) or re.match(r"tomorrow", when, re.I) or not clause.subject.is_known:
        return []
    what = values.cut(match["v"])
    if len(what.split()) > 7 or re.search(r"\b(?:it|this|that|you)\b", what):
        return []
    return _plan(clause, f"plan:{what.casefold()}", f"{what} {when}", f"plans to {what} {when}")


def visits(clause: Clause) -> list[Candidate]:
    """Read "my parents are visiting us at Easter"."""
    if (
        clause.subject.kind != "person"
        or clause.negated
        or not (clause.progressive or clause.tense == "future")
        or not clause.when.phrase
    ):
        return []
    if not re.match(
        r"^(?:us|me|over|to (?:stay|visit)|here|uns|mich|to us|for dinner|by)\b|^$", clause.rest
    ) or _is_today(clause.when.phrase):
        return []
    return _plan(clause, "plan:visit", clause.when.phrase, f"visits the owner {_at(clause.when.phrase)}")


def marries(clause: Clause) -> list[Candidate]:
    """Read "are getting married on 6 September", "married Carla in 2012"."""
    if clause.negated or not clause.subject.is_human or not clause.subject.is_known:
        return []
    if clause.verb == "get" and not clause.rest.startswith("married"):
        return []
    future = clause.progressive or clause.tense == "future" or clause.when.future
    if future:
        if not clause.when.phrase or clause.tense == "past":
            return []
        return _plan(clause, "wedding", clause.when.phrase, f"gets married {_at(clause.when.phrase)}")
    if clause.tense not in ("past", "perfect"):
        return []
    who = re.match(r"^(?:to |with )(?P<v>[A-ZÄÖÜ][a-zäöüß]+)\b", clause.rest)
    present = replace(clause, tense="present")
    found = fact(present, "marital_status", "married", "is married", "relation")
    if who and is_name(who["v"]):
        found += fact(present, "spouse.name", who["v"], f"is married to {who['v']}", "relation")
    return found


def expecting(clause: Clause) -> list[Candidate]:
    """Read "are expecting a baby in May"."""
    if (
        clause.negated
        or not re.match(r"^(?:a|our|another|her|their|twins)\b.*(?:baby|child|twins|girl|boy)", clause.rest)
        or not clause.subject.is_known
    ):
        return []
    value = clause.when.phrase or "a baby"
    return _plan(
        clause, "plan:baby", value, f"expects {values.cut(clause.rest)} {_at(clause.when.phrase)}".strip()
    )


def splits(clause: Clause) -> list[Candidate]:
    """Read "broke up with Ben", "got divorced", "are separated"."""
    if (
        clause.negated
        or (clause.tense not in ("past", "perfect") and not clause.rest.startswith(("divorced", "separated")))
        or clause.progressive
    ):
        return []
    if (
        not re.match(r"^(?:up|divorced|separated|$|apart|from my|uns|mich)", clause.rest)
        or not clause.subject.is_human
    ):
        return []
    name = re.search(r"\b(?:with|from) (?P<v>[A-ZÄÖÜ]\w+)", clause.rest)
    value = name["v"] if name else clause.subject.noun if clause.subject.kind == "owner" else ""
    if clause.verb == "get" and clause.rest.startswith("divorced"):
        present = replace(clause, tense="present")
        who = name["v"] if name else clause.subject.noun if clause.subject.kind == "owner" else ""
        return [
            *fact(present, "marital_status", "divorced", "is divorced", "relation"),
            *fact(
                present, "partner.name", "-", f"is with {who or 'their partner'}", "relation", effect="ends"
            ),
        ]
    return fact(
        clause,
        "partner.name",
        value or "-",
        f"is together with {value or 'their partner'}",
        "relation",
        effect="ends",
    )


def dies(clause: Clause) -> list[Candidate]:
    """Read "our dog Rex died last week", "passed away"."""
    if (
        clause.subject.kind not in ("person", "pet")
        or clause.negated
        or clause.tense not in ("past", "perfect")
        or not clause.subject.is_known
    ):
        return []
    if clause.verb == "pass" and not clause.rest.startswith("away"):
        return []
    when = f" {_at(clause.when.phrase)}" if clause.when.phrase else ""
    ended: list[Candidate] = []
    if clause.subject.kind == "pet" and clause.subject.name != "owner":
        # The animal is no longer there; a relative's name stays what it was.
        kin = clause.subject.label.rpartition("'s ")[2].removesuffix(f" {clause.subject.name}")
        owner = replace(THE_OWNER, path=kin, label=f"The owner's {kin}")
        ended = [replace(one, effect="ends") for one in name_of(owner, clause.subject.name)]
    return ended + fact(
        replace(clause, tense="present"), "died", clause.when.phrase or "yes", f"died{when}", "relation"
    )


def _plan(
    clause: Clause, attribute: str, when: str, text: str, *, is_sentence: bool = False
) -> list[Candidate]:
    value = values.cut(re.sub(r"^(?:on|am) (?=\S)", "", when, flags=re.I))
    found = fact(
        replace(clause, ended=False), attribute, value, text, "plan", is_sentence=is_sentence, confidence=0.85
    )
    return [
        replace(one, valid_to=clause.when.point[1] if clause.when.point else clause.when.until)
        for one in found
    ]


def _at(when: str) -> str:
    starts = (
        r"(?:on|in|at|from|next|this|tomorrow|every|the|am|im|um|vom|von|over|around|starting|since|"
        r"by|between|until|last|nächste)"
    )
    return when if re.match(starts, when, re.I) or not when else f"on {when}"


def _is_today(when: str) -> bool:
    return bool(re.match(r"^(?:today|tonight|now|this (?:morning|evening|afternoon)|heute)\b", when, re.I))


RULES = {
    "have": [has_event],
    "be": [is_away, is_event, trip],
    "start": [is_event],
    "take": [is_event, trip],
    "go": [trip],
    "fly": [trip],
    "travel": [trip],
    "drive": [trip],
    "visit": [trip, visits],
    "plan": [intends],
    "book": [books],
    "come": [visits],
    "spend": [trip],
    "get": [marries, splits],
    "marry": [marries],
    "expect": [expecting],
    "break": [splits],
    "split": [splits],
    "separate": [splits],
    "divorce": [splits],
    "die": [dies],
    "pass": [dies],
}
