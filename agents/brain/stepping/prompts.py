"""From messages to tokens: the model's template and vocabulary, control tokens in texts made plain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.brain.engine import ChatMessage
    from agents.brain.stepping.vocabulary import Vocabulary


def control_pattern(tokens: Sequence[str]) -> re.Pattern[str] | None:
    """Match the tokens that structure a prompt; None when the model's are not known."""
    words = sorted((t for t in tokens if len(t) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def plain(messages: Sequence[ChatMessage], control: re.Pattern[str] | None) -> list[dict[str, str]]:
    """Return messages as templates take them, control tokens in their text made plain.

    Otherwise a file that contains ``<|im_start|>system`` could speak as the system.
    """
    if control is None:
        return [{"role": m.role, "content": m.content} for m in messages]
    return [{"role": m.role, "content": control.sub(_break_token, m.content)} for m in messages]


def _break_token(match: re.Match[str]) -> str:
    """Put a space behind the first character: ``< |im_end|>`` reads the same and orders nothing."""
    token = match.group()
    return f"{token[0]} {token[1:]}"


class Prompts:
    """Renders and cuts prompts for one model. Can be used by several threads."""

    def __init__(self, template: str, vocabulary: Vocabulary, control: Sequence[str]) -> None:
        self._template = template
        self._vocabulary = vocabulary
        self._control = control_pattern(control)

    def tokens(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return a prompt's tokens. Blocks for a millisecond or so; raises KaraisError as ``render`` does."""
        from stores.weights import templates

        special = self._vocabulary.special
        text = templates.render(
            self._template,
            plain(messages, self._control),
            bos_token=self._vocabulary.text_of(special.begin),
            eos_token=self._vocabulary.text_of(special.ends[0] if special.ends else -1),
        )
        return self._vocabulary.encode(text)

    def measure(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has by itself. Blocks for some milliseconds."""
        control = self._control
        plain_texts = texts if control is None else [control.sub(_break_token, text) for text in texts]
        return [self._vocabulary.count(text) for text in plain_texts]
