"""The projection of conversations."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.chat import Compacted, Deleted, Titled, Turn
from schemas.forgetting import TurnsForgotten
from stores.conversations import TITLE_CHARS, Conversations, title_of, turn_source


@pytest.fixture
def file(tmp_path):
    return tmp_path / "memory" / "conversations.db"


@pytest.fixture
def store(file):
    store = Conversations(file)
    yield store
    store.close()


def asked(
    answer: str, text: str = "What is a stream?", conversation: str = "c1", at: float = 1.0, **more
) -> Turn:
    return Turn(conversation=conversation, answer=answer, role="user", text=text, at=at, **more)


def answered(answer: str, text: str = "A log.", conversation: str = "c1", at: float = 2.0, **more) -> Turn:
    more = {"finish_reason": "stop", **more}
    return Turn(conversation=conversation, answer=answer, role="assistant", text=text, at=at, **more)


def listed(store: Conversations, **more):
    return store.list("home", "owner", **more)


def read(store: Conversations, conversation: str = "c1", **more):
    return store.history("home", "owner", conversation, **more)


def test_a_conversation_is_listed_and_read(store):
    """Question and answer come back as they were, with where they stand in the log."""
    store.apply(asked("a1"), 3)
    store.apply(answered("a1"), 4)
    (line,) = listed(store)
    assert (line.title, line.turns, line.updated, line.answering) == ("What is a stream?", 2, 2.0, "")
    history = read(store)
    assert history.turns == (asked("a1"), answered("a1"))
    assert history.sequence == 4
    assert store.followed_until() == 4


def test_answers_that_no_passage_supported_are_known_as_such(store):
    """Of turns, by their sources, those are named; what is forgotten is not."""
    store.apply(asked("a1"), 1)
    store.apply(answered("a1", grounding="nothing_found"), 2)
    store.apply(asked("a2"), 3)
    store.apply(answered("a2", grounding="supported"), 4)
    sources = {
        (answer, role): turn_source("home", "c1", answer, role)
        for answer in ("a1", "a2")
        for role in ("user", "assistant")
    }
    assert store.unsupported(sources.values()) == {sources["a1", "assistant"]}
    store.apply(Deleted(conversation="c1", at=5.0), 5)
    assert store.unsupported(sources.values()) == set()


def test_an_open_question_is_known_until_its_answer_comes(store):
    """Failed answers end a question too."""
    store.apply(asked("a1"), 1)
    assert listed(store)[0].answering == read(store).answering == "a1"
    assert [turn.answer for turn in store.unanswered()] == ["a1"]
    store.apply(answered("a1", finish_reason="failed"), 2)
    assert store.unanswered() == ()
    assert read(store).answering == ""


def test_an_entry_counts_once(store):
    """Redelivered entries, and second copies of a turn, change nothing."""
    store.apply(asked("a1"), 1)
    store.apply(answered("a1", "first"), 2)
    store.apply(answered("a1", "first"), 2)
    store.apply(answered("a1", "second"), 3)
    assert [turn.text for turn in read(store).turns] == ["What is a stream?", "first"]
    assert listed(store)[0].turns == 2
    assert store.followed_until() == 3


def test_a_title_that_the_user_gave_stays(store):
    """An automatic title replaces the first question's, never the user's."""
    store.apply(asked("a1"), 1)
    store.apply(Titled(conversation="c1", title="Streams", at=2), 2)
    assert listed(store)[0].title == "Streams"
    store.apply(Titled(conversation="c1", title="Mine", at=3, by_user=True), 3)
    store.apply(Titled(conversation="c1", title="Theirs", at=4), 4)
    assert listed(store)[0].title == "Mine"
    assert [c.title for c in listed(store, matching="mine")] == ["Mine"]
    assert listed(store, matching="streams") == ()


def test_a_deleted_conversation_is_gone_and_stays_gone(store):
    """Even when its answer ends later; a new question begins it anew."""
    store.apply(asked("a1"), 1)
    store.apply(Deleted(conversation="c1", at=2), 2)
    store.apply(answered("a1"), 3)
    assert listed(store) == () == store.unanswered()
    assert read(store).turns == ()
    assert listed(store, matching="stream") == ()
    store.apply(asked("a2", "Again?"), 4)
    assert [(c.title, c.turns) for c in listed(store)] == [("Again?", 1)]
    assert len(read(store).turns) == 1


def test_conversations_are_found_by_words_of_any_script(store):
    """Beginnings of words, without accents, several at once, Chinese without spaces."""
    store.apply(asked("a1", "Caf\u00e9 opening hours?", "c1"), 1)
    store.apply(asked("a2", "\u4ec0\u4e48\u662f\u6d88\u606f\u961f\u5217?", "c2"), 2)
    store.apply(asked("a3", 'Quotes " and * signs', "c3"), 3)
    for words, conversation in (("cafe open", "c1"), ("\u6d88\u606f", "c2"), ('quotes "', "c3")):
        assert [c.conversation for c in listed(store, matching=words)] == [conversation]
    assert listed(store, matching="cafe closed") == ()
    assert listed(store, matching='"*') == ()


def test_lists_are_paged_and_kept_apart(store):
    """By time, by project, by user."""
    for n in range(5):
        store.apply(asked(f"a{n}", conversation=f"c{n}", at=n + 1.0), n + 1)
    store.apply(asked("b", conversation="c0", at=9.0, project="work"), 6)
    assert [c.conversation for c in listed(store, limit=2)] == ["c4", "c3"]
    assert [c.conversation for c in listed(store, before=4.0, limit=2)] == ["c2", "c1"]
    assert [c.updated for c in store.list("work", "owner")] == [9.0]
    assert store.list("home", "guest") == ()
    assert store.history("home", "guest", "c0").turns == ()


def test_only_the_last_turns_are_read_when_asked(store):
    """Oldest first, and the newest sequence."""
    for n in range(6):
        store.apply(asked(f"a{n}", f"q{n}"), n + 1)
    history = read(store, last=2)
    assert [turn.text for turn in history.turns] == ["q4", "q5"]
    assert history.sequence == 6


def test_it_continues_after_a_restart(store, file):
    """The sequence is kept with the data."""
    store.apply(asked("a1"), 7)
    store.close()
    again = Conversations(file)
    assert again.followed_until() == 7
    assert len(read(again).turns) == 1
    again.close()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "older schema"])
def test_what_cannot_be_used_is_built_again(store, file, damage):
    """The projection starts from 0 instead of failing."""
    for n in range(200):
        store.apply(asked(f"a{n}", "x" * 500, f"c{n}"), n + 1)
    store.close()
    if damage == "garbage":
        content = file.read_bytes()
        file.write_bytes(content[:100] + b"\xff" * 8000 + content[8100:])
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:20000])
    else:
        database = sqlite3.connect(file)
        database.execute("PRAGMA user_version = 99")
        database.close()
    again = Conversations(file)
    assert again.followed_until() == 0
    again.apply(asked("a1"), 1)
    assert len(listed(again)) == 1
    again.close()


def test_a_log_that_was_made_anew_is_noticed(store):
    """By its identity, and by ending before what was applied."""
    assert store.belongs_to("monday", 0)
    store.apply(asked("a1"), 5)
    assert store.belongs_to("monday", 5)
    assert not store.belongs_to("tuesday", 9)
    assert store.followed_until() == 0
    store.apply(asked("a1"), 5)
    assert not store.belongs_to("tuesday", 4)
    assert listed(store) == ()


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is NATS? And what is it for?", "What is NATS?"),
        ("Explain acks.md v1.2 please.", "Explain acks.md v1.2 please"),
        ("\n\n  # A **bold** question  \nmore", "A bold question"),
        ("word " * 40, "word " * 11 + "word\u2026"),
        (
            "\u4ec0\u4e48\u662f\u6d88\u606f\uff1f\u8bf7\u8bf4\u660e\u3002",
            "\u4ec0\u4e48\u662f\u6d88\u606f\uff1f",
        ),
        ("???", "Untitled"),
        (" ", "Untitled"),
    ],
)
def test_a_title_is_the_first_sentence_cut_between_words(question, title):
    """Without Markdown's signs, at most TITLE_CHARS."""
    assert title_of(question) == title


