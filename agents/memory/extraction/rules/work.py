"""Jobs, employers, studies, schools."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact, name_of
from agents.memory.extraction.rules.people import described
from agents.memory.extraction.subjects import is_name

_AS = re.compile(r"\b(?:as|als) (?P<v>.+)$", re.IGNORECASE)
_AT = re.compile(r"(?:^|\s)(?:at|for|bei) (?P<v>(?:(?! as | als ).)+)", re.IGNORECASE)


_SCHOOL = re.compile(
    r"(?:\b(?:School|Primary|Elementary|Academy|High|Grammar|College|University|Uni|Kindergarten|Nursery|"
    r"Kita|Preschool|"
    r"Gymnasium)\b|schule|gymnasium|kindergarten)", re.I)  # fmt: skip


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
            found += fact(clause, "job", title, f"works as {_a(title)}", "work")
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


def is_job(clause: Clause) -> list[Candidate]:
    """Read "be a software developer", "be teacher", "be retired", "be self-employed"."""
    if clause.subject.kind not in ("owner", "person") or (clause.negated and not clause.ended):
        return []
    if (
        clause.subject.kind == "person"
        and not clause.subject.is_known
        and not re.match(r"^(?:a|an) ", clause.rest)
    ):
        return []
    rest = clause.rest
    is_play = re.search(r"\b(?:on tv|in (?:a|my) (?:former|past) life|at heart|in disguise|in the (?:film|series))", rest, re.I)
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
        found = fact(clause, "job", student["v"].strip(), f"is {_a(student['v'].strip())}", "study")
        where = values.organisation(student["where"]) if student["where"] else ""
        return found + (fact(clause, "university", where, f"studies at {where}", "study") if where else [])
    if not title:
        title = values.job(rest)
    if not title:
        return []
    found = fact(clause, "job", title, f"is {_a(title)}" if not state else f"is {title}", "work")
    found += described(clause, rest)
    at = re.search(r"\b(?:at|for|with|bei) (?P<v>.+)$", rest)
    employer = values.organisation(at["v"]) if at and not state else ""
    if employer:
        found += fact(clause, "employer", employer, f"works at {employer}", "work")
    return found


_GERMAN_FIRMS = re.compile(
    r"^(?:at|bei) (?:[A-ZÄÖÜ]{2,5}|Post|Bahn|Feuerwehr|Polizei|Telekom|Caritas|Bundeswehr|Gemeinde)$"
)


def is_with(clause: Clause) -> list[Candidate]:
    """Read "be with Bosch" since a day, "be at Zalando", "be employed by the city of Ulm"."""
    if clause.subject.kind not in ("owner", "person") or (clause.negated and not clause.ended):
        return []
    rest, _, behind = re.sub(r" now\b", "", clause.rest).partition(", ")
    if clause.used_to and (was := re.match(r"^(?:at|with|bei) (?P<v>[A-ZÄÖÜ][\w&.-]*(?: [A-ZÄÖÜ][\w&.-]*)*)$", rest)):
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
        *(fact(clause, "job", title, f"is {_a(title)}", "work") if where and title else []),
    ]


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
    if (
        not match
        or clause.negated
        or clause.subject.kind not in ("owner", "person")
        or clause.tense == "future"
    ):
        return []
    where = values.organisation(match["where"]) if match["where"] else ""
    what = match["what"] or match["first"]
    title = values.job(what, is_certain=True) if what else ""
    return [
        *(fact(clause, "employer", where, f"works at {where}", "work") if where else []),
        *(fact(clause, "job", title, f"works as {_a(title)}", "work") if title else []),
    ]


def studies(clause: Clause) -> list[Candidate]:
    """Read "study medicine in Bonn", "study computer science at RWTH Aachen"."""
    if clause.negated or clause.subject.kind not in ("owner", "person"):
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
    if (
        clause.negated
        or clause.subject.kind not in ("owner", "person")
        or clause.tense not in ("present", "perfect")
    ):
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


def starts(clause: Clause) -> list[Candidate]:
    """Read "start a new job at Telekom", "be starting at SAP", "join Google as an engineer"."""
    if clause.negated or clause.subject.kind not in ("owner", "person"):
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
        if re.search(r" (?:for (?:lunch|dinner|breakfast|drinks|coffee|an?\b)|on (?:the|a)\b)", match["where"]):
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
    if where and _SCHOOL.search(where) and not title_words:
        present = replace(clause, tense="present") if clause.tense in ("past", "perfect") else clause
        attribute = "university" if re.search(r"\b(?:Uni|University|College)\b", where) else "school"
        found += fact(present, attribute, where, f"goes to {where}", "study")
    elif where and (re.search(r"[A-ZÄÖÜ]", where) or re.search(r"\bjob|position|stelle|work", rest)):
        found += fact(clause, "employer", where, f"works at {where}", "work")
    title = values.job(match["what"], is_certain=True) if match["what"] else ""
    if title:
        found += fact(clause, "job", title, f"works as {_a(title)}", "work")
    return found


def leaves(clause: Clause) -> list[Candidate]:
    """Read "quit my job at Bosch", "left Siemens", "be laid off"."""
    if clause.negated or clause.subject.kind not in ("owner", "person"):
        return []
    is_job = re.match(r"^(?:my|the|his|her) (?:job|position) (?:at|with|for|bei) ", clause.rest)
    match = re.match(
        r"^(?:at |bei |from )?(?P<v>(?:the )?[A-ZÄÖÜ\d][\w&.'-]*(?: (?:of |the |& |and )?[A-ZÄÖÜ][\w&.'-]*){0,4})"
        r"(?:,? (?:after|because|to (?:join|work|start|become|be|go|study|found)|for (?:good|[A-ZÄÖÜ]|an?(?:other)? "
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


def dismissed(clause: Clause) -> list[Candidate]:
    """Read "was laid off", "got fired"."""
    if (
        clause.negated
        or clause.subject.kind not in ("owner", "person")
        or clause.tense not in ("past", "perfect")
    ):
        return []
    if not re.match(r"^(?:been )?(?:laid off|made redundant|fired|let go|sacked|dismissed)\b", clause.rest):
        return []
    present = replace(clause, tense="present")
    return fact(present, "employer", "-", "has that job", "work", effect="ends")


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
    if (
        not title
        or clause.negated
        or clause.subject.kind not in ("owner", "person")
        or clause.tense == "future"
    ):
        return []
    return fact(replace(clause, tense="present"), "job", title, f"is {_a(title)}", "work")


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
    if not match or clause.negated or clause.subject.kind not in ("owner", "person"):
        return []
    what = re.sub(r" (?:with|together|and|since|for) .*$", "", values.cut(match["v"]))
    return fact(clause, "business", what, f"runs a {what}", "work")


def _a(title: str) -> str:
    return f"{'an' if title[:1].casefold() in 'aeiou' else 'a'} {title}"


def transferred(clause: Clause) -> list[Candidate]:
    """Read "transferred to the Munich office", "was moved to the Leeds branch"."""
    match = re.match(
        r"^(?:been |transferred |moved |posted |relocated )*to (?:the |our |"
        r"my )?(?P<v>[A-ZÄÖÜ][\w -]*? (?:office|branch|site|department|"
        r"team|plant|store|location))$",
        values.cut(clause.rest),
    )
    is_done = clause.tense in ("past", "perfect")
    if not match or clause.negated or clause.subject.kind not in ("owner", "person") or not is_done:
        return []
    where = match["v"]
    return fact(replace(clause, tense="present"), "workplace", where, f"works at the {where}", "work")


def drops_out(clause: Clause) -> list[Candidate]:
    """Read "dropped out of uni"."""
    if clause.negated or clause.tense not in ("past", "perfect") or not re.match(r"^out\b", clause.rest):
        return []
    present = replace(clause, tense="present")
    return [
        *fact(present, "university", "-", "goes to university", "study", effect="ends"),
        *fact(present, "studies", "-", "studies that", "study", effect="ends"),
    ]


def job_at(clause: Clause) -> list[Candidate]:
    """Read "is a NOUN at Bosch", in German "ist Bratscher im Staatsorchester", "bin Lehrling bei Miele"."""
    if (
        clause.subject.kind not in ("owner", "person")
        or clause.negated
        or clause.tense not in ("present", "perfect")
    ):
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
        *fact(clause, "job", title, f"is {_a(title)}", "work"),
        *fact(clause, "employer", where, f"works at {where}", "work"),
    ]


def at_school(clause: Clause) -> list[Candidate]:
    """Read "is at Lindenschule", "started P3 at Allan's Primary", "is in Year 2 at St Anne's Primary"."""
    match = re.search(r"(?:^|\s)(?:at|bei) (?P<v>[A-ZÄÖÜ][\w' .-]*)$", values.cut(clause.rest))
    if not match or clause.subject.kind != "person" or clause.negated or not _SCHOOL.search(match["v"]):
        return []
    if clause.tense == "past" and clause.verb == "be":
        return []
    where = values.organisation(match["v"])
    attribute = "university" if re.search(r"\b(?:Uni|University|College)\b", where) else "school"
    return (
        fact(replace(clause, tense="present"), attribute, where, f"goes to {where}", "study") if where else []
    )


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
        or clause.subject.kind not in ("owner", "person")
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


def finds(clause: Clause) -> list[Candidate]:
    """Read "found a job, at Costco", "found work as a waiter"."""
    rest = re.sub(r"^(?:a (?:new )?)?(?:job|work|position),? ", "a job ", clause.rest)
    if clause.tense not in ("past", "perfect") or not rest.startswith("a job "):
        return []
    return part_time(replace(clause, rest=rest, tense="present"))


RULES = {
    "lead": [leads],
    "manage": [leads],
    "find": [finds],
    "transfer": [transferred],
    "move": [in_grade, transferred],
    "drop": [drops_out],
    "work": [works],
    "report": [reports],
    "be": [transferred, dismissed, at_school, in_grade, job_at, is_job, becomes, is_with],
    "get": [transferred, dismissed, becomes, starts, part_time],
    "become": [becomes],
    "study": [studies],
    "major": [studies],
    "go": [attends],
    "attend": [attends],
    "start": [at_school, starts],
    "begin": [starts],
    "join": [starts],
    "quit": [leaves],
    "leave": [leaves],
    "resign": [leaves],
    "lose": [leaves],
    "graduate": [graduates],
    "have": [part_time, degree],
    "teach": [teaches],
    "retire": [retires],
    "run": [runs_business, leads],
    "own": [runs_business],
}
