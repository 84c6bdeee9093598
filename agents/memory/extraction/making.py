"""Facts of what was stated, changed and corrected in a turn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import msgspec

from agents.memory.extraction import render
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.sentences import Sentence
from agents.memory.extraction.transitions import Change
from schemas.chat import Turn
from schemas.memory import Fact

_CHANGE_CONFIDENCE = 0.85


def identity(turn: Turn, subject: str, attribute: str, value: str) -> str:
    """Return the identity of a statement in a turn: 32 hex digits."""
    parts = (turn.project, turn.conversation, turn.answer, subject, attribute, value)
    text = "\x1f".join(" ".join(part.casefold().split()) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def stated(
    turn: Turn, sentence: Sentence, candidates: Sequence[Candidate], clause: Clause | None, zone: tzinfo
) -> list[Fact]:
    """Return the facts of what rules found in a sentence, or in a clause of it, with the times it names."""
    found = []
    for candidate in candidates:
        times = render.times_of(candidate, clause, turn.at)
        if times is None:
            continue
        start, end = times
        value = f"{candidate.effect}{candidate.value}"
        found.append(
            Fact(
                id=identity(turn, candidate.subject.name, candidate.attribute, value),
                text=render.sentence_of(candidate, start, end, turn.at, zone),
                subject=candidate.subject.name,
                attribute=candidate.attribute,
                value="" if candidate.value == "-" else candidate.value,
                kind=candidate.kind,
                effect=candidate.effect,
                confidence=candidate.confidence,
                valid_from=start,
                valid_to=end,
                **_source(turn, sentence),
            )
        )
    return found


def changed(turn: Turn, sentence: Sentence, change: Change, start: float, end: float | None) -> Fact:
    """Return the next version of a fact that a sentence ends or replaces."""
    old = change.fact
    return msgspec.structs.replace(
        old,
        id=identity(turn, old.subject, change.attribute, f"{change.effect}{change.value}"),
        text=f"No longer: {old.text}" if change.effect == "ends" else change.text,
        attribute=change.attribute,
        value=change.value,
        effect=change.effect,
        confidence=_CHANGE_CONFIDENCE,
        valid_from=start,
        valid_to=end,
        superseded_by="",
        **_source(turn, sentence),
    )


def corrected(turn: Turn, sentence: Sentence, wrong: Fact, value: str) -> Fact:
    """Return what holds instead of a fact that was never true, in the same slot."""
    is_said = wrong.value in wrong.text
    return msgspec.structs.replace(
        wrong,
        id=identity(turn, wrong.subject, wrong.attribute, value),
        text=wrong.text.replace(wrong.value, value) if is_said else f"{wrong.text} Rather: {value}.",
        value=value,
        effect="corrects",
        **_source(turn, sentence),
    )


def _source(turn: Turn, sentence: Sentence) -> dict[str, Any]:
    """Return the fields of a fact that say where it comes from."""
    return {
        "at": turn.at,
        "conversation": turn.conversation,
        "answer": turn.answer,
        "quote": sentence.quote,
        "project": turn.project,
    }
