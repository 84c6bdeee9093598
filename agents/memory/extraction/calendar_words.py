"""Words for dates in English and German, and the days that they mean."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = (
    ("january", "jan", "januar", "jänner"),
    ("february", "feb", "februar", "feber"),
    ("march", "mar", "märz"),
    ("april", "apr"),
    ("may", "mai"),
    ("june", "jun", "juni"),
    ("july", "jul", "juli"),
    ("august", "aug"),
    ("september", "sep", "sept"),
    ("october", "oct", "oktober", "okt"),
    ("november", "nov"),
    ("december", "dec", "dezember", "dez"),
)
_WEEKDAYS = (
    ("monday", "montag"),
    ("tuesday", "dienstag"),
    ("wednesday", "mittwoch"),
    ("thursday", "donnerstag"),
    ("friday", "freitag"),
    ("saturday", "samstag", "sonnabend"),
    ("sunday", "sonntag"),
)
_NUMBERS = {
    word: number
    for number, both in enumerate(
        (
            ("zero", "null"),
            ("one", "ein", "eine", "einem", "einer", "a", "an"),
            ("two", "zwei"),
            ("three", "drei"),
            ("four", "vier"),
            ("five", "fünf"),
            ("six", "sechs"),
            ("seven", "sieben"),
            ("eight", "acht"),
            ("nine", "neun"),
            ("ten", "zehn"),
            ("eleven", "elf"),
            ("twelve", "zwölf"),
        )
    )
    for word in both
} | {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "a few": 3, "a couple of": 2, "ein paar": 3}
_FEASTS = {
    "christmas": (12, 25),
    "weihnachten": (12, 25),
    "christmas eve": (12, 24),
    "new year": (1, 1),
    "new year's": (1, 1),
    "new year's eve": (12, 31),
    "silvester": (12, 31),
    "halloween": (10, 31),
}
_SEASONS = {
    "spring": 3,
    "frühling": 3,
    "summer": 6,
    "sommer": 6,
    "autumn": 9,
    "fall": 9,
    "herbst": 9,
    "winter": 12,
}

ALSO_VERBS = frozenset({"may", "march", "mar", "sep", "mai"})
"""Months that are other words when they stand alone in small letters."""

_MONTH_OF = {word: i + 1 for i, both in enumerate(_MONTHS) for word in both}
_WEEKDAY_OF = {word: i for i, both in enumerate(_WEEKDAYS) for word in both}


def _alternatives(names: object) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))  # type: ignore[call-overload]


MONTH = rf"(?:{_alternatives(_MONTH_OF)})\b\.?"
WEEKDAY = rf"(?:{_alternatives(_WEEKDAY_OF)})"
WEEKDAYS_PLURAL = rf"(?:{_alternatives(d + 's' for d in _WEEKDAY_OF)})"
NUMBER = rf"(?:\d{{1,3}}|{_alternatives(n for n in _NUMBERS if ' ' not in n and len(n) > 2)})"
UNIT = (
    r"(?:days?|weeks?|months?|years?|yrs?|wks?|decades?|tagen?|tage|wochen?|monaten?|monate?|jahren?|jahre?)"
)
_YEAR = r"(?:19\d\d|20\d\d)"
_LAST = r"(?:last|past|this past|letzte[nrms]?|vorige[nrms]?|vergangene[nrms]?)"
_NEXT = r"(?:next|this coming|coming|nächste[nrms]?|kommende[nrms]?)"
_THIS = r"(?:this|diese[nrms]?)"
_PERIOD = (
    rf"(?:week|month|year|weekend|woche|monat|jahr|wochenende|{WEEKDAY}|{MONTH}|{_alternatives(_SEASONS)})"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th|\.)?"
DATE = (
    rf"(?:(?:{WEEKDAY},? (?:the |den |dem )?)?{_DAY} (?:of )?{MONTH}(?:,? {_YEAR})?"
    rf"|(?:{WEEKDAY},? )?{MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?![\d:])(?:,? {_YEAR})?"
    r"|\d{4}-\d\d-\d\d|\d{1,2}\.\d{1,2}\.(?:\d{4}|\d\d)?|\d{1,2}/\d{1,2}/\d{4}"
    rf"|(?:{_LAST}|{_NEXT}|{_THIS}) {_PERIOD}"
    rf"|(?:the )?(?:beginning|start|middle|end) of (?:{MONTH}|{_YEAR}|(?:{_LAST}|{_NEXT}|{_THIS}) (?:month|"
    rf"year|week))(?: {_YEAR})?"
    rf"|(?:early |late |mid-? ?)?{MONTH}(?: {_YEAR})?|(?:{_alternatives(_SEASONS)})(?: of)? {_YEAR}|"
    rf"{_YEAR}(?!\d| ?(?:euros?|€))"
    rf"|{WEEKDAY}|the day before yesterday|the day after tomorrow|yesterday|today|tomorrow|tonight"
    rf"|vorgestern|übermorgen|gestern|heute|(?<!jeden )(?<!guten )morgen(?= |$)"
    rf"|easter|ostern|pfingsten|{_alternatives(_FEASTS)})"
)
_AT_MONTH = re.compile(rf"(?:early |late |mid-? ?)?(?P<m>{MONTH})(?: (?P<y>{_YEAR}))?", re.IGNORECASE)
_AT_DAY = re.compile(
    rf"(?:{WEEKDAY},? (?:the |den |dem )?)?(?:(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)? (?:of )?(?P<m>{MONTH})"
    rf"|(?P<m2>{MONTH}) (?:the )?(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?)(?:,? (?P<y>{_YEAR}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Span:
    """A stretch of time; ``end`` is not part of it."""

    start: datetime
    end: datetime


def back(said: datetime, count: str, unit: str, direction: int = -1) -> datetime:
    """Return the midnight that lies ``count`` units before (or, with 1, behind) the day of ``said``."""
    text = count.lower()
    number = int(text) if text.isdigit() else _NUMBERS.get(text, 1)
    day = said.replace(hour=0, minute=0, second=0, microsecond=0)
    unit = unit.lower()
    if unit.startswith(("day", "tag")):
        return day + timedelta(days=direction * number)
    if unit.startswith(("week", "woche")):
        return day + timedelta(weeks=direction * number)
    months = {"m": 1, "y": 12, "j": 12, "d": 120}[unit[0]]
    return _months(day, direction * number * months)


def same_month(day: str, other: Span) -> Span:
    """Return the day of ``other``'s month."""
    wanted = int(day.strip("."))
    start = other.start.replace(day=min(wanted, calendar.monthrange(other.start.year, other.start.month)[1]))
    return Span(start, start + timedelta(days=1))


