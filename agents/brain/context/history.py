"""Which exchanges of a conversation stand in the prompt.

What stood in one prompt stands byte for byte in the next, so that the engine
reads only what is new. When the exchanges outgrow their share, the older half
goes at once, not one each turn: the prompt's beginning changes seldom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.chat import Compacted, Turn

SEAM = 1
"""Tokens that may come on top where texts are joined."""


@dataclass
class Story:
    """The summary of a conversation's beginning; shared by all that is remembered of the conversation."""

    summary: Compacted | None = None
    sequence: int = 0
    """Position of the summary in the log; 0 without one, and of one that is in no log."""
    dropped: bool = False
    """It is no longer as the log has it: nothing may be made from what is known here."""


class Exchange(NamedTuple):
    """A question and its answer; a question alone, when its answer failed."""

    answer: str
    question: str
    reply: str

    @property
    def texts(self) -> tuple[str, str]:
        """Both, as they are counted."""
        return self.question, self.reply


def exchanges(turns: Sequence[Turn], summary: Compacted | None = None) -> list[Exchange]:
    """Return the exchanges that a summary does not stand for, oldest first.

    ``turns`` are a conversation's newest; where they begin behind the
    summary, all of them are returned. An answer without its question is left out.
    """
    last = summary.turns[-1] if summary else ""
    found: list[Exchange] = []
    for turn in reversed(turns):
        if turn.answer == last:
            break
        if turn.role == "assistant":
            found.append(Exchange(turn.answer, "", turn.text.strip() and turn.text))
        elif found and found[-1].answer == turn.answer:
            found[-1] = found[-1]._replace(question=turn.text)
        else:
            found.append(Exchange(turn.answer, turn.text, ""))
    return [exchange for exchange in reversed(found) if exchange.question]


def beginning(costs: Sequence[int], limit: int) -> int:
    """Return the first of the exchanges that stand in the prompt.

    Their costs, in tokens, are at most ``limit`` together. Whenever one more
    exceeds it, exchanges go until half of it is left: so the beginning moves
    in large steps, and always to the same place, whoever looks.
    """
    first = total = 0
    for at, cost in enumerate(costs):
        total += cost
        if total > limit:
            while first <= at and total > limit // 2:
                total -= costs[first]
                first += 1
    return first
