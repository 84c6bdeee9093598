"""From messages to tokens, by the model's template and vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agents.brain.control_tokens import control_pattern, plain, plain_text

if TYPE_CHECKING:
    from agents.brain.engine import ChatMessage
    from agents.brain.stepping.vocabulary import Vocabulary


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
        return [self._vocabulary.count(plain_text(text, self._control)) for text in texts]
