"""What the statements about one slot come to: which held when, and which replaced which.

Pure functions over the statements, whatever order they were learned in: an
older statement that is learned later takes its place in the history.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.memory import Fact


@dataclass
class Version:
    """A statement and the time in which it is the one that holds."""

    fact: Fact
    starts: float
    ends: float | None
    holds: bool = True
    """False for what never held: an end, a wrong version, what was said before already."""
    superseded_by: str = ""


def slot_of(fact: Fact) -> str:
    """Return the key of the fact's slot within its project."""
    attribute = normalised(fact.attribute)
    # The contrary of a liking takes its place.
    attribute = attribute.replace("dislikes:", "likes:")
    return f"{normalised(fact.subject)}|{attribute}"


def normalised(text: str) -> str:
    """Return a text for comparing: folded case, single spaces, no punctuation around it."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(" .,;:!?\"'")


def timeline(statements: Sequence[Fact], edits: Mapping[str, str]) -> list[Version]:
    """Return the versions of one slot in the order of their time.

    ``edits`` maps a wrong version's identity to that of the version that the
    user wrote instead. A bounded version leaves a gap behind it: what held
    before does not come back by itself.
    """
    versions = {fact.id: Version(fact, fact.valid_from, fact.valid_to) for fact in statements}
    _replace_wrong(versions, edits)
    for version in versions.values():
        version.ends = _stated_end(version, versions)
    ordered = sorted(versions.values(), key=_order)
    current: Version | None = None
    for version in ordered:
        if not version.holds:
            continue
        if version.fact.effect == "ends":
            version.holds = False
            if current and (not version.fact.value or _same(current, version)):
                _close(current, version)
                current = None
            continue
        if current:
            if _repeats(current, version):
                version.holds = False
                version.superseded_by = current.fact.id
                continue
            _close(current, version)
        current = version
    return ordered


def _order(version: Version) -> tuple[float, bool, float, str]:
    return version.starts, version.fact.origin == "user", version.fact.at, version.fact.id


def _replace_wrong(versions: dict[str, Version], edits: Mapping[str, str]) -> None:
    """Take out what the user or a later sentence put right."""
    for version in versions.values():
        replacement = edits.get(version.fact.id)
        if replacement:
            version.holds = False
            version.superseded_by = replacement
    for version in sorted(versions.values(), key=lambda v: (v.fact.at, v.fact.id)):
        if version.fact.effect != "corrects" or not version.holds:
            continue
        before = [
            other
            for other in versions.values()
            if other.holds
            and other.fact.at <= version.fact.at
            and other is not version
            and other.fact.effect != "ends"
            and not _same(other, version)
            and (other.fact.at, other.fact.id) < (version.fact.at, version.fact.id)
        ]
        wrong = max(before, key=lambda v: (v.fact.at, v.fact.id), default=None)
        if wrong:
            wrong.holds = False
            wrong.superseded_by = version.fact.id
            version.starts = min(version.starts, wrong.starts)


def _stated_end(version: Version, versions: Mapping[str, Version]) -> float | None:
    """Return the end that was said, in this statement or in a later one about the same value."""
    if version.ends is not None or version.fact.effect == "ends":
        return version.ends
    said_later = [
        other.fact.valid_to
        for other in versions.values()
        if other.holds
        and other.fact.valid_to is not None
        and other.fact.valid_to > version.starts
        and other.fact.at > version.fact.at
        and other.starts <= version.starts
        and _same(other, version)
    ]
    return min(said_later, default=None)


def _repeats(current: Version, version: Version) -> bool:
    still_holds = current.ends is None or current.ends > version.starts
    return still_holds and version.fact.valid_to is None and _same(current, version)


def _close(current: Version, by: Version) -> None:
    if current.ends is None or current.ends > by.starts:
        current.ends = by.starts
        current.superseded_by = by.fact.id


def _same(one: Version, other: Version) -> bool:
    if (
        one.fact.value
        and other.fact.value
        and normalised(one.fact.attribute) != normalised(other.fact.attribute)
    ):
        return False  # liking and disliking the same
    return normalised(one.fact.value) == normalised(other.fact.value)
