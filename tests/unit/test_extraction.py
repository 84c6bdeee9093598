"""What is learned from what a user says, and what must not be."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.memory.extraction import extract
from ops.bench.figures import Report
from ops.bench.memory_quality import IN_CHECKOUT, Score, measure, score_changes, score_dialogues
from schemas.chat import Turn
from schemas.documents import Passage

SCRIPTS = Path(__file__).parents[1] / "memory"
AT = datetime(2025, 4, 1, 10, tzinfo=UTC).timestamp()


def turn(text: str, answer: str = "a1", role: str = "user", at: float = AT, **more) -> Turn:
    return Turn(conversation="c1", answer=answer, role=role, text=text, at=at, **more)


def learned(*texts: str) -> list[tuple[str, str, str]]:
    turns = [turn(text, f"a{number}") for number, text in enumerate(texts)]
    return [(fact.subject, fact.attribute, fact.value) for fact in extract(turns)]


@pytest.mark.parametrize(
    "name",
    [
        *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"),
        *("ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth"),
    ],
)
def test_the_scripted_dialogues_are_learned(name):
    """95 of 100 learned facts were stated, 70 of 100 stated ones are learned, none is from a quote.

    Of the thirteenth and the sixteenth, small talk in which facts are said by the way, 40 of 100.
    """
    score = score_dialogues(SCRIPTS / f"{name}.jsonl", Score())
    assert score.precision >= 0.95, [(text, fact.text) for text, fact in score.wrong]
    assert score.recall >= (0.40 if name in ("thirteenth", "sixteenth") else 0.70), score.missed
    assert score.from_quotes == 0
    assert score.dated == score.dated_right


@pytest.mark.parametrize(
    ("name", "at_least"),
    [("changes", 100), ("changes_second", 100), ("changes_third", 100), ("changes_fourth", 20)],
)
def test_changes_are_right_as_of_every_day(name, at_least):
    """Scripted changes, asked as of days before, between and after them."""
    results = score_changes(SCRIPTS / f"{name}.jsonl")
    assert len(results) >= at_least
    assert all(results)


async def test_the_measurement_reads_the_scripts_of_the_checkout():
    """Without an option it scores tests/memory, and its goals are those of the product."""
    report = Report("recall")
    await measure(report, argparse.Namespace(dialogues=IN_CHECKOUT))
    assert [figure.name for figure in report.figures] == [
        "memory precision",
        "memory recall",
        "facts from quotes or recalled text",
        "right beginnings",
        "right as of a day",
    ]
    assert all(figure.met is not False for figure in report.figures)


def test_a_fact_says_where_it_comes_from():
    """Its quote is a part of the turn, letter for letter."""
    text = "Hi! I'm Paul. By the way, I've been working at BMW since March, it's great."
    name, employer = extract([turn(text)])
    assert (name.value, employer.value) == ("Paul", "BMW")
    assert employer.quote in text
    assert (employer.answer, employer.conversation, employer.project) == ("a1", "c1", "home")
    assert employer.text == "The owner works at BMW."
    assert datetime.fromtimestamp(employer.valid_from, UTC).date().isoformat() == "2025-03-01"


def test_extracting_again_gives_the_same_identities():
    """Also with the turns that came later; the same words in another turn or project are another fact."""
    first, later = turn("I live in Bonn."), turn("I moved to Ulm.", "a2")
    (fact,) = extract([first])
    assert extract([first, later])[0] == fact
    assert extract([turn("I live in Bonn.", "a9")])[0].id != fact.id
    assert extract([turn("I live in Bonn.", project="work")])[0].id != fact.id


def test_nothing_is_learned_from_answers_or_passages():
    """Neither from what the assistant says nor from what repeats a passage that it was given."""
    passage = Passage(id="p-1", path="a.md", text="My doctor is Dr. Sommer and I take aspirin daily.")
    turns = [
        turn("Who is the doctor?"),
        turn("You live in Bonn. I work at Bosch.", "a1", "assistant", passages=(passage,)),
        turn("My doctor is Dr. Sommer and I take aspirin daily.", "a2"),
        turn("I work at Bosch.", "a3"),
    ]
    assert extract(turns) == []
    assert extract([turn("I live in Bonn.")], recalled=["Tom wrote: I live in Bonn."]) == []


@pytest.mark.parametrize(
    "text",
    [
        "If I lived in Norway, I would have a boat.",
        'Translate: "My name is Peter."',
        "> I am the CEO of Acme and I live in Rome.",
        "```\nmy name is Bob\n```",
        "Write a story in which I am a knight called Roland.",
        "He said he works at Bosch.",
        "Do I live in Bonn?",
        "I'm tired and hungry.",
        "My wish: I want to live in Rome.",
        "The Wi-Fi password is hunter2hunter2.",
        "My PIN is 4711.",
        "Just kidding, my name is Batman.",
        "Maybe we move to Spain in May.",
        "I have a question about Python 3.12.",
        "make him a baker. his wife is called Brenda",
        "The ref was called Colin something, he's a plumber from Cowdenbeath.",
        "we deploy every Tuesday morning, never on Fridays",
        "I'm working on a report for Siemens",
        "my taxi driver was called Igor",
        "the waiter's name is Marco",
        "my avatar's name is Zed",
        "I was vegan for a week once",
        "I'm vegan for January",
        "I went vegan for two days in 2019, never again.",
        "I got a cold from my nephew",
        "I'm divorced from reality",
        "I'm Team Edward",
        "my birthday is a disaster every year",
        "my seat is 14B",
        "my gate is B7",
        "my room is 302 until Friday",
        "I've moved to plan B",
        "we have chicken in the freezer for the dog",
        "I live on coffee and biscuits",
        "I'm on antibiotics this week",
        "I'm pregnant with ideas",
        "I'm the designated driver tonight",
        "I bought my dad an iPad",
        "I joined Anna for lunch",
        "My salary is a joke",
        "Here's what the candidate wrote: I am a senior engineer and I live in Warsaw.",
        "We're called Larkspur.",
        "Dictation follows. Dear Mr Bassi, I live in Warsaw and I work for the council.",
        "Mein Bruder ist Lehrer, sagt er",
        "Ich arbeite an meiner Laune",
        "Ich spiele mit dem Gedanken",
    ],
)
def test_silence_is_better_than_junk(text):
    """Quotes, fiction, hypotheses, questions, moods, secrets and jokes are no facts."""
    assert learned(text) == []


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ("I live in Hamburg.", "I left Hamburg at 6 this morning to beat the traffic"),
        ("I live in Hamburg.", "I left Hamburg yesterday, back on Friday"),
        ("I live in Hamburg.", "I'm back in Munich for the weekend"),
        ("I live in Bonn.", "My sister left Bonn"),
        ("I work at Siemens.", "I left Siemens at 5 and went for a beer"),
        ("I work at Siemens.", "I'm with Peter now"),
        ("I work at Siemens.", "I finished my Siemens report"),
        ("My boss is Karen.", "Karen left for lunch"),
        ("My boss is Karen.", "Karen is off today"),
        ("My boss is Karen.", "Karen is gone for two weeks"),
        ("My boss is Karen.", "Karen moved away from the window"),
        ("I go to yoga every Tuesday.", "yoga is off today"),
        ("I go to yoga every Tuesday.", "yoga is cancelled this week"),
        ("I play the piano.", "I dropped the piano on my foot"),
        ("We have a dog called Rex.", "I left Rex with my sister"),
        ("We have a dog called Rex.", "I gave Rex a bath"),
        ("We have a dog called Rex.", "Rex ran away from the vacuum"),
        ("My girlfriend is Mia.", "I left Mia at the station"),
        ("My girlfriend is Mia.", "I lost Mia in the crowd"),
        ("My girlfriend is Mia.", "we're done"),
        ("I'm vegetarian.", "I eat meat substitutes"),
        ("I drive a Golf.", "I gave the Golf a wash"),
        ("I drive a Golf.", "I returned the Golf to its parking spot"),
        ("My phone number is 0151 123456.", "use 2025-10-11 instead"),
        ("My email is a@b.example.", "please use info@shop.example for the invoice draft"),
        ("Our internet provider is Telekom.", "we are with Grandma now"),
        ("Our internet provider is Telekom.", "I moved to Chrome"),
        ("My salary is 52000 euros.", "I get 5 euros"),
        ("My project manager is Ann.", "The project manager is Susan in the example"),
        ("My flatmate is Jo.", "Jo went back to bed"),
        ("My car is a VW Golf.", "I swapped the Golf for my wife's car today"),
        ("I'm married.", "I'm single-handedly doing the dishes"),
        ("My name is Lee.", "I am Spartacus"),
        ("Ich arbeite bei Bosch.", "Ich bin jetzt bei Oma"),
        ("Ich gehe jeden Montag zum Yoga.", "Yoga ist heute abgesagt"),
    ],
)
def test_what_passes_changes_nothing(known, said):
    """What is left, off or with somebody for a day ends and replaces no fact."""
    before = extract([turn(known)])
    assert before
    assert extract([turn(said, "a2")], known=before) == []


def test_a_secret_is_kept_only_when_it_is_asked_for():
    """Word by word, as a note."""
    ((subject, attribute, value),) = learned("Remember that the alarm code is 9977.")
    assert (subject, attribute.partition(":")[0], value) == ("owner", "note", "the alarm code is 9977")


def test_a_role_play_ends():
    """What is said in it is no fact, what is said behind it is."""
    assert learned(
        "Let's do a role play: you are a baker.", "I live in Paris.", "End of role play.", "I live in Bonn."
    ) == [("owner", "city", "Bonn")]


def test_people_of_a_story_stay_invented():
    """Who was named as somebody of a story is not met in the next sentence either."""
    assert learned("The protagonist, Ottilie, lives in Dundee.", "Ottilie works as a locksmith now.") == []
    assert learned("My hero is called Marek.", "I live in Bonn.") == [("owner", "city", "Bonn")]


def test_names_and_pronouns_mean_whom_was_spoken_of():
    """Across turns of a conversation, and by what is known from others."""
    facts = learned(
        "My sister Anna studies medicine.", "She lives in Münster.", "Anna's birthday is 14 August."
    )
    assert facts == [
        ("owner", "sister.name:anna", "Anna"),
        ("Anna", "studies", "medicine"),
        ("Anna", "city", "Münster"),
        ("Anna", "birthday", "14 August"),
    ]
    known = extract([turn("My sister Anna studies medicine.")])
    (fact,) = extract([turn("Anna moved to Berlin.", "a2")], known=known)
    assert fact.text == "The owner's sister Anna lives in Berlin."


def test_a_relative_of_another_is_not_the_owners():
    """His wife is kept as the son's wife."""
    facts = learned("My son's called Craig.", "Craig and his wife Jenna live in Superior.")
    assert facts == [
        ("owner", "son.name:craig", "Craig"),
        ("Craig", "wife.name", "Jenna"),
        ("Jenna", "city", "Superior"),
    ]


