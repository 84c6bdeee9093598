"""Where people live, come from, were born, moved to."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact

TOOLS = frozenset(
    "jira linear trello asana notion slack teams github gitlab bitbucket aws azure gcp postgres "
    "mysql mongodb docker "
    "kubernetes linux windows mac android ios python rust typescript react vue outlook gmail zoom "
    "sap salesforce hubspot "
    "confluence obsidian excel sheets figma vscode vim neovim firefox chrome proton fastmail "
    "nextcloud dropbox".split()
)


def lives(clause: Clause) -> list[Candidate]:
    """Read "live in Bonn", "be based in Bonn", "live alone in Passau"."""
    match = re.match(
        r"^(?:(?:alone|happily|there|near|close|abroad|with [\w' ]+?|mit [\wäöüß ]+?|on (?:my|his|her|their|"
        r"our) own|right|out|"
        r"over|all|up|down|"
        r"based|located|living|out of(?= [A-Z])) )*"
        r"(?:in|at|on|near|outside|close to|just outside) (?P<v>.+)$",
        clause.rest,
        re.IGNORECASE,
    )
    if not match or not clause.subject.is_human or (clause.negated and not clause.ended):
        return []
    if re.match(r"^\w*stra(?:ß|ss)e|^[A-ZÄÖÜ][\w. -]+ \d+[a-z]?(?:,|$)|^\d+ [A-Z]", values.cut(match["v"])):
        address = values.cut(match["v"])
        return fact(clause, "address", address, f"lives at {address}", "place")
    where = values.place(match["v"])
    if re.search(r"\bon (?:an? |the )?$", clause.rest[: match.start("v")]) and not re.search(
        r"[A-ZÄÖÜ]", where
    ):
        return []  # "on coffee and biscuits"
    return fact(clause, "city", where, f"lives in {where}", "place") if where else []


def based(clause: Clause) -> list[Candidate]:
    """Read "be based in Bonn", "be from Trier", "be born in Trier", "be originally from"."""
    if clause.negated:
        return []
    if re.match(
        r"^in (?:an?|the|our|my) (?:[\w-]+ ){0,3}(?:house|flat|apartment|studio|condo|cottage|bungalow) "
        r"(?:in|near|outside) [A-Z]",
        clause.rest,
    ):
        return lives(clause)
    if clause.ended and re.match(r"^in [A-ZÄÖÜ]", clause.rest):
        return lives(clause)  # "Clara is no longer in Porto"
    if out := re.match(r"^based out of (?P<v>[A-ZÄÖÜ].*)$", clause.rest):
        return lives(replace(clause, rest=f"in {out['v']}"))
    if clause.rest.startswith(("based in ", "living in ", "settled in ")):
        return lives(clause)
    if match := re.match(r"^(?:originally )?from (?P<v>.+)$", clause.rest, re.IGNORECASE):
        return _origin(clause, match["v"])
    if match := re.match(
        r"^born(?: and (?:raised|bred|grew up))?(?: (?:in|at) (?P<v>.+))?$", clause.rest, re.IGNORECASE
    ):
        return _born(clause, match["v"] or "")
    if match := re.match(r"^(?:raised|brought up) in (?P<v>.+)$", clause.rest, re.IGNORECASE):
        return _grew(clause, match["v"])
    return []


def settled(clause: Clause) -> list[Candidate]:
    """Read "be down in Penzance with my wife"."""
    match = re.match(r"^(?:down|up|over|out|living|settled) in (?P<v>[A-ZÄÖÜ].*)$", clause.rest)
    if (
        not match
        or clause.negated
        or clause.subject.kind != "owner"
        or clause.tense != "present"
        or clause.when.point
    ):
        return []
    where = values.place(match["v"].split(", ")[0])
    return fact(clause, "city", where, f"lives in {where}", "place") if where else []


def comes(clause: Clause) -> list[Candidate]:
    """Read "come from Ukraine", "be a native of Trier"."""
    match = re.match(r"^(?:originally )?from (?P<v>.+)$", clause.rest, re.IGNORECASE)
    return _origin(clause, match["v"]) if match and not clause.negated and not clause.when.future else []


def grew(clause: Clause) -> list[Candidate]:
    """Read "grow up in Koblenz"."""
    match = re.match(r"^(?:up )?(?:in|on|near) (?P<v>.+)$", clause.rest, re.IGNORECASE)
    return _grew(clause, match["v"]) if match and not clause.negated else []


def bears(clause: Clause) -> list[Candidate]:
    """Read the German "bin in Trier geboren"."""
    return _born(clause, re.sub(r"^in ", "", clause.rest))


def moves(clause: Clause) -> list[Candidate]:
    """Read "moved from Hamburg to Leipzig", "be moving to Freiburg", "moved in with Tom"."""
    if clause.negated or not clause.subject.is_human:
        return []
    origin = re.search(r"\b(?:from|von|out of|away from) (?P<v>(?:(?! to | nach |,).)+)", clause.rest)
    goal = re.search(
        r"(?:^|\b(?:house|home|over|back|here|away|flats|houses) |(?<=\w) )?\b(?:to|nach) (?P<v>.+)$",
        clause.rest,
    )
    if (
        origin
        and goal
        and re.search(r" (?:on|for) (?:the|our|this) |\b(?:project|team|repo|app|site|work)\b", clause.rest)
    ):
        return []  # "moved from Jira to Linear on the Atlas project"
    if goal and goal["v"].split()[0].casefold() in TOOLS:
        return []
    found: list[Candidate] = []
    where = values.place(re.sub(r"\bfrom .*$", "", goal["v"])) if goal else ""
    if re.match(r"^(?:Year|Grade|Class|Level|Form|Reception|Key Stage|Phase|Sixth|the \d|\d)\b", where):
        return []
    left = values.place(origin["v"]) if origin else ""
    if left:
        # It ends what was known; where nothing was, it still says that they lived there before.
        found += [
            replace(one, effect="ends") for one in fact(clause, "city", left, f"lives in {left}", "place")
        ]
    if where:
        found += fact(clause, "city", where, f"lives in {where}", "place")
    return found


def _origin(clause: Clause, text: str) -> list[Candidate]:
    where = values.place(text)
    if (
        not where
        or (not re.search(r"[A-ZÄÖÜ]", where) and clause.subject.kind != "owner")
        or clause.subject.kind == "thing"
    ):
        return []
    return fact(clause, "origin", where, f"comes from {where}", "place")


def _grew(clause: Clause, text: str) -> list[Candidate]:
    where = values.place(text)
    past = replace(clause, tense="present")
    return (
        fact(past, "hometown", where, f"grew up in {where}", "place")
        if where and clause.subject.is_known
        else []
    )


def _born(clause: Clause, text: str) -> list[Candidate]:
    if not clause.subject.is_known or clause.subject.kind == "thing":
        return []
    present = replace(clause, tense="present")
    where = values.place(text) if text else ""
    found = fact(present, "birthplace", where, f"was born in {where}", "place") if where else []
    day = " ".join(
        re.sub(r"^(?:on|in|am|im) (?:the )?", "", phrase, flags=re.I) for phrase in clause.when.phrases
    )
    if day:
        found += fact(
            present,
            "birthday",
            day,
            f"was born on {day}" if re.search(r"[a-z]", day) else f"was born in {day}",
            "date",
        )
    return found


RULES = {
    "live": [lives],
    "be": [based, settled],
    "come": [comes],
    "grow": [grew],
    "bear": [bears],
    "move": [moves],
    "relocate": [moves],
    "settle": [lives],
}
