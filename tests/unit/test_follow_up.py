"""Questions that point back are searched with what they point at; others stand for themselves."""

from __future__ import annotations

import pytest

from stores.follow_up import in_context, points_back

FIRST = "Which two boats are in the harbour?"


@pytest.mark.parametrize(
    "query",
    [
        "and on the second one?",
        "Why?",
        "How many?",
        "What about the price?",
        "Is it expensive?",
        "And who owns them?",
        "Does she sail?",
        "What does that mean?",
        "the other one",
        "Und warum?",
    ],
)
def test_a_question_that_points_back_is_searched_with_the_one_before(query):
    """Continuations, pronouns, and words that say nothing alone."""
    assert in_context(query, (FIRST,)) == f"{FIRST}\n{query}"


@pytest.mark.parametrize(
    "query",
    [
        "What is JetStream?",
        "Who is Grzegorz?",
        "How do I configure a durable consumer for a stream?",
        "Where does a server keep its configuration, data and certificates?",
        "\u6d88\u606f\u961f\u5217\u662f\u4ec0\u4e48\uff1f",
        "ack wait",
    ],
)
def test_a_self_contained_question_is_not_disturbed(query):
    """However short it is, and also with a pronoun inside a sentence that says enough."""
    assert in_context(query, (FIRST,)) == query


def test_a_chain_of_continuations_reaches_back_to_what_it_is_about():
    """Not only to the question directly before, which may point back itself; not further than needed."""
    context = ("What is in the garden?", FIRST, "And on the second one?")
    assert in_context("Why?", context) == f"{FIRST}\nAnd on the second one?\nWhy?"


def test_without_context_a_question_stays_as_it_is():
    """There is nothing to add at the start of a conversation."""
    assert points_back("Why?")
    assert in_context("Why?", ()) == "Why?"
