"""From turns to facts: the way through guard, sentences and rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from schemas.chat import Turn
from schemas.memory import Fact

_REMEMBER = re.compile(r"^\s*(?:please\s+)?remember(?:\s+that|:)\s+(?P<what>.+)$", re.IGNORECASE)


def extract(turns: Sequence[Turn], *, recalled: Sequence[str] = ()) -> list[Fact]:
    """Return the facts that the user stated in these turns of one conversation, oldest first.

    ``turns`` in their order, answers included: they are the context, facts
    come from the user's turns only, their times are relative to the turn's.
    ``recalled`` are texts that were given to the model or shown in this
    conversation besides those in ``Turn.passages``: what repeats them is no
    fact. The same turns give the same facts with the same identities, so a
    caller may pass earlier turns again and take those whose ``answer`` is new.
    """
    found = []
    for turn in turns:
        match = _REMEMBER.match(turn.text) if turn.role == "user" else None
        if match:
            what = match["what"].strip()
            found.append(
                Fact(
                    id=identity(turn, "owner", "note", what),
                    text=what,
                    subject="owner",
                    attribute=f"note:{what.casefold()}",
                    value=what,
                    kind="note",
                    valid_from=turn.at,
                    at=turn.at,
                    conversation=turn.conversation,
                    answer=turn.answer,
                    quote=what,
                    project=turn.project,
                )
            )
    return found


def identity(turn: Turn, subject: str, attribute: str, value: str) -> str:
    """Return the identity of a statement in a turn: 32 hex digits."""
    parts = (turn.project, turn.conversation, turn.answer, subject, attribute, value)
    text = "\x1f".join(" ".join(part.casefold().split()) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
