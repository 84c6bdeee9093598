"""Studies, schools, degrees, what is taught."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact

SCHOOL = re.compile(
    r"(?:\b(?:School|Primary|Elementary|Academy|High|Grammar|College|University|Uni|Kindergarten|Nursery|"
    r"Kita|Preschool|"
    r"Gymnasium)\b|schule|gymnasium|kindergarten)", re.I)  # fmt: skip


def studies(clause: Clause) -> list[Candidate]:
    """Read "study medicine in Bonn", "study computer science at RWTH Aachen"."""
    if clause.negated or not clause.subject.is_human:
        return []
    if re.match(r"^(?:for|hard|right|all|today|the|this|my|how|with|late|every)\b", clause.rest, re.I):
        return []
    match = re.match(
        r"^(?P<what>(?:(?! (?:at|in|an der) ).)*?)(?:(?:^| )(?:at|in|an der) (?P<where>.+))?$", clause.rest
    )
    if not match:
        return []
    what = values.topic(match["what"])
    found = fact(clause, "studies", what, f"studies {what}", "study") if what else []
    where = values.organisation(match["where"]) if match["where"] else ""
    if where and re.search(r"[A-ZÄÖÜ]", where) and not re.search(rf"\bin {re.escape(where)}", clause.rest):
        found += fact(clause, "university", where, f"studies at {where}", "study")
    return found


_TO = {"en": ("to ",), "de": ("to ", "in ", "ins ", "auf ")}


def attends(clause: Clause) -> list[Candidate]:
    """Read "go to Einstein-Gymnasium", "attend the Waldorf school"."""
    if clause.negated or not clause.subject.is_human or clause.tense not in ("present", "perfect"):
        return []
    match = re.match(
        r"^(?:to |ins |in die |in den |auf das |aufs )?(?P<v>(?:BG|BRG|BORG|HTL|HAK|HLW|VS|MS|"
        r"AHS) [A-ZÄÖÜ][\w -]+)$",
        clause.rest,
    ) or re.match(
        r"^(?:to |in (?=.*[A-ZÄÖÜ]\w+ [A-ZÄÖÜ]))?(?P<v>.*(?:\b|(?<=\w))(?:school|kindergarten|nursery|"
        r"daycare|university|"
        r"college|academy|gymnasium|uni|primary|elementary|infants?|juniors?|grammar|middle|prep|"
        r"comprehensive|volksschule|mittelschule|realschule|gymi|kanti|polytechnic|htl|hak|"
        r"schule|grundschule|kita|preschool|MIT|montessori)\b[\w .-]*)"
        r"$",
        clause.rest,
        re.I,
    )
    if (
        not match
        or (clause.verb == "go" and not clause.rest.lower().startswith(_TO[clause.language]))
        or clause.progressive
    ):
        return []
    where = re.sub(r" (?:doing|studying|reading|to study) .*$", "", values.bare(values.cut(match["v"])))
    if (
        len(where.split()) < 1
        or len(where.split()) > 6
        or where.casefold() in ("school", "schule", "university", "uni", "college")
    ):
        return []
    attribute = "university" if re.search(r"uni|college|MIT", where, re.I) else "school"
    return fact(clause, attribute, where, f"goes to {where}", "study")


def in_grade(clause: Clause) -> list[Candidate]:
    """Read "my daughter is in year 3", "Tim is in second grade"."""
    match = re.match(
        r"^(?:in|up to|to|up into|into|now in) (?:the )?(?P<v>(?:year|grade|class|form|klasse) \d{1,2}|"
        r"(?:\d{1,2}(?:st|nd|rd|th)|first|"
        r"second|third|"
        r"fourth|fifth|sixth|seventh|eighth|ninth|tenth) (?:grade|year|form)|der \d{1,2}\. klasse)\b",
        values.cut(clause.rest),
        re.I,
    )
    if not match or clause.negated or clause.subject.kind != "person" or not clause.subject.is_known:
        return []
    is_move = clause.verb in ("move", "go", "start") and clause.tense in ("past", "perfect")
    if clause.tense not in ("present", "perfect") and not is_move:
        return []
    if clause.rest.startswith(("up", "to", "into")) and not is_move:
        return []
    return fact(replace(clause, tense="present"), "grade", match["v"], f"is in {match['v']}", "study")


def graduates(clause: Clause) -> list[Candidate]:
    """Read "graduated from TU Dortmund in 2019", "have a degree in physics"."""
    match = re.match(r"^(?:from|at) (?P<v>.+)$", clause.rest)
    if clause.negated or not match or not clause.subject.is_known or clause.tense == "future":
        return []
    where = values.organisation(match["v"])
    return (
        fact(replace(clause, tense="present"), "degree", where, f"graduated from {where}", "study")
        if where
        else []
    )


def degree(clause: Clause) -> list[Candidate]:
    """Read "have a PhD in physics"."""
    match = re.match(
        r"^(?:a |an )?(?P<v>(?:\w+'?s? )?(?:degree|phd|ph\.d\.?|master'?s?|bachelor'?s?|msc|bsc|diploma|"
        r"doctorate)\b.*)$",
        clause.rest,
        re.I,
    )
    if not match or clause.negated:
        return []
    value = values.cut(match["v"])
    return fact(clause, "degree", value, f"has a {value}", "study")


def teaches(clause: Clause) -> list[Candidate]:
    """Read "teach maths at a secondary school"."""
    match = re.match(r"^(?P<what>(?:(?! (?:at|in) ).)+?)(?: (?:at|in) (?P<where>.+))?$", clause.rest)
    if (
        not match
        or clause.negated
        or clause.tense == "past"
        or re.match(r"^(?:me|him|her|them|you|my)\b", clause.rest)
    ):
        return []
    found: list[Candidate] = []
    if re.match(r"^(?:others|people|everyone|someone|myself)\b", clause.rest):
        return []
    school = (
        values.organisation(match["where"])
        if match["where"] and re.search(r" at (?:the )?[A-ZÄÖÜ]", clause.rest)
        else ""
    )
    found += fact(clause, "employer", school, f"works at {school}", "work") if school else []
    for part in values.listed(match["what"]):
        what = values.topic(part)
        found += fact(clause, "teaches", what, f"teaches {what}", "work", many=True) if what else []
    return found


def drops_out(clause: Clause) -> list[Candidate]:
    """Read "dropped out of uni"."""
    if clause.negated or clause.tense not in ("past", "perfect") or not re.match(r"^out\b", clause.rest):
        return []
    present = replace(clause, tense="present")
    return [
        *fact(present, "university", "-", "goes to university", "study", effect="ends"),
        *fact(present, "studies", "-", "studies that", "study", effect="ends"),
    ]


def at_school(clause: Clause) -> list[Candidate]:
    """Read "is at Lindenschule", "started P3 at Allan's Primary", "is in Year 2 at St Anne's Primary"."""
    match = re.search(r"(?:^|\s)(?:at|bei) (?P<v>[A-ZÄÖÜ][\w' .-]*)$", values.cut(clause.rest))
    if not match or clause.subject.kind != "person" or clause.negated or not SCHOOL.search(match["v"]):
        return []
    if clause.tense == "past" and clause.verb == "be":
        return []
    where = values.organisation(match["v"])
    attribute = "university" if re.search(r"\b(?:Uni|University|College)\b", where) else "school"
    return (
        fact(replace(clause, tense="present"), attribute, where, f"goes to {where}", "study") if where else []
    )


RULES = {
    "be": [at_school, in_grade],
    "start": [at_school],
    "move": [in_grade],
    "study": [studies],
    "major": [studies],
    "go": [attends],
    "attend": [attends],
    "graduate": [graduates],
    "have": [degree],
    "teach": [teaches],
    "drop": [drops_out],
}