def test_an_end_finds_what_it_ends():
    """What is called the Golf is the VW Golf that is known."""
    known = extract([turn("I drive a VW Golf.")])
    (end,) = extract([turn("I sold the Golf.", "a2")], known=known)
    assert (end.effect, end.attribute, end.value) == ("ends", "owns:vw golf", "VW Golf")


def test_a_correction_names_what_it_corrects():
    """The rest of the value stays."""
    facts = extract(
        [turn("My dentist appointment is on Monday at 10."), turn("No, it's on Tuesday, not Monday.", "a2")]
    )
    assert [(f.effect, f.value) for f in facts] == [("states", "Monday at 10"), ("corrects", "Tuesday at 10")]
    assert facts[0].attribute == facts[1].attribute


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "?",
        "\ufffc",
        "i " * 20_000,
        "my " * 500,
        "(" * 3_000,
        "and I " * 400,
        '"' * 999,
        "my sister's " * 100,
        "a" * 2_000,
        "1." * 900,
        "I am " + "very " * 400,
        "on " * 800,
    ],
)
def test_odd_text_hurts_nothing(text):
    """It is read within a second and gives no fact."""
    assert extract([turn(text)]) == []


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("My parking permit is P-4471.", ("owner", "parking permit", "P-4471")),
        ("Our club's treasurer is Volker Ahrens.", ("owner", "club treasurer", "Volker Ahrens")),
        ("The spare key is under the mat.", ("owner", "spare key location", "under the mat")),
        ("Our company has 45 employees.", ("owner", "company employees", "45 employees")),
        ("policy number of our insurance: HR-99812", ("insurance", "insurance_number", "HR-99812")),
        ("My favourite film used to be Titanic, now it's Arrival.", ("owner", "favourite:film", "Arrival")),
        ("Draft a mail to my boss Karen Holt that I am late.", ("owner", "boss.name", "Karen Holt")),
        ("Since I'm a vegetarian, what should I order?", ("owner", "diet", "vegetarian")),
    ],
)
def test_any_owned_noun_is_a_slot_where_its_value_looks_like_one(text, fact):
    """Names, numbers and places are learned of nouns that no rule lists, also inside notes and requests."""
    assert fact in learned(text)


