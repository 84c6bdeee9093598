"""The book of facts: what held when, whatever order it was learned in."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.memory import Fact, FactEdited, FactForgotten, FactLearned
from stores.facts import FactBook


@pytest.fixture
def file(tmp_path):
    return tmp_path / "memory" / "facts.db"


@pytest.fixture
def book(file):
    book = FactBook(file)
    yield book
    book.close()


def fact(value: str, at: float, *, id: str = "", attribute: str = "city", **more) -> Fact:
    fields = {
        "valid_from": at,
        "text": f"The owner lives in {value}.",
        "subject": "owner",
        "project": "home",
    } | more
    return Fact(
        id=id or re.sub(r"[^\w-]", "-", f"{attribute}-{value}-{at:g}", flags=re.ASCII),
        attribute=attribute,
        value=value,
        at=at,
        **fields,
    )


def learn(book: FactBook, *facts: Fact, project: str = "home", user: str = "owner") -> None:
    for one in facts:
        book.apply(FactLearned(learned=one, project=project, user=user), book.followed_until() + 1)


def values(book: FactBook, as_of: float, project: str = "home", **more) -> list[str]:
    return [one.value for one in book.list(project, "owner", as_of=as_of, **more).facts]


def test_a_newer_fact_closes_the_older_one_and_both_stay_in_the_history(book):
    """At every moment the one holds that was valid then; the older one says what took its place."""
    learn(book, fact("Bonn", 10), fact("Ulm", 20))
    assert values(book, 5) == []
    assert values(book, 15) == ["Bonn"]
    assert values(book, 20) == ["Ulm"]
    newer, older = book.list("home", "owner", history=True).facts
    assert (older.value, older.valid_from, older.valid_to, older.superseded_by) == ("Bonn", 10, 20, newer.id)


def test_an_older_statement_learned_later_does_not_close_the_newer_one(book):
    """It takes its place in the history."""
    learn(book, fact("Ulm", 20), fact("Bonn", 30, valid_from=10))
    assert (values(book, 15), values(book, 40)) == (["Bonn"], ["Ulm"])


def test_values_that_stand_side_by_side_do_not_close_one_another(book):
    """Their attributes carry the value behind a colon; a dislike takes the place of the same liking."""
    learn(book, fact("tea", 1, attribute="likes:tea"), fact("opera", 2, attribute="likes:opera"))
    assert sorted(values(book, 3)) == ["opera", "tea"]
    learn(book, fact("tea", 4, attribute="dislikes:tea"))
    assert [f.attribute for f in book.list("home", "owner", as_of=5).facts] == ["dislikes:tea", "likes:opera"]


def test_an_end_closes_only_what_it_names(book):
    """Leaving an employer of long ago does not end the present one."""
    learn(book, fact("Bosch", 10, attribute="employer"), fact("Siemens", 20, attribute="employer"))
    learn(book, fact("Bosch", 30, attribute="employer", effect="ends"))
    assert values(book, 40) == ["Siemens"]
    learn(book, fact("", 50, attribute="employer", effect="ends"))
    assert (values(book, 45), values(book, 60)) == (["Siemens"], [])


def test_what_is_said_twice_is_known_once_since_the_first_time(book):
    """The second time only confirms it; when the first is forgotten the second still says so."""
    learn(book, fact("Bonn", 10), fact("Bonn", 20))
    (held,) = book.list("home", "owner", as_of=30).facts
    assert held.valid_from == 10
    assert book.alike("home", "owner", held.id) == ("city-Bonn-10", "city-Bonn-20")


def test_a_correction_says_that_the_wrong_value_never_held(book):
    """The right one holds since the wrong one was believed."""
    learn(book, fact("Köln", 10), fact("Bonn", 20), fact("Trier", 30, effect="corrects"))
    assert (values(book, 15), values(book, 25), values(book, 35)) == (["Köln"], ["Trier"], ["Trier"])


def test_used_to_ends_what_was_believed_to_hold(book):
    """A statement about the past closes the open one of the same value."""
    learn(book, fact("Bosch", 10, attribute="employer"))
    learn(book, fact("Bosch", 20, attribute="employer", valid_from=0, valid_to=20))
    assert (values(book, 15), values(book, 25)) == (["Bosch"], [])


def test_an_edit_wins_over_what_was_extracted(book):
    """The new version takes the wrong one's time; extracting the wrong one again changes nothing."""
    wrong = fact("Bonn", 10)
    learn(book, wrong)
    right = fact("Berlin", 30, id="edited", valid_from=10, origin="user", confidence=1.0)
    book.apply(FactEdited(fact=wrong.id, replacement=right, at=30), book.followed_until() + 1)
    learn(book, wrong)
    assert (values(book, 15), values(book, 40)) == (["Berlin"], ["Berlin"])
    shown = book.show("home", "owner", wrong.id)
    assert shown is not None
    assert shown.fact.superseded_by == "edited"
    assert [f.value for f in (*shown.earlier, *shown.later)] == ["Berlin"]
    learn(book, fact("Ulm", 50))
    assert values(book, 60) == ["Ulm"], "what the user says later is newer than the edit"


