"""What a check of `karais doctor` found."""

from __future__ import annotations

from msgspec import Struct


class Finding(Struct, frozen=True, kw_only=True):
    """What one check found."""

    check: str
    ok: bool
    text: str
    """What is so, or what is wrong and where."""
    mend: str = ""
    """How to mend it; empty when nothing is wrong."""


def fine(check: str, text: str) -> Finding:
    """Return a finding with which nothing is wrong."""
    return Finding(check=check.replace("_", " "), ok=True, text=text)


def wrong(check: str, text: str, mend: str) -> Finding:
    """Return a finding of something wrong, and how to mend it."""
    return Finding(check=check.replace("_", " "), ok=False, text=text, mend=mend[:1].upper() + mend[1:])
