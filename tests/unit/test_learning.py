"""What memory keeps of a turn."""

from __future__ import annotations

import pytest

from agents.memory.learning import own_words
from schemas.chat import Turn


@pytest.mark.parametrize(
    ("role", "text", "kept"),
    [
        ("assistant", "It is blue.\n\nFrom your files:\n\n> The hull is blue.\n> So it is.", "It is blue."),
        ("assistant", "> Only a quotation.", ""),
        ("assistant", "Two things: a and b.\nThree > two.", "Two things: a and b.\nThree > two."),
        ("assistant", "Before.\n> Quoted.\nAfter.", "Before.\nAfter."),
        ("user", "> They wrote this.\nIs it true?", "> They wrote this.\nIs it true?"),
    ],
)
def test_an_answers_quotations_are_not_kept_a_second_time(role: str, text: str, kept: str) -> None:
    """What an answer quotes is in its source already; what the user wrote stays as it is."""
    turn = Turn(conversation="c", answer="a", role=role, text=text, at=1.0)
    assert own_words(turn) == kept