def test_forgetting_leaves_no_text_in_any_file(book, file):
    """The text was in the file before, is in none afterwards, and does not come back by extracting again."""
    secret = "Wolkenkuckucksheim"
    for number in range(40):
        learn(book, fact(f"Town {number}", number, attribute=f"likes:{number}"))
    learn(book, fact(secret, 100, id="f1"))

    def found() -> bool:
        return any(
            secret.casefold() in f.read_bytes().decode("latin-1").casefold() for f in file.parent.iterdir()
        )

    assert found()
    book.apply(FactForgotten(fact="f1", at=200), book.followed_until() + 1)
    assert not found()
    assert book.knows("home", "owner", "f1")
    learn(book, fact(secret, 100, id="f1"))
    assert secret not in values(book, 300, limit=1000)
    assert not found()


def test_forgetting_the_newer_version_brings_back_the_older_one(book):
    """What superseded it is not there any more."""
    learn(book, fact("Bonn", 10), fact("Ulm", 20, id="f1"))
    book.apply(FactForgotten(fact="f1", at=30), book.followed_until() + 1)
    assert values(book, 40) == ["Bonn"]


def test_projects_and_users_see_only_their_own(book):
    """Facts of "global" come only where they are asked for; one slot in two projects is two slots."""
    learn(book, fact("Bonn", 10))
    learn(book, fact("Ulm", 20), project="work")
    learn(book, fact("Graz", 30, attribute="hometown"), project="global")
    learn(book, fact("Rome", 40), user="guest")
    assert values(book, 50) == ["Bonn"]
    assert values(book, 50, project="work") == ["Ulm"]
    assert values(book, 50, with_global=True) == ["Graz", "Bonn"]
    assert book.show("work", "owner", "city-Bonn-10") is None
    assert book.show("home", "owner", "hometown-Graz-30") is None
    assert book.show("home", "owner", "hometown-Graz-30", with_global=True) is not None


def test_words_find_facts_by_their_beginnings(book):
    """All words must occur; signs of the query language are ordinary letters."""
    learn(
        book,
        fact("Bonn", 1, text="Anna's dog is called Rex."),
        fact("x", 2, attribute="y", text="100 % wool_mix"),
    )
    for query, count in {
        "dog": 1,
        "ann re": 1,
        "og": 0,
        "dog cat": 0,
        "100": 1,
        "%": 0,
        "wool": 1,
        "": 2,
    }.items():
        assert len(book.list("home", "owner", history=True, matching=query).facts) == count, query


