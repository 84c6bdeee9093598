"""Which passages are worth reading."""

from __future__ import annotations

from stores.feedback import Pool
from stores.ranking import Candidate, rank, related
from stores.terms import terms_of


def candidate(
    name: str, cosine: float | None, text: str = "", *, file: str = "", words: float = 0.0
) -> Candidate:
    row = {
        "id": name, "source": file or name, "kind": "document", "project": "home", "at": 0.0,
        "path": f"{file or name}.md", "number": 0, "text": text,
        "heading": "", "first_line": 1, "last_line": 1, "page": 0,
    }  # fmt: skip
    return Candidate(row, cosine=cosine, words=words)


def test_a_question_about_something_else_gets_nothing():
    """Neither a low cosine nor a shared common word makes a passage related."""
    assert rank("Who won the world cup?", [candidate("a", 0.1, "a cup of tea")], 5) == []


def test_meaning_alone_and_words_alone_can_prove_a_passage_related():
    """Other words for the same, and a rare name that no model knows."""
    near, named = candidate("near", 0.5), candidate("named", 0.05, "ask Grzegorz Brz\u0119czyszczykiewicz")
    assert [p.id for p in rank("how to mend it?", [near], 5)] == ["near"]
    assert [p.id for p in rank("Grzegorz Brz\u0119czyszczykiewicz", [named], 5)] == ["named"]


def test_without_vectors_words_must_do():
    """A degraded search still finds what repeats the question's words, and only that."""
    held = candidate("a", None, "the durable consumer keeps its place", words=3.0)
    other = candidate("b", None, "the garden keeps growing", words=1.0)
    assert [p.id for p in rank("What does a durable consumer keep?", [held, other], 5)] == ["a"]


def covered(query: str, text: str) -> float:
    return float(Pool([text]).coverage(terms_of(query))[0])


def test_words_are_found_by_their_stems_and_in_any_script():
    """Plurals, endings, identifiers with underscores, Chinese by pairs of characters."""
    assert covered("mirrored streams", "A stream is a mirror.") == 1
    assert covered("ack wait", "set ACK_WAIT to 30") == 1
    assert covered("\u6d88\u606f\u961f\u5217", "\u8fd9\u662f\u4e00\u4e2a\u6d88\u606f\u961f\u5217") == 1
    assert covered("art", "the start of a cart") == 0


def test_one_file_does_not_take_all_places():
    """Two passages of a file, then others' turn."""
    many = [candidate(f"a{n}", 0.60, file="a") for n in range(5)]
    others = [candidate(f"b{n}", 0.55, file=f"b{n}") for n in range(3)]
    files = [p.path for p in rank("x", many + others, 5)]
    assert files == ["a.md", "a.md", "b0.md", "b1.md", "b2.md"]


def test_a_file_that_is_clearly_better_may_take_more_places():
    """When nothing else comes near."""
    many = [candidate(f"a{n}", 0.8, file="a") for n in range(4)]
    assert len(rank("x", [*many, candidate("b", 0.5)], 4)) == 4


def test_weak_company_of_a_strong_passage_is_left_out():
    """What barely passes the floor only distracts when something fits well."""
    found = rank("x", [candidate("good", 0.9, "x", words=5.0), candidate("weak", 0.41)], 5)
    assert [p.id for p in found] == ["good"]


def test_scores_are_between_0_and_1():
    """Whatever the cosine's rounding."""
    (passage,) = rank("tea", [candidate("a", 1.0000001, "tea")], 5)
    assert 0 <= passage.score <= 1
    assert not related(candidate("b", -0.2))


def turn(
    name: str, at: float, text: str, cosine: float = 0.3, *, speaker: str = "", path: str = "talk"
) -> Candidate:
    found = candidate(name, cosine, text)
    found.row |= {"kind": "turn", "at": at, "heading": speaker, "path": path}
    return found


def test_an_answer_gains_by_the_question_before_it():
    """The same words, once beside a turn that fits well and once far from any."""
    asked = turn("asked", 0, "Which boat did you buy?", 0.9)
    answer = turn("answer", 10, "The blue wooden thing, for a song.", 0.6)
    alone = turn("alone", 50_000, "The blue wooden thing, for a song.", 0.6)
    others = [turn(f"other{n}", 100_000 * (n + 2), f"Number {n}", 0.41) for n in range(4)]
    found = [p.id for p in rank("boat", [alone, asked, answer, *others], 3)]
    assert found == ["asked", "answer", "alone"]


def test_a_turn_of_another_conversation_at_the_same_time_is_not_beside():
    """Two people talk to KARAIS at once."""
    asked = turn("asked", 0, "Which boat did you buy?", 0.9)
    answer = turn("answer", 10, "The blue wooden thing.", 0.45)
    other = turn("other", 5, "The blue wooden thing.", 0.45, path="elsewhere")
    weak = [turn(f"weak{n}", 100_000 * (n + 2), f"Number {n}", 0.41) for n in range(4)]
    assert [p.id for p in rank("boat", [other, asked, answer, *weak], 2)] == ["asked", "answer"]


def test_a_speaker_whom_the_question_names_is_preferred():
    """Alice's own words come before what Bob says about the same."""
    alice = turn("alice", 0, "I went sailing.", 0.45, speaker="Alice")
    bob = turn("bob", 100_000, "I went sailing.", 0.45, speaker="Bob")
    assert [p.id for p in rank("When did Alice go sailing?", [bob, alice], 2)] == ["alice", "bob"]
    assert [p.id for p in rank("When did Bob go sailing?", [alice, bob], 2)] == ["bob", "alice"]


def test_what_the_best_passages_say_finds_others_like_them():
    """Of two that fit the question alike, the one that shares the words of the best comes first."""
    best = [
        candidate(f"best{n}", 0.8, "a sloop has a mast, a mainsail and a jib", words=4.0) for n in range(3)
    ]
    like = candidate("like", 0.5, "set the mainsail and the jib before the mast bends")
    unlike = candidate("unlike", 0.5, "bread wants flour, water, salt and a hot oven")
    assert [p.id for p in rank("sloop", [unlike, like, *best], 5)][3] == "like"