def resolve(phrase: str, said: datetime, *, future: bool) -> Span | None:
    """Return the days that a phrase means; where it is open, the last or (``future``) the next ones.

    None when it names no possible day, such as 31 June.
    """
    text = " ".join(phrase.lower().split()).rstrip(",")
    day = said.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return _dated(text, day, future) or _relative(text, day, future)
    except (ValueError, OverflowError):
        return None


def _dated(text: str, day: datetime, future: bool) -> Span | None:
    if found := _AT_DAY.fullmatch(text):
        month = _MONTH_OF[(found["m"] or found["m2"]).rstrip(".")]
        return _day_span(day, month, int(found["d"] or found["d2"]), found["y"], future)
    if found := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text):
        return _one(day.replace(year=int(found[1]), month=int(found[2]), day=int(found[3])))
    if found := re.fullmatch(r"(\d{1,2})[./](\d{1,2})[./](\d{4}|\d\d)?", text):
        year = found[3] and (found[3] if len(found[3]) == 4 else f"20{found[3]}")
        return _day_span(day, int(found[2]), int(found[1]), year, future)
    if found := re.fullmatch(r"(?:the )?(beginning|start|middle|end) of (.+)", text):
        whole = resolve(found[2], day, future=future)
        if not whole:
            return None
        third = (whole.end - whole.start) / 3
        part = {"beginning": 0, "start": 0, "middle": 1, "end": 2}[found[1]]
        return Span(whole.start + part * third, whole.start + (part + 1) * third)
    if found := _AT_MONTH.fullmatch(text):
        month = _MONTH_OF[found["m"].rstrip(".")]
        start = day.replace(month=month, day=1)
        if found["y"]:
            start = start.replace(year=int(found["y"]))
        elif future and month < day.month:
            start = start.replace(year=day.year + 1)
        elif not future and month > day.month:
            start = start.replace(year=day.year - 1)
        return Span(start, _months(start, 1))
    if found := re.fullmatch(r"\d{4}", text):
        start = day.replace(year=int(text), month=1, day=1)
        return Span(start, _months(start, 12))
    if found := re.fullmatch(r"(\w+)(?: of)? (\d{4})", text):
        start = day.replace(year=int(found[2]), month=_SEASONS.get(found[1], 1), day=1)
        return Span(start, _months(start, 3))
    return None


