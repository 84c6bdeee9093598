"""Passages in the prompts of others, see ``completion``; those of KARAIS itself are ``context``'s."""

from __future__ import annotations

from collections.abc import Sequence

from agents.brain.context.frames import INSTRUCTIONS, shown_passage, with_passages
from schemas.documents import Passage

__all__ = ["CHARS_PER_TOKEN", "INSTRUCTIONS", "fitting", "with_passages"]

CHARS_PER_TOKEN = 3.5
"""A cautious estimate for English text; the engine counts exactly and has the last word."""
PASSAGE_SHARE = 0.4
"""Share of the prompt that passages may take, at most."""
PASSAGE_TOKENS = 700
"""What passages may take in all: on a CPU each hundred tokens of prompt cost a fraction of a second."""


def fitting(passages: Sequence[Passage], room: float) -> list[Passage]:
    """Return the best passages that find room in a prompt, where ``room`` characters are left."""
    used: list[Passage] = []
    share = min(room * PASSAGE_SHARE, PASSAGE_TOKENS * CHARS_PER_TOKEN)
    for passage in passages:
        share -= len(shown_passage(len(used) + 1, passage)) + 2
        if share < 0:
            break
        used.append(passage)
    return used
