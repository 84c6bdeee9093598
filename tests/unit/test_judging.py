"""What a judge of sentences changes about what is learned."""

from __future__ import annotations

import array
import logging
from datetime import UTC, datetime

import pytest

from agents.embedder import adapters
from agents.memory.extraction import extract, judging
from agents.memory.extraction.judging import Spoken, Weights, texts_to_judge
from agents.memory.judging import Judges
from schemas.chat import Turn
from schemas.documents import Passage
from schemas.memory import Fact

AT = datetime(2025, 4, 1, 10, tzinfo=UTC).timestamp()


def turn(text: str, answer: str = "a1", role: str = "user", at: float = AT, **more) -> Turn:
    return Turn(conversation="c1", answer=answer, role=role, text=text, at=at, **more)


def learned(*turns: Turn, odds: float, known: tuple[Fact, ...] = ()) -> list[Fact]:
    return extract(turns, judge=lambda spoken: odds, known=known)


def test_a_rule_is_not_believed_in_an_unlikely_sentence():
    """What rules find is dropped where the judge says that nothing is stated."""
    said = turn("I like cheating.")
    assert [fact.attribute for fact in extract([said])] == ["likes:cheating"]
    assert learned(said, odds=-4.0) == []


def test_half_of_a_sentence_is_not_believed():
    """A rule that took a part of what was said, and no name, leaves it to the statement."""
    facts = learned(turn("I own three flats in the same house, and live on the top floor myself."), odds=4.0)
    assert [fact.attribute.partition(":")[0] for fact in facts] == ["statement"]


def test_what_rules_do_not_understand_is_kept_as_it_was_said():
    """A very likely statement is a fact: with its words, less sure than what rules read."""
    said = turn("Chickpeas give me cramps btw.")
    assert extract([said]) == []
    (fact,) = learned(said, odds=4.0)
    assert fact.value == fact.quote == "Chickpeas give me cramps btw."
    assert fact.text == "The owner said: “Chickpeas give me cramps btw.”"
    assert fact.attribute.startswith("statement:")
    assert fact.confidence < 0.8
    assert (fact.answer, fact.conversation, fact.effect) == ("a1", "c1", "states")
    assert learned(said, odds=1.0) == []


def test_what_is_had_is_kept_by_its_name_and_ends_by_it():
    """A likely "I have X" that no rule knows is a possession, so that what becomes of X ends it."""
    facts = learned(turn("I have braces.", "a1"), turn("My braces came off today!", "a2"), odds=4.0)
    assert [(fact.attribute, fact.effect) for fact in facts[:2]] == [
        ("owns:braces", "states"),
        ("owns:braces", "ends"),
    ]


@pytest.mark.parametrize("text", ["Ich bin gerade in Gotha bei meiner Tante.", "Wir sind heute in Ulm."])
def test_where_somebody_is_just_now_is_not_kept(text):
    """A stay that passes is no fact, however likely it seemed."""
    assert learned(turn(text), odds=20.0) == []


def test_half_a_number_is_no_fact():
    """A comma within a number divides no enumeration."""
    facts = learned(turn("We use about 3,200 kWh a year."), odds=4.0)
    assert [fact.attribute.partition(":")[0] for fact in facts] == ["statement"]


def test_a_correction_of_what_is_known_is_believed_however_short():
    """Its few words seem unlikely by themselves."""
    said = turn("My phone number is 0170 222.", "a1"), turn("Sorry, I meant 0170 223.", "a2")
    facts = extract(said, judge=lambda spoken: 4.0 if "number" in spoken.text else -2.0)
    assert [(fact.value, fact.effect) for fact in facts] == [("0170 222", "states"), ("0170 223", "corrects")]


def test_what_rules_understood_is_not_kept_twice():
    """A sentence of which they took up everything has no statement beside its facts."""
    facts = learned(turn("My sister is called Anna."), odds=6.0)
    assert [(fact.attribute.partition(":")[0], fact.value) for fact in facts] == [("sister.name", "Anna")]


def test_the_identity_does_not_depend_on_how_likely_it_was():
    """The same words give the same identities, whatever the odds above the threshold."""
    said = turn("Chickpeas give me cramps btw. My INR target is 2.5 to 3.5.")
    assert [fact.id for fact in learned(said, odds=3.5)] == [fact.id for fact in learned(said, odds=9.0)]


@pytest.mark.parametrize(
    "text",
    [
        'My sister texted: "Chickpeas give me cramps since March."',
        "> Chickpeas give me cramps since March.",
        "Translate this: Chickpeas give me cramps since March.",
        "Write a story in which chickpeas give me cramps since March.",
        "My doctor said chickpeas give me cramps since March.",
        "```\nchickpeas give me cramps\n```",
        "My password is chickpea-cramps-2025.",
    ],
)
def test_nothing_of_a_quote_is_kept_however_likely(text):
    """What guards rules guards statements: no quote, task, fiction, report, code or secret is one."""
    assert learned(turn(text), odds=20.0) == []


