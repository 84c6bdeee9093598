"""What a question asks for."""

from __future__ import annotations

import pytest

from agents.brain.questions_kinds import asks_what_was_said


@pytest.mark.parametrize(
    "question",
    [
        "What did you tell me about the boiler?",
        "Which recipe did you suggest last week?",
        "what was your advice on the lease",
        "Did we talk about Lisbon?",
        "Was hast du mir zum Garten vorgeschlagen?",
        "In our last conversation there was a list, what was on it?",
    ],
)
def test_a_question_about_an_earlier_talk_is_known(question):
    """What the model said itself is what is asked for, supported or not."""
    assert asks_what_was_said(question)


@pytest.mark.parametrize(
    "question",
    [
        "Which bolts hold the keel?",
        "Can you tell me when the bins are collected?",
        "When did the plumber say he comes?",
        "What is my sister called?",
        "Wann wird der Müll geholt?",
    ],
)
def test_a_question_about_the_world_is_none(question):
    """It is answered from files and from what the owner said."""
    assert not asks_what_was_said(question)
