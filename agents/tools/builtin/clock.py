"""The time now, in any zone, and counting days."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Annotated

from msgspec import Meta, Struct

from agents.tools.builtin.making import make
from agents.tools.tool import Given, NotDoneError, Tool
from schemas.tools import CallTool

When = Annotated[
    str, Meta(max_length=40, description="A date or time, such as 2026-05-31 or 2026-05-31T14:30.")
]
Count = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]


class Clock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``clock``; without any it gives the time now."""

    zone: Annotated[
        str, Meta(max_length=64, description="Time zone, such as Europe/Berlin; empty for the one at home.")
    ] = ""
    start: When = ""
    add_days: Count = 0
    add_hours: Count = 0
    add_minutes: Count = 0
    until: When = ""


def clock() -> Tool:
    """Return the tool."""

    async def run(ask: CallTool, given: Clock) -> Given:
        return Given(tell(given, datetime.datetime.now(datetime.UTC)))

    return make(
        "clock",
        "The date, weekday and time, now or from `start` on: add days, hours or minutes to it, "
        "or count how long it is `until` a date.",
        "none",
        Clock,
        run,
    )


def tell(given: Clock, now: datetime.datetime) -> str:
    """Return what was asked for in words. Raises NotDoneError, naming the argument that is wrong."""
    zone = _zone(given.zone)
    start = _moment(given.start, "start", zone) if given.start else now.astimezone(zone)
    try:
        # Days are the calendar's, hours those of the clock on the wall of time itself.
        moment = start + datetime.timedelta(days=given.add_days)
        span = datetime.timedelta(hours=given.add_hours, minutes=given.add_minutes)
        if span:
            moment = (moment.astimezone(datetime.UTC) + span).astimezone(zone)
        text = _described(moment, given.zone)
    except (OverflowError, ValueError):
        raise NotDoneError("invalid", "The date is out of reach.", field="add_days") from None
    if not given.until:
        return text
    until = _moment(given.until, "until", zone)
    days = (until.date() - moment.date()).days
    seconds = (until - moment).total_seconds()
    sign = "-" if seconds < 0 else ""
    hours, rest = divmod(int(abs(seconds)), 3600)
    return (
        f"From {text} until {_described(until, given.zone)}: {days} calendar days, "
        f"{sign}{hours} h {rest // 60} min."
    )


def _zone(name: str) -> datetime.tzinfo | None:
    """Return a time zone; None is the machine's own."""
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise NotDoneError("invalid", f"There is no time zone {name!r}.", field="zone") from None


def _moment(text: str, field: str, zone: datetime.tzinfo | None) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
        # astimezone gives a time without a zone that of the machine.
        return moment.replace(tzinfo=zone) if zone and moment.tzinfo is None else moment.astimezone(zone)
    except (ValueError, OverflowError, OSError):
        raise NotDoneError("invalid", f"{text!r} is no date such as 2026-05-31.", field=field) from None


def _described(moment: datetime.datetime, zone: str) -> str:
    offset = moment.strftime("%z")
    named = f"{zone}, " if zone else ""
    return f"{moment:%A}, {moment:%Y-%m-%d %H:%M:%S} ({named}UTC{offset[:3]}:{offset[3:5]}), week {moment:%V}"