def _relative(text: str, day: datetime, future: bool) -> Span | None:
    fixed = {
        "today": 0,
        "heute": 0,
        "tonight": 0,
        "yesterday": -1,
        "gestern": -1,
        "tomorrow": 1,
        "morgen": 1,
        "the day before yesterday": -2,
        "vorgestern": -2,
        "the day after tomorrow": 2,
        "übermorgen": 2,
    }
    if text in fixed:
        return _one(day + timedelta(days=fixed[text]))
    if text in _FEASTS:
        month, number = _FEASTS[text]
        return _day_span(day, month, number, None, future)
    if text in ("easter", "ostern", "pfingsten"):
        return _easter(day, future, 49 if text == "pfingsten" else 0)
    if text in _WEEKDAY_OF:
        ahead = (_WEEKDAY_OF[text] - day.weekday()) % 7
        return _one(day + timedelta(days=ahead if future else (ahead - 7 if ahead else 0)))
    which, _, period = text.rpartition(" ")
    step = 0 if re.fullmatch(_THIS, which) else -1 if re.fullmatch(_LAST, which) else 1
    if period in _WEEKDAY_OF:
        ahead = (_WEEKDAY_OF[period] - day.weekday()) % 7
        return _one(day + timedelta(days=(ahead or 7) if step >= 0 else (ahead - 7)))
    if period in ("week", "woche", "weekend", "wochenende"):
        monday = day - timedelta(days=day.weekday()) + timedelta(weeks=step)
        first = monday + timedelta(days=5 if period.startswith(("weekend", "wochenende")) else 0)
        return Span(first, monday + timedelta(days=7))
    if period in ("month", "monat"):
        start = _months(day.replace(day=1), step)
        return Span(start, _months(start, 1))
    if period in ("year", "jahr"):
        start = day.replace(month=1, day=1, year=day.year + step)
        return Span(start, _months(start, 12))
    if period.rstrip(".") in _MONTH_OF or period in _SEASONS:
        month = _MONTH_OF.get(period.rstrip("."), _SEASONS.get(period, 1))
        start = day.replace(month=month, day=1)
        if step < 0 and start > day:
            start = _months(start, -12)
        if step > 0 and start <= day:
            start = _months(start, 12)
        return Span(start, _months(start, 1 if period.rstrip(".") in _MONTH_OF else 3))
    return None


def _day_span(day: datetime, month: int, number: int, year: str | None, future: bool) -> Span:
    start = day.replace(month=month, day=number, year=int(year) if year else day.year)
    if not year and future and start < day:
        start = start.replace(year=day.year + 1)
    elif not year and not future and start > day:
        start = start.replace(year=day.year - 1)
    return _one(start)


def _one(day: datetime) -> Span:
    return Span(day, day + timedelta(days=1))


def _months(day: datetime, months: int) -> datetime:
    total = day.year * 12 + day.month - 1 + months
    year, month = divmod(total, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return day.replace(year=year, month=month + 1, day=min(day.day, last))


def _easter(day: datetime, future: bool, later: int) -> Span:
    for year in (day.year, day.year + (1 if future else -1)):
        month, number = _easter_sunday(year)
        sunday = day.replace(year=year, month=month, day=number) + timedelta(days=later)
        if (sunday >= day) == future:
            break
    return _one(sunday)


def _easter_sunday(year: int) -> tuple[int, int]:
    """Return month and day of Easter in the Gregorian calendar, by the anonymous algorithm of 1876."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * el) // 433
    month = (h + el - 7 * m + 90) // 25
    return month, (h + el - 7 * m + 33 * month + 19) % 32