@pytest.mark.parametrize(
    "text",
    [
        "My query is SELECT * FROM users.",
        "My flight is 3 hours late.",
        "My battery is 3% full.",
        "My laptop is 5 years old.",
        "Our chancellor is Merz.",
        "Taylor Swift's cat is called Benjamin Button.",
        "Remember, believe in yourself.",
        "No worries, John.",
        "I worked with the artist to make it happen.",
        "I love the colours!",
        "result code: 404",
    ],
)
def test_states_code_and_comments_fill_no_slot(text):
    """What holds for the moment, stands in code or is said to somebody is no fact."""
    assert learned(text) == []


def test_a_dictated_message_is_read_without_marks():
    """A new subject with its verb begins a statement; a relative clause does not."""
    text = (
        "yeah so I live in Swansea and my sister Glenys she lives in Tenby and the street we live in is nice"
    )
    facts = learned(text)
    assert ("owner", "city", "Swansea") in facts
    assert ("Glenys", "city", "Tenby") in facts
    assert len(facts) == 3


def test_a_pronoun_means_only_who_was_spoken_of_lately():
    """After other turns "his" may be anybody's."""
    assert learned("My brother is ill.", "Hm.", "Ok.", "Fine.", "He is a pilot.") == []
    assert ("owner", "brother.job", "pilot") in learned("My brother is ill.", "He is a pilot.")


def test_a_guess_silences_only_what_follows_it():
    """What was stated before it stays."""
    assert learned("I live in Bonn but I might move to Ulm and work at Bosch.") == [("owner", "city", "Bonn")]
