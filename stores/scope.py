"""Which passages a search may see: whose project, which kinds, from which time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from schemas.base import GLOBAL, HOME
from schemas.errors import KaraisError
from schemas.failure import Code


class Scope(Struct, frozen=True, kw_only=True):
    """The rows that one search may return; nothing outside it is ever read for an answer."""

    project: str = HOME
    with_global: bool = False
    """Also rows of the project ``global``."""
    kinds: tuple[str, ...] = ()
    """Only passages of these kinds (document, turn, fact); none means all."""
    after: float | None = None
    """Only what is from this moment on: seconds since the epoch."""
    before: float | None = None
    """Only what is from before this moment: seconds since the epoch."""
    as_of: float | None = None
    """Only what was there at this moment; facts are left to their book, as an old one may be learned late."""

    def where(self) -> str:
        """Return the filter as LanceDB takes it.

        Raises KaraisError with ``invalid`` when a name is no plain token or a
        time is no number: nothing else comes into a filter.
        """
        projects = dict.fromkeys((self.project, GLOBAL) if self.with_global else (self.project,))
        parts = [among("project", tuple(projects))]
        if self.kinds:
            parts.append(among("kind", self.kinds))
        if self.after is not None:
            parts.append(f"at >= {_seconds(self.after)}")
        if self.before is not None:
            parts.append(f"at < {_seconds(self.before)}")
        if self.as_of is not None:
            parts.append(f"(kind = 'fact' OR at <= {_seconds(self.as_of)})")
        return " AND ".join(parts)

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row with project, kind and at is one that ``where`` lets through."""
        if row["project"] != self.project and not (self.with_global and row["project"] == GLOBAL):
            return False
        if self.kinds and row["kind"] not in self.kinds:
            return False
        if self.as_of is not None and row["kind"] != "fact" and row["at"] > round(self.as_of, 6):
            return False
        return (self.after is None or row["at"] >= round(self.after, 6)) and (
            self.before is None or row["at"] < round(self.before, 6)
        )


def among(column: str, values: tuple[str, ...]) -> str:
    """Return the filter for rows that have one of these values in a column."""
    if len(values) == 1:
        return f"{column} = '{plain(values[0])}'"
    return f"{column} IN ({', '.join(repr(plain(value)) for value in values)})"


def plain(value: str) -> str:
    """Return a value that cannot leave its quotes in a filter: identities and names are plain tokens."""
    if not re.fullmatch(r"[\w.:-]{1,200}", value, re.ASCII):
        raise KaraisError(f"{value[:80]!r} is no identity.", code=Code.INVALID)
    return value


def _seconds(moment: float) -> str:
    if not math.isfinite(moment):
        raise KaraisError(f"{moment!r} is no moment in seconds since the epoch.", code=Code.INVALID)
    return f"{float(moment):.6f}"