@given(st.text(min_size=1))
def test_every_question_gives_a_title(question):
    """One line, not empty, not too long, and one that the log takes."""
    title = title_of(question)
    assert 1 <= len(title) <= TITLE_CHARS
    assert "\n" not in title


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["ask", "answer", "title", "delete"]),
        st.sampled_from(["c1", "c2"]),
        st.sampled_from(["a1", "a2", "a3"]),
        st.booleans(),
    ),
    max_size=25,
)


@given(entries=ENTRIES, repeats=st.lists(st.integers(0, 24), max_size=8), cut=st.integers(0, 25))
@settings(max_examples=60)
def test_the_projection_depends_on_the_log_alone(tmp_path_factory, entries, repeats, cut):
    """Redeliveries and a restart in the middle leave the same conversations."""
    log = []
    for n, (kind, conversation, answer, by_user) in enumerate(entries, 1):
        entry = {
            "ask": lambda c=conversation, a=answer, n=n: asked(a, f"q{n}", c, float(n)),
            "answer": lambda c=conversation, a=answer, n=n: answered(a, f"r{n}", c, float(n)),
            "title": lambda c=conversation, n=n, b=by_user: Titled(
                conversation=c, title=f"t{n}", at=n, by_user=b
            ),
            "delete": lambda c=conversation, n=n: Deleted(conversation=c, at=n),
        }[kind]()
        log.append((entry, 2 * n))
    folder = tmp_path_factory.mktemp("projection")
    once, often = Conversations(folder / "once.db"), Conversations(folder / "often.db")
    for entry, sequence in log:
        once.apply(entry, sequence)
    for at, (entry, sequence) in enumerate(log):
        often.apply(entry, sequence)
        for repeat in repeats:
            if repeat <= at:
                often.apply(*log[repeat])
        if at == cut:
            often.close()
            often = Conversations(folder / "often.db")
    assert listed(once) == listed(often)
    assert once.unanswered() == often.unanswered()
    for conversation in ("c1", "c2"):
        assert read(once, conversation) == read(often, conversation)
    for line in listed(once):
        assert line.turns == len(read(once, line.conversation).turns)
    once.close()
    often.close()


