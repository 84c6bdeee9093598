"""Employers: where somebody works, begins to, and stops."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact, with_article
from agents.memory.extraction.rules.studies import SCHOOL

_AS = re.compile(r"\b(?:as|als) (?P<v>.+)$", re.IGNORECASE)
_AT = re.compile(r"(?:^|\s)(?:at|for|bei) (?P<v>(?:(?! as | als ).)+)", re.IGNORECASE)


def works(clause: Clause) -> list[Candidate]:
    """Read "work at Bosch as a driver", "work for air france", "work in a warehouse"."""
    if clause.subject.kind not in ("owner", "person", "pet") or (clause.negated and not clause.ended):
        return []
    rest = re.sub(
        r"^(?:full[- ]time|part[- ]time|freelance|remotely|hard|shifts?|there|nights)\b,? ?",
        "",
        clause.rest,
        flags=re.I,
    )
    found: list[Candidate] = []
    if re.match(r"^on (?:an?|the|my|our|this|some)\b", rest, re.IGNORECASE):
        return []  # "on a report for Siemens"
    if match := _AT.search(rest):
        employer = values.organisation(match["v"])
        if employer:
            found += fact(clause, "employer", employer, f"works at {employer}", "work")
    if match := _AS.search(rest):
        title = values.job(match["v"], is_certain=True)
        if title:
            found += fact(clause, "job", title, f"works as {with_article(title)}", "work")
    if office := re.match(
        r"^(?:in|at|from|out of) (?:the |our )(?P<v>[A-ZÄÖÜ][\w -]*? (?:office|branch|site|plant|store))$",
        values.cut(rest),
    ):
        return fact(clause, "workplace", office["v"], f"works at the {office['v']}", "work")
    if match := re.match(r"^(?:in|on) (?P<v>.+)$", rest, re.IGNORECASE):
        where = values.cut(re.split(r" (?:as|als|at|for|bei) ", match["v"])[0])
        if (
            where
            and not values.is_vague(where)
            and len(where.split()) <= 6
            and not re.match(
                r"^(?:progress|it|a new|my|the (?:garden|kitchen)|\w+ing\b|this|that|an? (?:project|paper|"
                r"report|presentation|book))",
                where,
                re.I,
            )
            and rest.lower().startswith("in")
        ):
            found += fact(clause, "field", values.bare(where), f"works in {where}", "work")
    return found


_GERMAN_FIRMS = re.compile(
    r"^(?:at|bei) (?:[A-ZÄÖÜ]{2,5}|Post|Bahn|Feuerwehr|Polizei|Telekom|Caritas|Bundeswehr|Gemeinde)$"
)


def is_with(clause: Clause) -> list[Candidate]:
    """Read "be with Bosch" since a day, "be at Zalando", "be employed by the city of Ulm"."""
    if not clause.subject.is_human or (clause.negated and not clause.ended):
        return []
    rest, _, behind = re.sub(r" now\b", "", clause.rest).partition(", ")
    if clause.used_to and (
        was := re.match(r"^(?:at|with|bei) (?P<v>[A-ZÄÖÜ][\w&.-]*(?: [A-ZÄÖÜ][\w&.-]*)*)$", rest)
    ):
        return fact(clause, "employer", was["v"], f"works at {was['v']}", "work")
    match = re.match(
        r"^(?:employed (?:at|by|with)|with|bei) (?P<v>(?:the )?[A-ZÄÖÜ][\w&.' -]*)$", rest
    ) or re.match(r"^at (?P<v>(?:the )?[A-ZÄÖÜ][\w&.' -]*)$", rest)
    is_plain = not clause.rest.startswith("employed")
    is_firm = clause.language == "de" and re.match(_GERMAN_FIRMS, clause.rest)
    if (
        not match
        or (is_plain and clause.when.since is None and not clause.ended and not is_firm)
        or clause.when.future
    ):
        return []
    where = values.organisation(match["v"])
    title = values.job(behind.split(", ")[0]) if behind else ""
    return [
        *(fact(clause, "employer", where, f"works at {where}", "work") if where else []),
        *(fact(clause, "job", title, f"is {with_article(title)}", "work") if where and title else []),
    ]


def part_time(clause: Clause) -> list[Candidate]:
    """Read "have a part-time job at a bakery", "have a job as a waiter"."""
    match = re.match(
        r"^(?:an? |my )?(?:new |second |side |full[- ]time |part[- ]time |summer |holiday |student |"
        r"mini ?)*job,? "
        r"(?:as (?P<first>(?:(?! at | with | for ).)+?) )?"
        r"(?:(?:at|with|in|for|bei) (?P<where>(?:(?! as ).)+?))?(?: ?\bas (?P<what>.+))?$",
        clause.rest,
        re.I,
    )
    if not match or clause.negated or not clause.subject.is_human or clause.tense == "future":
        return []
    where = values.organisation(match["where"]) if match["where"] else ""
    what = match["what"] or match["first"]
    title = values.job(what, is_certain=True) if what else ""
    return [
        *(fact(clause, "employer", where, f"works at {where}", "work") if where else []),
        *(fact(clause, "job", title, f"works as {with_article(title)}", "work") if title else []),
    ]


def starts(clause: Clause) -> list[Candidate]:
    """Read "start a new job at Telekom", "be starting at SAP", "join Google as an engineer"."""
    if clause.negated or not clause.subject.is_human:
        return []
    rest = clause.rest
    is_join = clause.verb == "join"
    if clause.verb == "get" and not re.match(
        r"^(?:(?:a|my|the|an|hired|einen?) )?(?:(?:new|neuen|first) )?(?:job|position|role|internship|"
        r"apprenticeship)?\b.*(?:at|with|by|bei) ",
        rest,
    ):
        return []
    rest = re.sub(r"^hired (?:by|at)", "at", rest)
    match = re.match(
        r"^(?:(?:a|my|the|an|to|this|einen?) )?(?:(?:new|neuen?|first|current) )?(?:job|position|role|work|"
        r"working|apprenticeship|internship|traineeship|"
        r"arbeiten|stelle|ausbildung)?,? ?(?:(?:at|with|for|bei) (?P<where>(?:(?! as ).)+?))?(?: ?\b(?:as|"
        r"als) (?P<what>.+))?$",
        rest,
        re.IGNORECASE,
    )
    if is_join:
        match = re.match(r"^(?P<where>(?:(?! as ).)+?)(?: as (?P<what>.+))?$", rest)
        if not match or not re.match(r"(?:the )?[A-ZÄÖÜ]", match["where"]):
            return []
        if re.search(
            r" (?:for (?:lunch|dinner|breakfast|drinks|coffee|an?\b)|on (?:the|a)\b)", match["where"]
        ):
            return []
    if turned := re.match(
        r"^(?:(?:a|my|the) (?:new )?(?:job|role|position) )?as (?P<what>(?:(?! at | with | for ).)+?) (?:at|"
        r"with|for) (?P<where>.+)$",
        rest,
    ):
        match = turned
    if not match:
        return []
    found: list[Candidate] = []
    where = values.organisation(match["where"]) if match["where"] else ""
    title_words = re.search(r"\b(?:job|position|role|work|working|as|als|stelle|teaching)\b", rest)
    if where and SCHOOL.search(where) and not title_words:
        present = replace(clause, tense="present") if clause.tense in ("past", "perfect") else clause
        attribute = "university" if re.search(r"\b(?:Uni|University|College)\b", where) else "school"
        found += fact(present, attribute, where, f"goes to {where}", "study")
    elif where and (re.search(r"[A-ZÄÖÜ]", where) or re.search(r"\bjob|position|stelle|work", rest)):
        found += fact(clause, "employer", where, f"works at {where}", "work")
    title = values.job(match["what"], is_certain=True) if match["what"] else ""
    if title:
        found += fact(clause, "job", title, f"works as {with_article(title)}", "work")
    return found


def leaves(clause: Clause) -> list[Candidate]:
    """Read "quit my job at Bosch", "left Siemens", "be laid off"."""
    if clause.negated or not clause.subject.is_human:
        return []
    is_job = re.match(r"^(?:my|the|his|her) (?:job|position) (?:at|with|for|bei) ", clause.rest)
    match = re.match(
        r"^(?:at |bei |from )?(?P<v>(?:the )?[A-ZÄÖÜ\d][\w&.'-]*(?: (?:of |the |& |"
        r"and )?[A-ZÄÖÜ][\w&.'-]*){0,4})"
        r"(?:,? (?:after|because|to (?:join|work|start|become|be|go|study|found)|for (?:good|[A-ZÄÖÜ]|"
        r"an?(?:other)? "
        r"(?:new |better )?(?:job|company|firm|start-?up))|and|as|when|without|over)\b.*)?$",
        clause.rest[is_job.end() :] if is_job else clause.rest,
    )
    is_of_work = bool(is_job) or clause.verb in ("quit", "resign", "leave")
    is_for_once = re.match(r"(?:at|around|gegen|about|um) \d", clause.when.phrase) or re.search(
        r"\bfor (?:an?|one|two|three|\d+) (?:hour|day|week|month)s?\b", clause.full_rest
    )
    if match and is_of_work and not is_for_once:
        where = values.organisation(match["v"])
        return fact(clause, "employer", where, f"works at {where}", "work", effect="ends") if where else []
    if clause.verb in ("quit", "resign", "lose") and re.match(
        r"^(?:my|his|her|the|meinen) job\b", clause.rest
    ):
        return fact(clause, "employer", "-", "has that job", "work", effect="ends")
    return []


def dismissed(clause: Clause) -> list[Candidate]:
    """Read "was laid off", "got fired"."""
    if clause.negated or not clause.subject.is_human or clause.tense not in ("past", "perfect"):
        return []
    if not re.match(r"^(?:been )?(?:laid off|made redundant|fired|let go|sacked|dismissed)\b", clause.rest):
        return []
    present = replace(clause, tense="present")
    return fact(present, "employer", "-", "has that job", "work", effect="ends")


def transferred(clause: Clause) -> list[Candidate]:
    """Read "transferred to the Munich office", "was moved to the Leeds branch"."""
    match = re.match(
        r"^(?:been |transferred |moved |posted |relocated )*to (?:the |our |"
        r"my )?(?P<v>[A-ZÄÖÜ][\w -]*? (?:office|branch|site|department|"
        r"team|plant|store|location))$",
        values.cut(clause.rest),
    )
    is_done = clause.tense in ("past", "perfect")
    if not match or clause.negated or not clause.subject.is_human or not is_done:
        return []
    where = match["v"]
    return fact(replace(clause, tense="present"), "workplace", where, f"works at the {where}", "work")


def finds(clause: Clause) -> list[Candidate]:
    """Read "found a job, at Costco", "found work as a waiter"."""
    rest = re.sub(r"^(?:a (?:new )?)?(?:job|work|position),? ", "a job ", clause.rest)
    if clause.tense not in ("past", "perfect") or not rest.startswith("a job "):
        return []
    return part_time(replace(clause, rest=rest, tense="present"))


RULES = {
    "find": [finds],
    "transfer": [transferred],
    "move": [transferred],
    "work": [works],
    "be": [transferred, dismissed, is_with],
    "get": [transferred, dismissed, starts, part_time],
    "start": [starts],
    "begin": [starts],
    "join": [starts],
    "quit": [leaves],
    "leave": [leaves],
    "resign": [leaves],
    "lose": [leaves],
    "have": [part_time],
}
