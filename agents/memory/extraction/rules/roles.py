"""What somebody is by profession, leads, or runs."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact, name_of, with_article
from agents.memory.extraction.rules.people import described
from agents.memory.extraction.subjects import is_name


def is_job(clause: Clause) -> list[Candidate]:
    """Read "be a software developer", "be teacher", "be retired", "be self-employed"."""
    if not clause.subject.is_human or (clause.negated and not clause.ended):
        return []
    if (
        clause.subject.kind == "person"
        and not clause.subject.is_known
        and not re.match(r"^(?:a|an) ", clause.rest)
    ):
        return []
    rest = clause.rest
    is_play = re.search(
        r"\b(?:on tv|in (?:a|my) (?:former|past) life|at heart|in disguise|in the (?:film|series))",
        rest,
        re.I,
    )
    if is_play or re.match(r"(?:today|tonight)\b", clause.when.phrase, re.IGNORECASE):
        return []
    state = re.match(
        r"^(?:now |a |an )?(?P<v>retired(?: \w+)?|self-employed|unemployed|freelance\w*(?: \w+)?|on "
        r"parental leave|on maternity leave|out of work|jobless)\b",
        rest,
        re.I,
    )
    title = state["v"] if state else ""
    if title and " " in title and not values.job(title):
        title = title.split()[0] if title.lower().startswith(("retired", "freelance")) else title
    student = re.match(
        r"^(?:a |an )?(?P<v>(?:\w+ )?(?:student|pupil|apprentice))(?: of| in)? ?(?P<what>(?!at\b)[\w ]*?)"
        r"(?: at (?P<where>.+))?$",
        rest,
        re.I,
    )
    if student and not title:
        found = fact(clause, "job", student["v"].strip(), f"is {with_article(student['v'].strip())}", "study")
        where = values.organisation(student["where"]) if student["where"] else ""
        return found + (fact(clause, "university", where, f"studies at {where}", "study") if where else [])
    if not title:
        title = values.job(rest)
    if not title:
        return []
    found = fact(clause, "job", title, f"is {with_article(title)}" if not state else f"is {title}", "work")
    found += described(clause, rest)
    at = re.search(r"\b(?:at|for|with|bei) (?P<v>.+)$", rest)
    employer = values.organisation(at["v"]) if at and not state else ""
    if employer:
        found += fact(clause, "employer", employer, f"works at {employer}", "work")
    return found


def reports(clause: Clause) -> list[Candidate]:
    """Read "report to Karen Holt"."""
    match = re.match(r"^to (?P<v>[A-ZÄÖÜ][\w'.-]+(?: [A-ZÄÖÜ][\w'-]+)?)", clause.rest)
    if (
        not match
        or clause.negated
        or clause.tense not in ("present", "perfect")
        or clause.subject.kind != "owner"
    ):
        return []
    boss = replace(clause.subject, path="boss", label="The owner's boss", kind="person")
    return name_of(boss, match["v"]) if is_name(match["v"]) else []


def retires(clause: Clause) -> list[Candidate]:
    """Read "retired in 2020"."""
    if clause.negated or clause.tense not in ("past", "perfect") or not clause.subject.is_known:
        return []
    return fact(replace(clause, tense="present"), "job", "retired", "is retired", "work")


def becomes(clause: Clause) -> list[Candidate]:
    """Read "became a head nurse", "got promoted to team lead"."""
    rest = clause.rest
    promoted = re.match(r"^(?:been )?promoted (?:to|as) (?P<v>.+)$", rest)
    title = (
        values.job(promoted["v"], is_certain=True)
        if promoted
        else values.job(rest)
        if clause.verb == "become"
        else ""
    )
    if not title or clause.negated or not clause.subject.is_human or clause.tense == "future":
        return []
    return fact(replace(clause, tense="present"), "job", title, f"is {with_article(title)}", "work")


def runs_business(clause: Clause) -> list[Candidate]:
    """Read "run a small bakery in Ulm", "own a restaurant"."""
    match = re.match(
        r"^(?:my own |our own |a |an |the )(?P<v>(?:[\w-]+ ){0,2}(?:business|company|shop|"
        r"store|bakery|restaurant|cafe|café|studio|practice|agency|"
        r"startup|start-up|hotel|farm|bookshop|salon|pharmacy|workshop|podcast|blog|bar|pub|"
        r"gallery)\b.*)$",
        clause.rest,
        re.I,
    )
    if not match or clause.negated or not clause.subject.is_human:
        return []
    what = re.sub(r" (?:with|together|and|since|for) .*$", "", values.cut(match["v"]))
    return fact(clause, "business", what, f"runs a {what}", "work")


def job_at(clause: Clause) -> list[Candidate]:
    """Read "is a NOUN at Bosch", in German "ist Bratscher im Staatsorchester", "bin Lehrling bei Miele"."""
    if not clause.subject.is_human or clause.negated or clause.tense not in ("present", "perfect"):
        return []
    pattern = (
        r"^(?P<job>[A-ZÄÖÜ][\wäöüß-]+) (?P<p>at|in|bei) (?P<v>[A-ZÄÖÜ].+)$"
        if clause.language == "de"
        else (r"^(?:an?|the) (?P<job>[\w -]{3,35}?) (?P<p>at|for|with) (?P<v>(?:the )?[A-ZÄÖÜ][\w&.' -]*)$")
    )
    match = re.match(pattern, clause.rest.split(", ")[0])
    if not match or not clause.subject.is_known:
        return []
    if re.search(
        r"\b(?:member|fan|student|pupil|patient|customer|guest|client|meeting|regular|problem|lot|bit|"
        r"Urlaub|Mitglied|Fan|Kunde|Rente|Besuch)\b",
        match["job"],
    ):
        return []
    where = values.organisation(match["v"])
    is_firm = where and (
        match["p"] != "in"
        or re.search(
            r"(?:orchester|theater|klinik|werk|amt|hotel|schule|bank|haus|verein|museum|labor)", where, re.I
        )
    )
    title = values.job(match["job"], is_certain=True)
    if not is_firm or not title:
        return []
    return [
        *fact(clause, "job", title, f"is {with_article(title)}", "work"),
        *fact(clause, "employer", where, f"works at {where}", "work"),
    ]


def leads(clause: Clause) -> list[Candidate]:
    """Read "lead the data platform team at Northwind", "run marketing at Acme"."""
    match = re.match(
        r"^(?P<what>(?:the |our |a |die |das |den )?[\w /-]{3,40}?) (?:at|for|bei|"
        r"am) (?P<v>[A-ZÄÖÜ][\w&.' -]*)(?:,.*)?$",
        clause.rest,
    )
    if (
        not match
        or clause.negated
        or not clause.subject.is_human
        or clause.tense not in ("present", "perfect")
    ):
        return []
    where, what = values.organisation(match["v"]), values.bare(match["what"])
    if not where or not re.search(
        r"[A-ZÄÖÜ]\w+$"
        if clause.language == "de"
        else r"\b(?:team|department|group|project|marketing|sales|engineering|hr|operations|product|design|"
        r"office|unit)\b",
        what,
        re.I,
    ):
        return []
    return [
        *fact(clause, "employer", where, f"works at {where}", "work"),
        *fact(clause, "leads", what, f"leads the {what}", "work", many=True),
    ]


RULES = {
    "be": [job_at, is_job, becomes],
    "get": [becomes],
    "become": [becomes],
    "report": [reports],
    "retire": [retires],
    "lead": [leads],
    "manage": [leads],
    "run": [runs_business, leads],
    "own": [runs_business],
}
