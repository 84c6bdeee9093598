"""A fact's times, and its sentence."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from agents.memory.extraction.model import Candidate, Clause

_EVENTS = frozenset(
    "move start begin join buy get switch change migrate upgrade marry graduate decide become adopt sell "
    "leave quit resign lose retire "
    "turn give replace swap trade separate break split divorce die pass relocate settle stop purchase "
    "build crash go bear grow transfer subscribe sign drop cut enrol enroll downgrade cancel find "
    "put hire book".split()
)
_IRREGULAR = {
    "is": "was",
    "has": "had",
    "goes": "went",
    "drives": "drove",
    "speaks": "spoke",
    "teaches": "taught",
    "takes": "took",
    "runs": "ran",
    "rides": "rode",
    "sings": "sang",
    "comes": "came",
    "has,": "had,",
}


def times_of(candidate: Candidate, clause: Clause | None, at: float) -> tuple[float, float | None] | None:
    """Return from when and until when a candidate holds; None when it says nothing about a known time."""
    if candidate.valid_from is not None or clause is None or candidate.kind == "plan":
        return candidate.valid_from if candidate.valid_from is not None else at, candidate.valid_to
    when = clause.when
    if any(
        phrase.casefold() in candidate.value.casefold() for phrase in (*when.phrases, *when.recurring)
    ) or (candidate.value and candidate.value.casefold() in when.phrase.casefold()):
        return at, None  # the time is what is said, not when it began: "the deadline is 3 May"
    if candidate.effect == "ends":
        start = when.start if when.start is not None else when.until
        return (start if start is not None else at), None
    if candidate.kind == "date" or (
        candidate.attribute.rpartition(".")[2]
        in (
            "birthplace",
            "hometown",
            "origin",
            "name",
        )
        and not (clause.verb in ("marry", "get") and candidate.attribute.startswith(("spouse", "partner")))
    ):
        return at, None
    if clause.verb in _EVENTS or (clause.verb == "take" and clause.rest.startswith("up ")):
        is_ahead = clause.tense == "present" and clause.when.future
        future = clause.tense == "future" or clause.progressive or is_ahead
        if future and when.start is None:
            return None
        start = when.start if when.start is not None else at
        if not future and start > at:
            start = at
        return start, when.until
    if clause.tense == "past" or clause.used_to:
        start = when.since if when.since is not None else when.point[0] if when.point else 0.0
        end = when.until if when.until is not None else when.point[1] if when.point else at
        return start, min(end, at)
    if clause.tense == "future":
        return (when.start, when.until) if when.start is not None else None
    if when.since is not None:
        return when.since, when.until
    if when.point and when.point[0] > at:
        return when.point[0], when.until
    return at, when.until


def sentence_of(
    candidate: Candidate, valid_from: float, valid_to: float | None, at: float, zone: tzinfo
) -> str:
    """Return a candidate as one sentence that stands alone."""
    if candidate.is_sentence:
        text = candidate.text
        return f"No longer: {text}" if candidate.effect == "ends" else text
    label = candidate.subject.label
    label = label[:1].upper() + label[1:]
    text = candidate.text
    if candidate.effect == "ends":
        return f"{label} no longer {text}."
    if valid_to is not None and valid_to <= at and candidate.kind != "plan":
        return f"{label} {_past(text)}."
    if valid_from > at and candidate.kind != "plan":
        day = datetime.fromtimestamp(valid_from, zone).strftime("%d %B %Y").lstrip("0")
        return (
            f"From {day} on, {label[:1].lower() + label[1:] if label.startswith('The ') else label} {text}."
        )
    return f"{label} {text}."


def _past(text: str) -> str:
    verb, space, rest = text.partition(" ")
    if verb in _IRREGULAR:
        return _IRREGULAR[verb] + space + rest
    stem = re.sub(r"ies$", "y", verb) if verb.endswith("ies") else verb[:-1] if verb.endswith("s") else verb
    past = (
        f"{stem}d"
        if stem.endswith("e")
        else re.sub(r"y$", "ie", stem) + "d"
        if re.search(r"[^aeiou]y$", stem)
        else f"{stem}ed"
    )
    return past + space + rest
