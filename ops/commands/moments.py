"""Dates as people type and read them, in the zone of this machine; KARAIS counts seconds since the epoch."""

from __future__ import annotations

import datetime

import typer

EXAMPLE = "2026-05-03 or 2026-05-03T14:30"


def moment_of(text: str, option: str, *, end_of_day: bool = False) -> float | None:
    """Return a date, or a date and time, in seconds since the epoch; None for nothing.

    A date alone stands for its first moment, or with ``end_of_day`` for its last.
    """
    if not text:
        return None
    try:
        if len(text) <= len("2026-05-03"):
            day = datetime.date.fromisoformat(text)
            clock = datetime.time.max if end_of_day else datetime.time.min
            return datetime.datetime.combine(day, clock).timestamp()
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"write a date such as {EXAMPLE}", param_hint=option) from None


def day(seconds: float) -> str:
    """Return a time as its local date: ``2026-05-03``."""
    return _local(seconds).strftime("%Y-%m-%d")


def minute(seconds: float) -> str:
    """Return a time as local date and minute: ``2026-05-03 14:30``."""
    return _local(seconds).strftime("%Y-%m-%d %H:%M")


def _local(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).astimezone()
