"""Expressions of time in a clause: since when, until when, when, how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from agents.memory.extraction import calendar_words as words
from agents.memory.extraction.calendar_words import Span


@dataclass
class When:
    """What a clause says about time, in seconds since the epoch."""

    since: float | None = None
    until: float | None = None
    point: tuple[float, float] | None = None
    """Start and end of the day, month or year named."""
    phrases: list[str] = field(default_factory=list)
    """Dates and times of day, as they were said."""
    recurring: list[str] = field(default_factory=list)
    """``every Tuesday``, ``on Wednesdays``, ``twice a week``: as they were said."""
    future: bool = False

    @property
    def start(self) -> float | None:
        """When what is said begins, if that was said."""
        if self.since is not None:
            return self.since
        return self.point[0] if self.point else None

    @property
    def phrase(self) -> str:
        """All that was said about when, in one string."""
        return " ".join([*self.recurring, *self.phrases])


_RECURRING = re.compile(
    r"\b(?:(?:every|each|jeden|jede|jedes) (?:other |second |single |zweiten? )?"
    rf"(?:day|night|morning|evening|afternoon|week|weekend|month|year|{words.WEEKDAY}|tag|nacht|morgen|"
    rf"abend|woche|wochenende|monat|jahr)"
    rf"(?: (?:morning|evening|night|afternoon)s?)?(?:(?: and |, | und )(?:{words.WEEKDAY}))*"
    rf"|(?:on |am )?(?:{words.WEEKDAYS_PLURAL})(?:(?:,? and |, |,? und )(?:{words.WEEKDAYS_PLURAL}))*(?: "
    rf"(?:morning|evening|night|afternoon)s)?"
    rf"|(?:on |am )?{words.WEEKDAY} (?:mornings|evenings|nights|"
    rf"afternoons)(?: and {words.WEEKDAY} (?:mornings|evenings|nights|afternoons))?"
    r"|(?:on|at|am) (?:the )?(?:weekends|wochenenden?|weekdays)"
    r"|(?:once|twice|(?:two|three|four|five|\d+) times|einmal|zweimal|dreimal|viermal) (?:a|per|in der|im|"
    r"die|pro|am) "
    r"(?:day|week|month|year|tag|woche|monat|jahr)"
    r"|(?:daily|weekly|täglich|wöchentlich))"
    r"(?: (?:at|um|from|ab|von) \d{1,2}(?:[:.]\d\d)?(?: ?(?:am|pm|uhr|o'clock))?"
    r"(?: (?:to|until|bis) \d{1,2}(?:[:.]\d\d)?(?: ?(?:am|pm|uhr))?)?)?",
    re.IGNORECASE,
)
_CLOCK = (
    r"(?:at|um|from|von|ab|around|gegen) (?:\d{1,2}[:.]\d\d(?: ?(?:am|pm|a\.m\.|p\.m\.|uhr))?"
    r"|\d{1,2} ?(?:am|pm|a\.m\.|p\.m\.|uhr|o'clock)|\d{1,2}(?![\w.%€$/-])|noon|midnight|mittags?)"
    r"(?: (?:to|until|till|bis) \d{1,2}(?:[:.]\d\d)?(?: ?(?:am|pm|uhr))?)?"
)
_CLOCK_ONLY = re.compile(rf"\b{_CLOCK}", re.IGNORECASE)
_SINCE = re.compile(
    rf"\b(?:ever )?(?:since|seit|starting(?: on| from| in)?|as of|as from|effective|from|ab|beginning)(?: "
    rf"the)? (?P<d>{words.DATE})"
    r"(?: on| onwards?| an)?\b",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    rf"\b(?:for|since|seit|for about|for over|for almost|for nearly|for more than|for the (?:last|past))"
    rf" (?:about |over |almost |nearly |around |more than |at least |etwa |über |fast |the (?:last|past) |"
    rf"some )?"
    rf"(?P<n>{words.NUMBER}|a|an|einem|einer) (?P<u>{words.UNIT})\b(?: now)?",
    re.IGNORECASE,
)
_UNTIL = re.compile(
    rf"\b(?:until|till|up to|through|bis(?: zum| zur| ende| anfang)?)(?: the end of)? (?P<d>{words.DATE})\b",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"\b(?:from|between|von|vom|zwischen) (?P<a>{words.DATE}|\d{{1,2}}\.?) (?:to|until|till|and|through|"
    rf"bis(?: zum)?|und) (?P<b>{words.DATE})\b",
    re.IGNORECASE,
)
_AGO = re.compile(
    rf"\b(?:(?P<n>{words.NUMBER}|a|an|a few|a couple of) (?P<u>{words.UNIT}) ago"
    rf"|vor (?P<n2>{words.NUMBER}|einem|einer|ein paar) (?P<u2>{words.UNIT}))\b",
    re.IGNORECASE,
)
_AHEAD = re.compile(
    rf"\bin (?P<n>{words.NUMBER}|a|an|a few|a couple of|einem|einer|ein paar) (?P<u>{words.UNIT})(?:' time)"
    rf"?\b",
    re.IGNORECASE,
)
_POINT = re.compile(
    rf"\b(?:(?:(?:back |early |late |mid )?in|on|at|by|am|im|an|zu|over|around|this coming|the|back on|at "
    rf"the end of|"
    rf"at the beginning of|ende|anfang|mitte)(?: the)? )?(?P<d>{words.DATE})"
    rf"(?: (?:morning|afternoon|evening|night))?(?:,? (?:{_CLOCK}))?(?![\w])",
    re.IGNORECASE,
)


def take_times(clause: str, at: float, zone: tzinfo) -> tuple[str, When]:
    """Return the clause without its expressions of time, and what they say.

    ``at`` is when it was said, in seconds since the epoch; "last week" counts from there.
    """
    said = datetime.fromtimestamp(at, zone)
    when = When()

    def recurring(match: re.Match[str]) -> str:
        when.recurring.append(match[0].strip())
        return " "

    def length(match: re.Match[str]) -> str:
        when.since = words.back(said, match["n"], match["u"]).timestamp()
        when.phrases.append(match[0])
        return " "

    def since(match: re.Match[str]) -> str:
        future = match[0].lower().startswith(("start", "as ", "eff", "ab ", "begin", "from"))
        found = words.resolve(match["d"], said, future=future)
        if not found:
            return match[0]
        when.since = found.start.timestamp()
        when.future = found.start > said
        when.phrases.append(match[0])
        return " "

    def until(match: re.Match[str]) -> str:
        found = words.resolve(match["d"], said, future=not _was(clause))
        if not found:
            return match[0]
        whole = "end of" in match[0].lower() or " ende " in match[0].lower()
        end = found.end if whole or found.end - found.start <= timedelta(days=1) else found.start
        when.until = end.timestamp()
        when.phrases.append(match[0])
        return " "

    def between(match: re.Match[str]) -> str:
        last = words.resolve(match["b"], said, future=not _was(clause))
        first_text = match["a"]
        if last and re.fullmatch(r"\d{1,2}\.?", first_text):
            first: Span | None = words.same_month(first_text, last)
        else:
            first = words.resolve(first_text, said, future=not _was(clause))
        if not first or not last:
            return match[0]
        when.since, when.until = first.start.timestamp(), last.end.timestamp()
        when.future = first.start > said
        when.phrases.append(match[0])
        return " "

    def ago(match: re.Match[str]) -> str:
        moment = words.back(said, match["n"] or match["n2"], match["u"] or match["u2"])
        when.point = (moment.timestamp(), (moment + timedelta(days=1)).timestamp())
        when.phrases.append(match[0])
        return " "

    def ahead(match: re.Match[str]) -> str:
        moment = words.back(said, match["n"], match["u"], direction=1)
        when.point = (moment.timestamp(), (moment + timedelta(days=1)).timestamp())
        when.future = True
        when.phrases.append(match[0])
        return " "

    def point(match: re.Match[str]) -> str:
        preceded = match.string[: match.start()].rstrip().lower()
        if (match[0].islower() and match[0] in words.ALSO_VERBS) or (
            match[0] == "May" and match.start() == 0
        ):
            return match[0]
        if match[0].isdigit() or re.search(r"(?:\ba|\ban|\bthe|'s)$", preceded):
            return match[0]  # a model year ("a 2018 Toyota"), or a name ("the May family")
        found = words.resolve(match["d"], said, future=not _was(clause))
        if not found:
            return match[0]
        when.point = (found.start.timestamp(), found.end.timestamp())
        when.future = found.start > said
        when.phrases.append(match[0].strip())
        return " "

    rest = clause
    for pattern, handle in (
        (_RECURRING, recurring),
        (_LENGTH, length),
        (_RANGE, between),
        (_SINCE, since),
        (_UNTIL, until),
        (_AGO, ago),
        (_AHEAD, ahead),
        (_POINT, point),
    ):
        rest = pattern.sub(handle, rest)

    def clock(match: re.Match[str]) -> str:
        when.phrases.append(match[0])
        return " "

    rest = _CLOCK_ONLY.sub(clock, rest)
    rest = re.sub(r"\s+([,.;!?])", r"\1", " ".join(rest.split()))
    return rest.strip(" ,"), when


def _was(clause: str) -> bool:
    """Say whether the clause speaks of the past, so that "in May" is the last one."""
    return bool(
        re.search(
            r"\b(?:was|were|had|did|used to|\w{2,}ed|bought|sold|left|quit|went|got|met|lost|broke|came|"
            r"began|took|gave"
            r"|bin|habe|haben|war|hatte|wurde|gekauft|gezogen|seit|have|has|since)\b",
            clause,
            re.IGNORECASE,
        )
    ) and not re.search(r"\b(?:will|going to|werde|werden)\b", clause, re.IGNORECASE)