def test_pages_follow_one_another(book):
    """Every fact is listed once, latest first, and the last page says so."""
    learn(book, *(fact(f"v{n}", n // 2, attribute=f"a{n}") for n in range(7)))
    seen, after, more = [], "", True
    while more:
        page = book.list("home", "owner", history=True, limit=3, after=after)
        seen += [one.attribute for one in page.facts]
        after, more = page.facts[-1].id, page.more
    assert seen == [f"a{n}" for n in range(6, -1, -1)]


def test_what_was_said_again_since_outlives_an_end_that_was_said_before(book):
    """Ulm from 1, Bonn from 2, Bonn from 0 to 3, at last Bonn from 1 again: Bonn holds on."""
    learn(
        book,
        fact("Ulm", 4, id="f0", valid_from=1.0),
        fact("Bonn", 5, id="f1", valid_from=2.0),
        fact("Bonn", 6, id="f2", valid_from=0.0, valid_to=3.0),
        fact("Bonn", 7, id="f3", valid_from=1.0),
    )
    assert values(book, 20) == ["Bonn"]


def test_an_entry_counts_once_and_the_book_is_kept(book, file):
    """Entries that were applied before change nothing, also after the file was opened again."""
    learn(book, fact("Bonn", 10))
    book.apply(FactForgotten(fact="city-Bonn-10", at=5), 1)
    assert values(book, 20) == ["Bonn"]
    again = FactBook(file)
    assert (again.followed_until(), values(again, 20)) == (1, ["Bonn"])
    again.close()


def test_a_log_made_anew_starts_the_book_again(book):
    """Nothing of the old log stays."""
    assert book.belongs_to("first", 0)
    learn(book, fact("Bonn", 10))
    assert not book.belongs_to("second", 7)
    assert (book.followed_until(), values(book, 20)) == (0, [])


STATEMENTS = st.lists(
    st.tuples(
        st.sampled_from("ABC"),
        st.integers(0, 20),
        st.none() | st.integers(1, 10),
        st.sampled_from(["states", "states", "states", "ends"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(said=STATEMENTS, order=st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_as_of_is_right_in_every_order_of_arrival(tmp_path_factory, said, order):
    """A simple walk over the statements in the order of their time gives the same answer for every moment."""
    facts = [
        fact(
            "" if effect == "ends" and is_open else value,
            float(number),
            id=f"f{number}",
            valid_from=float(start),
            valid_to=None if length is None or effect == "ends" else float(start + length),
            effect=effect,
        )
        for number, (value, start, length, effect, is_open) in enumerate(said)
    ]
    arrival = facts.copy()
    order.shuffle(arrival)
    book = FactBook(tmp_path_factory.mktemp("book") / "facts.db")
    try:
        learn(book, *arrival)
        for moment in range(-1, 34):
            assert values(book, moment + 0.5) == held(facts, moment + 0.5)
    finally:
        book.close()


def held(facts: list[Fact], moment: float) -> list[str]:
    """The model: what the latest statement says, unless it ended."""
    holding: Fact | None = None
    for one in sorted(facts, key=lambda f: (f.valid_from, f.at)):
        if one.valid_from > moment:
            break
        if one.effect == "ends":
            if holding and one.value in ("", holding.value):
                holding = None
        elif not (
            holding
            and one.valid_to is None
            and one.value == holding.value
            and lasts(holding, facts, one.valid_from)
        ):
            holding = one
    return [holding.value] if holding and lasts(holding, facts, moment) else []


def lasts(one: Fact, facts: list[Fact], moment: float) -> bool:
    """Whether a statement is not yet over, by itself or by what was said later about the same value's end."""
    ends = [one.valid_to] if one.valid_to is not None else [
        other.valid_to
        for other in facts
        if other.valid_to is not None and other.at > one.at and other.value == one.value
        and other.valid_from <= one.valid_from < other.valid_to
    ]  # fmt: skip
    return all(end > moment for end in ends)


def test_the_log_entries_survive_the_wire():
    """What is published is what is read."""
    for entry in (
        FactLearned(learned=fact("Bonn", 10)),
        FactEdited(fact="f1", replacement=fact("Ulm", 20), at=30),
        FactForgotten(fact="f1", at=30),
    ):
        assert msgspec.json.decode(msgspec.json.encode(entry), type=type(entry)) == entry
