"""Hobbies and what is done again and again."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact

_SPORTS = re.compile(
    r"^(?:swimming|running|jogging|climbing|bouldering|hiking|cycling|dancing|skiing|fishing|riding|"
    r"sailing|rowing|surfing|bowling|camping|"
    r"to (?:the (?:gym|pool|sauna|choir|market|library)|yoga|church|choir|pilates|therapy|physio\w*|karate|"
    r"judo|ballet|band practice|football|training|"
    r"spanish class|german class|a \w+ (?:class|course|group|club))|for (?:a run|runs|walks|a walk|a swim))"
    r"\b",
    re.IGNORECASE,
)


def plays(clause: Clause) -> list[Candidate]:
    """Read "play tennis twice a week", "play the drums", "sing in a choir", "collect stamps"."""
    if not clause.subject.is_human or (clause.negated and not clause.ended):
        return []
    if (clause.tense in ("past", "future") and not clause.used_to) or (
        clause.progressive and clause.when.since is None and clause.verb != "learn"
    ):
        return []
    what = re.split(
        r", (?=\d|not |about |for |around |level |grade |mostly |mainly )", values.topic(clause.rest)
    )[0]
    what = re.split(r" on (?:Duolingo|YouTube|Zoom|my own)\b", what)[0]
    if clause.verb == "volunteer":
        what = re.sub(r"^(?:with|for|at) (?:the )?(?=[A-Z])", "", what)
    if not what or re.match(
        r"^(?:devil's|dead|dumb|along|it safe|safe|a part|tricks|for time|catch-?up|host|"
        r"with|mit|around|a (?:game|role|trick)|games? with|it|song|music for)\b",
        what,
    ):
        return []
    if clause.verb == "play":
        what = re.sub(
            r" at .*$| with [A-Z].*$| for (?:the )?[A-ZÄÖÜ].*$", "", what
        )  # the club: "handball for SG Aumund"
    value = re.sub(r"^the ", "", what)
    verb = {
        "play": "plays",
        "sing": "sings",
        "collect": "collects",
        "learn": "learns",
        "practise": "practises",
        "practice": "practises",
        "knit": "knits",
        "volunteer": "volunteers",
        "support": "supports",
        "train": "trains",
        "coach": "coaches",
    }[clause.verb]
    if clause.verb == "learn" and not re.match(
        r"^[A-Z]|^(?:to |the )?(?:play|piano|guitar|violin|drums?|spanish|french|italian|japanese|german|"
        r"english)",
        what,
    ):
        return []
    if clause.verb == "support" and not re.search(r"[A-Z]", what):
        return []
    often = f" {clause.when.recurring[0]}" if clause.when.recurring else ""
    return fact(clause, verb, value, f"{verb} {what}{often}", "habit", many=True)


def takes_up(clause: Clause) -> list[Candidate]:
    """Read "took up Italian"."""
    match = re.match(r"^up (?P<v>[\w-]+(?: [\w-]+)?)$", values.cut(clause.rest))
    if (
        not match
        or clause.negated
        or clause.tense not in ("past", "perfect")
        or clause.subject.kind != "owner"
    ):
        return []
    what = match["v"]
    return fact(replace(clause, tense="present"), "hobby", what, f"has taken up {what}", "habit", many=True)


def goes(clause: Clause) -> list[Candidate]:
    """Read "go swimming every Tuesday", "go to the gym twice a week"."""
    if (
        not clause.subject.is_human
        or (clause.tense in ("past", "future") and not clause.used_to)
        or clause.progressive
    ):
        return []
    if (clause.negated and not clause.ended) or not (clause.when.recurring or clause.used_to or clause.ended):
        return []
    match = _SPORTS.match(clause.rest)
    if not match:
        return []
    what = match[0]
    often = f" {clause.when.recurring[0]}" if clause.when.recurring else ""
    return fact(clause, f"habit:{what.casefold()}", f"{what}{often}", f"goes {what}{often}", "habit")


def regular(clause: Clause) -> list[Candidate]:
    """Read anything with "every Tuesday" or "on Wednesdays": "have choir practice on Wednesdays"."""
    if (
        clause.subject.kind not in ("owner", "person", "pet")
        or clause.negated
        or clause.tense not in ("present", "perfect")
    ):
        return []
    if clause.progressive or not clause.when.recurring or not clause.subject.is_known:
        return []
    what = values.bare(values.cut(clause.rest))
    if re.search(
        r"\b(?:never|not|except|unless|no longer|nie|nicht|außer)\b", clause.full_rest, re.IGNORECASE
    ):
        return []
    if (
        len(what.split()) > 7
        or (clause.verb in ("like", "love", "hate", "be") and not what)
        or clause.verb.startswith("can ")
    ):
        return []
    if re.search(r"\b(?:you|your|this|that|it)\b|^(?:out of|with|for|from(?! home)|before|after)\b", what):
        return []
    when = clause.when.phrase.replace("On ", "on ")
    third = _third(clause.verb)
    value = f"{what} {when}".strip() if what else f"{clause.verb} {when}"
    key = what.casefold() or clause.verb
    return fact(clause, f"habit:{key}", value, f"{third} {clause.rest} {when}".replace("  ", " "), "habit")


def belongs(clause: Clause) -> list[Candidate]:
    """Read "be a member of the sailing club in Vegesack", "be in the choir of St. Paul"."""
    match = re.match(
        r"^(?:an? |the )?(?:\w+ )?(?:member|chair(?:man|woman|person)?|treasurer|president|captain|"
        r"secretary) (?:of|in|at) "
        r"(?P<v>(?:the|an?|our|my) .+|[A-ZÄÖÜ].+)$",
        clause.full_rest or clause.rest,
    )
    if not match or clause.negated or not clause.subject.is_human or not clause.subject.is_known:
        return []
    if clause.tense not in ("present", "perfect"):
        return []
    what = values.bare(values.cut(re.sub(r" (?:since|for) .*$", "", match["v"])))
    if not what or len(what.split()) > 6 or values.is_vague(match["v"]):
        return []
    return fact(clause, "member", what, f"is a member of {what}", "habit", many=True)


def has_hobby(clause: Clause) -> list[Candidate]:
    """Read "have a couple of hobbies: photography and bouldering"."""
    match = re.match(r"^.*\bhobb(?:y|ies)\b(?::| like| such as|,) (?P<v>.+)$", clause.rest)
    if not match or clause.negated or not clause.subject.is_human:
        return []
    found: list[Candidate] = []
    for part in values.listed(match["v"]):
        what = values.topic(part)
        if what and what not in ("mostly", "mainly"):
            found += fact(clause, "hobby", what, f"has the hobby {what}", "habit", many=True)
    return found


def wakes(clause: Clause) -> list[Candidate]:
    """Read "usually get up at 5:30", "commute by train"."""
    if clause.subject.kind != "owner" or clause.negated or clause.tense != "present" or clause.progressive:
        return []
    if clause.verb == "commute":
        what = values.cut(clause.rest)
        return fact(clause, "habit:commute", what, f"commutes {what}", "habit") if what else []
    match = re.match(r"^(?:up|to bed)$", values.cut(clause.rest))
    clock = [p for p in clause.when.phrases if re.search(r"\d", p)]
    if not match or not clock:
        return []
    return fact(
        clause,
        f"habit:{clause.verb} {match[0]}",
        clock[0],
        f"{_third(clause.verb)} {match[0]} {clock[0]}",
        "habit",
    )


def things_regular(clause: Clause) -> list[Candidate]:
    """Read "our stand-up is every morning at 9:15", "the bins are collected on Thursdays"."""
    subject = clause.subject
    if (
        subject.kind != "thing"
        or not subject.noun
        or not clause.when.recurring
        or clause.negated
        or clause.tense == "past"
        or subject.noun.casefold() in ("birthday", "anniversary", "geburtstag")
    ):
        return []
    owner = replace(subject, noun="", kind="person" if subject.path or subject.name != "owner" else "owner")
    when = clause.when.phrase
    rest = values.cut(clause.rest)
    return fact(
        replace(clause, subject=owner),
        f"schedule:{subject.noun.casefold()}",
        when,
        f"{owner.possessive} {subject.noun} {_third(clause.verb)} {rest} {when}.".replace("  ", " "),
        "habit",
        is_sentence=True,
    )


def smokes(clause: Clause) -> list[Candidate]:
    """Read "quit smoking in June", "no longer smoke", "smoke a pack a day"."""
    if not clause.subject.is_human or (
        clause.verb in ("quit", "stop", "give") and not re.search(r"\bsmoking\b", clause.rest)
    ):
        return []
    if (clause.verb == "smoke" and clause.ended) or (
        clause.verb != "smoke" and clause.tense in ("past", "perfect")
    ):
        return fact(clause, "smokes", "smoking", "smokes", "habit", effect="ends")
    if clause.verb == "smoke" and not clause.negated and not clause.progressive and clause.tense == "present":
        amount = values.cut(clause.rest) or "yes"
        return fact(clause, "smokes", amount, f"smokes {values.cut(clause.rest)}".strip(), "habit")
    return []


def _third(verb: str) -> str:
    irregular = {"be": "is", "have": "has", "go": "goes", "do": "does"}
    return irregular.get(verb, f"{verb}s" if not verb.endswith(("ch", "s", "sh", "x")) else f"{verb}es")


_VERBS = (
    "have work go do take eat drink run swim cook visit call meet train walk teach clean watch read "
    "paint swim practise play get "
    "drive pick attend help paint wake come deploy"
).split()
RULES = {
    **{verb: [regular] for verb in _VERBS},
    "have": [has_hobby, regular],
    "take": [regular, takes_up],
    "play": [plays, regular],
    "sing": [plays],
    "collect": [plays],
    "learn": [plays],
    "knit": [plays],
    "practise": [plays, regular],
    "practice": [plays],
    "volunteer": [plays],
    "support": [plays],
    "train": [regular],
    "coach": [plays],
    "go": [goes, regular],
    "get": [wakes, regular],
    "wake": [wakes],
    "commute": [wakes],
    "be": [things_regular, belongs],
    "start": [things_regular],
    "smoke": [smokes],
    "quit": [smokes],
    "stop": [smokes],
}
