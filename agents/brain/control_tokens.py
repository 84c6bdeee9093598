"""Control tokens in texts, made plain: a file with ``<|im_start|>system`` must not speak as the system."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.brain.engine import ChatMessage


def control_pattern(tokens: Sequence[str]) -> re.Pattern[str] | None:
    """Match the tokens that structure a prompt; None when the model's are not known."""
    words = sorted((t for t in tokens if len(t) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def plain(messages: Sequence[ChatMessage], control: re.Pattern[str] | None) -> list[dict[str, str]]:
    """Return messages as templates take them, control tokens in their text made plain."""
    return [{"role": m.role, "content": plain_text(m.content, control)} for m in messages]


def plain_text(text: str, control: re.Pattern[str] | None) -> str:
    """Return a text with its control tokens made plain."""
    return text if control is None else control.sub(_break_token, text)


def _break_token(match: re.Match[str]) -> str:
    """Put a space behind the first character: ``< |im_end|>`` reads the same and orders nothing."""
    token = match.group()
    return f"{token[0]} {token[1:]}"
