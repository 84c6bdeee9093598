"""Computers and projects: what runs where, what was chosen, what was switched."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact
from agents.memory.extraction.rules.places import TOOLS

_MACHINE = re.compile(
    r"\b(?:nas|server|router|laptop|pc|computer|desktop|pi|phone|tablet|backup|cluster|"
    r"vm|machine|firewall|switch|"
    r"website|site|app|database|service|cron|job|notebook|rechner|node|host|workstation|"
    r"mac|homelab|blog)s?\b",
    re.I,
)


def runs(clause: Clause) -> list[Candidate]:
    """Read "the server runs Proxmox 8", "the backup runs every night at 2", "runs on a Raspberry Pi"."""
    subject = clause.subject
    named = subject.kind == "thing" and subject.noun
    if (
        not named
        or not (_MACHINE.search(subject.noun) or clause.rest.startswith("on "))
        or clause.negated
        or clause.tense == "past"
    ):
        return []
    noun = subject.noun
    thing = replace(subject, name=noun, noun="") if subject.name == "owner" else subject
    value = clause.when.phrase if clause.when.recurring else values.cut(clause.rest)
    value = re.split(
        r" (?:with|since|for) ",
        values.cut(re.sub(r"^on (?:an? |the )?", "", value) if not clause.when.recurring else value),
    )[0]
    if (
        not value
        or len(value.split()) > 7
        or re.match(
            r"^(?:slow|fast|hot|fine|well|smooth|out|low|again|into|late|like|a bit|perfect)", value, re.I
        )
    ):
        return []
    text = f"{subject.possessive} {noun} {'runs' if clause.verb == 'run' else 'is'} {value}."
    return fact(replace(clause, subject=thing), "runs", value, text, "technical", is_sentence=True)


def located(clause: Clause) -> list[Candidate]:
    """Read "the NAS is at 10.0.0.5", "the server is reachable under atlas.lan"."""
    subject = clause.subject
    if subject.kind != "thing" or clause.negated or clause.tense == "past":
        return []
    match = re.match(
        r"^(?:reachable |available |listening )?(?:at|under|on|unter|via) (?P<v>(?:https?://)"
        r"?[\w-]+(?:\.[\w-]+)+(?::\d+)?(?:/[^\s,]*)?|port \d+)(?:,.*)?$",
        clause.rest,
    )
    if not match:
        return []
    thing = (
        replace(subject, name=subject.noun, noun="") if subject.name == "owner" and subject.noun else subject
    )
    text = f"{subject.possessive} {subject.noun} is at {match['v']}."
    return fact(replace(clause, subject=thing), "address", match["v"], text, "technical", is_sentence=True)


def switches(clause: Clause) -> list[Candidate]:
    """Read "switched from Jira to Linear", "migrated to Postgres"."""
    if clause.subject.kind != "owner" or clause.negated or clause.tense not in ("past", "perfect"):
        return []
    match = re.match(
        r"^(?:over |back )?(?:(?:all|our|the|my|everything)[\w ]* )?(?:from|von) (?P<old>.+?) (?:to|zu|auf)"
        r" (?P<new>.+)$",
        clause.rest,
    )
    only = re.match(r"^(?:over |back )?(?:to|zu|auf) (?P<new>[A-Z].*)$", clause.rest)
    present = replace(clause, tense="present")
    found: list[Candidate] = []
    if match:
        old = values.thing(match["old"])
        found += (
            fact(present, "uses", old, f"uses {old}", "technical", many=True, effect="ends") if old else []
        )
    if clause.verb == "move" and not (
        match and (re.match(r"[A-Z]", match["new"]) or match["old"].casefold() in TOOLS)
    ):
        return []
    goal = match or only
    new = values.thing(re.split(r" (?:on|for|at|in) (?:the|our|my) ", goal["new"])[0]) if goal else ""
    is_tool = re.search(r"[A-Z\d]", new) or bool(found)
    return found + (
        fact(present, "uses", new, f"uses {new}", "technical", many=True) if new and is_tool else []
    )


def decides(clause: Clause) -> list[Candidate]:
    """Read "decided to use Postgres for the project", "decided on Lisbon", "went with the blue tiles"."""
    if clause.subject.kind != "owner" or clause.negated or clause.tense not in ("past", "perfect"):
        return []
    match = re.match(
        r"^(?:to (?P<verb>use|go with|buy|adopt|name|call|hire|take|switch to|stay with|keep)|on|for|with|"
        r"in favou?r of|für) (?P<v>.+)$",
        clause.rest,
    )
    if not match or (clause.verb == "go" and not clause.rest.startswith("with")):
        return []
    what = values.bare(values.cut(re.sub(r" (?:for|as|in) (?:the|our|this|all|now)\b.*$", "", match["v"])))
    if not what or values.is_vague(what) or len(what.split()) > 6:
        return []
    if match["verb"] in ("use", "go with", "adopt", "switch to") or (
        match["verb"] is None and clause.verb == "decide"
    ):
        attribute, text = "uses", f"decided to use {what}" if match["verb"] else f"decided on {what}"
    else:
        attribute, text = "decision", f"decided to {match['verb'] or 'go with'} {what}"
    return fact(replace(clause, tense="present"), attribute, what, text, "project", many=True)


def chooses(clause: Clause) -> list[Candidate]:
    """Read "chose Postgres for the project", "picked Lisbon"."""
    return (
        decides(replace(clause, verb="decide", rest=f"on {clause.rest}"))
        if re.match(r"^(?:the )?[A-Z]", clause.rest)
        else []
    )


def uses(clause: Clause) -> list[Candidate]:
    """Read "use Home Assistant", "use pnpm, not npm"."""
    if not clause.subject.is_human or (clause.negated and not clause.ended):
        return []
    if (clause.tense not in ("present", "perfect") and not clause.used_to) or (
        clause.progressive and clause.when.since is None and not re.search(r"[A-Z]", clause.rest)
    ):
        return []
    found: list[Candidate] = []
    old = re.search(r"\b(?:instead of|rather than) (?P<v>[A-Z][\w+.-]*(?: [A-Z][\w]*)?)", clause.rest)
    if old and not clause.ended:
        found += fact(clause, "uses", old["v"], f"uses {old['v']}", "technical", many=True, effect="ends")
    for part in values.listed(values.cut(clause.rest)):
        # "Teams for chat and Confluence for documents"
        what = values.thing(re.split(r",? (?:as|for|to|on|at|with|not|instead|in)\b", part)[0])
        is_listed = re.match(r"(?:[A-Z][\w.-]*(?:, | and |$))+", clause.rest) and re.fullmatch(
            r"[a-z][\w.-]{1,12}(?<!ed)(?<!ing)(?<!ly)", what
        )
        if (
            what
            and (re.search(r"[A-Z]|\d", what) or is_listed)
            and not re.match(r"^(?:I|Your|This|That|about|\d)\b", what)
        ):
            found += fact(clause, "uses", what, f"uses {what}", "technical", many=True)
    return found


def cancels(clause: Clause) -> list[Candidate]:
    """Read "cancelled Netflix", "cancelled our Spotify subscription"."""
    if not clause.subject.is_human or clause.negated:
        return []
    if clause.tense not in ("past", "perfect"):
        return []
    match = re.match(
        r"^(?:(?:my|our|the) )?(?P<v>[A-ZÄÖÜ][\w+.-]*(?: [A-Z+][\w+]*)?)(?: (?:subscription|account|"
        r"membership))?$",
        values.cut(clause.rest),
    )
    if not match or re.match(r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day", match["v"]):
        return []
    what = match["v"]
    return fact(clause, "uses", what, f"uses {what}", "technical", many=True, effect="ends")


def project_dates(clause: Clause) -> list[Candidate]:
    """Read "KRONOS is due on 3 May", "KRONOS ships in June", "KRONOS launches on Monday"."""
    subject = clause.subject
    named = subject.kind == "thing" or not subject.is_known
    if not named or clause.negated or clause.tense == "past" or not clause.when.phrase:
        return []
    if re.match(r"at \d", clause.when.phrase):
        return []  # today's hour
    name = subject.noun or subject.name
    match = re.match(
        r"^(?:due|scheduled|planned|launching|expected|released|shipping|supposed to launch|live|over|"
        r"finished)\b",
        clause.rest,
    )
    if (
        (clause.verb == "be" and not match)
        or name.casefold() in ("i", "it", "that", "this")
        or len(name.split()) > 4
    ):
        return []
    value = values.cut(re.sub(r"^(?:on|in|by|the|am) ", "", clause.when.phrase, flags=re.I))
    if subject.name == "owner" and name.islower():
        owner = replace(subject, noun="", kind="owner" if not subject.path else "person")
        return fact(
            replace(clause, subject=owner),
            f"plan:{name.casefold()}",
            value,
            f"{owner.possessive} {name} is on {value}.",
            "plan",
            is_sentence=True,
        )
    thing = replace(subject, name=name if subject.name == "owner" else subject.name, noun="", is_known=True)
    attribute = "deadline" if match and match[0] == "due" else "date"
    return fact(
        replace(clause, subject=thing),
        attribute,
        value,
        f"The {attribute} of {name} is {value}.",
        "project",
        is_sentence=True,
    )


RULES = {
    "run": [runs],
    "be": [located, project_dates],
    "launch": [project_dates],
    "end": [project_dates],
    "switch": [switches],
    "change": [switches],
    "migrate": [switches],
    "upgrade": [switches],
    "decide": [decides],
    "move": [switches],
    "agree": [decides],
    "choose": [chooses],
    "pick": [chooses],
    "settle": [decides],
    "go": [decides],
    "use": [uses],
    "cancel": [cancels],
}