def summary_of(*turns: str, after: str = "", text: str = "I said: My dog is Rex.") -> Compacted:
    return Compacted(conversation="c1", text=text, turns=turns, after=after, at=5.0)


def with_exchanges(store: Conversations, count: int) -> int:
    """Apply exchanges a1, a2, ...; return the next position in the log."""
    for number in range(count):
        store.apply(asked(f"a{number + 1}"), 2 * number + 1)
        store.apply(answered(f"a{number + 1}"), 2 * number + 2)
    return 2 * count + 1


def test_the_newest_summary_comes_with_the_history(store):
    """Each builds on the one before it; all turns stay."""
    at = with_exchanges(store, 3)
    store.apply(summary_of("a1"), at)
    store.apply(summary_of("a2", after="a1", text="I said: Both."), at + 1)
    history = read(store)
    assert (history.summary.text, history.summarised, history.sequence) == ("I said: Both.", at + 1, 6)
    assert len(history.turns) == 6
    assert store.summaries("home", "c1") == {at, at + 1}


def test_forgetting_a_turn_takes_the_summaries_that_stand_for_it(store):
    """That of an earlier turn stays; those that build on a removed one go too, and the log is told."""
    at = with_exchanges(store, 4)
    store.apply(summary_of("a1"), at)
    store.apply(summary_of("a2", after="a1"), at + 1)
    store.apply(summary_of("a3", after="a2"), at + 2)
    store.apply(TurnsForgotten(conversation="c1", answers=("a2",), at=6.0), at + 3)
    assert store.summaries("home", "c1") == {at}
    assert read(store).summarised == at
    store.apply(TurnsForgotten(conversation="c1", answers=("a1", "a3", "a4"), at=6.0), at + 4)
    assert store.summaries("home", "c1") == set()


def test_a_summary_that_comes_after_the_forgetting_is_not_kept(store):
    """Whether it stands for what was forgotten or builds on a summary that did: it is to be erased."""
    at = with_exchanges(store, 3)
    store.apply(summary_of("a1"), at)
    store.apply(TurnsForgotten(conversation="c1", answers=("a1",), at=6.0), at + 1)
    store.erased([number for number, *_ in store.to_erase()])
    store.apply(summary_of("a2", after="a1"), at + 2)
    store.apply(summary_of("a1", "a2"), at + 3)
    assert store.summaries("home", "c1") == set()
    assert [(gone.conversation, gone.answers) for _, _, gone in store.to_erase()] == [("c1", ())] * 2
    store.apply(summary_of("a2"), at + 4)
    assert store.summaries("home", "c1") == {at + 4}