def test_nothing_recalled_is_kept_however_likely():
    """What was shown or answered in the conversation is no news, also in other words."""
    passage = Passage(id="p1", path="club.md", text="The cashier is Markus Thiel, the fee 12 euros a month.")
    answer = turn("See the page.", "a1", role="assistant", passages=(passage,))
    assert learned(answer, turn("So Markus Thiel is the cashier, fee 12 euros.", "a2"), odds=20.0) == []


def test_a_statement_ends_when_what_it_says_is_replaced():
    """A newer value of what rules understood ends the statement that has the old one."""
    before = turn("I live in Bonn, five minutes from the Rhine, and cycle everywhere.", "a1")
    after = turn("I moved to Kiel.", "a2", at=AT + 86_400)
    facts = learned(before, after, odds=5.0)
    statements = [fact for fact in facts if fact.attribute.startswith("statement:")]
    assert [(fact.answer, fact.effect) for fact in statements] == [("a1", "states"), ("a2", "ends")]


def test_weights_survive_their_file(tmp_path):
    """They are written without pickle and judge the same."""
    signs = [((at * 37) % 11 - 5) / 10 for at in range(len(judging.signs(Spoken("", ""))))]
    weights = Weights("some-model", -0.5, [0.4, -2.0, 1.5], signs)
    file = tmp_path / "judge.npz"
    weights.save(file, {"examples": 1})
    loaded = judging.load(file)
    assert loaded is not None
    assert loaded.model == "some-model"
    vectors = {"I keep bees.": [0.6, 0.0, 0.8]}
    spoken = Spoken("I keep bees.", "I keep bees.")
    assert loaded.judge(vectors)(spoken) == pytest.approx(weights.judge(vectors)(spoken), abs=1e-4)


def test_the_shipped_weights_say_which_model_they_belong_to():
    """They and their adapter are for the embedding model that KARAIS ships with, and as many as it needs."""
    weights = judging.load()
    assert weights is not None
    assert weights.model == adapters.load("statement").model == "all-minilm-l6-v2"
    vectors = {"I keep bees.": [0.05] * 384}
    assert -50 < weights.judge(vectors)(Spoken("I keep bees.", "I keep bees.")) < 50


async def test_only_new_sentences_are_embedded():
    """Earlier turns are context again and again, and embedded once; what was forgotten is kept nowhere."""
    asked: list[str] = []

    async def embed(texts):
        asked.extend(texts)
        return array.array("f", [0.05] * 384 * len(texts)).tobytes()

    judges = Judges("all-minilm-l6-v2", embed)
    first, second = turn("I keep bees.", "a1"), turn("They sleep. It is cold.", "a2")
    assert await judges.of([first]) is not None
    assert await judges.of([first, second]) is not None
    assert asked == ["I keep bees.", "They sleep.", "It is cold."]
    judges.forget()
    await judges.of([first])
    assert asked[3:] == ["I keep bees."]


async def test_without_weights_for_the_model_rules_are_alone(caplog):
    """Another embedding model makes no judge, asks for no vectors, and is said once."""

    async def embed(texts):
        raise AssertionError("nothing is to be embedded")

    judges = Judges("another-model", embed)
    with caplog.at_level(logging.WARNING):
        assert await judges.of([turn("I keep bees.")]) is None
        assert await judges.of([turn("I keep bees.")]) is None
    assert caplog.text.count("by rules alone") == 1


async def test_vectors_of_another_size_make_no_judge(caplog):
    """A model of the same name whose vectors the weights do not fit is another model."""

    async def embed(texts):
        return array.array("f", [0.1] * 64 * len(texts)).tobytes()

    judges = Judges("all-minilm-l6-v2", embed)
    with caplog.at_level(logging.WARNING):
        assert await judges.of([turn("I keep bees.")]) is None
        assert await judges.of([turn("I keep ants.")]) is None
    assert caplog.text.count("by rules alone") == 1


async def test_a_failing_embedder_is_not_taken_for_an_answer():
    """What embedding raises is raised, so that learning is tried again."""

    async def embed(texts):
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        await Judges("all-minilm-l6-v2", embed).of([turn("I keep bees.")])


def test_only_the_users_own_words_are_judged():
    """Answers and quotes are not embedded."""
    turns = [turn("You keep bees.", role="assistant"), turn('I keep bees. He said "I keep ants".', "a2")]
    assert texts_to_judge(turns)[0] == "I keep bees."
    assert not any("ants" in text for text in texts_to_judge(turns))
