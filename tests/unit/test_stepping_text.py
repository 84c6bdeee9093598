"""From logits to tokens and from tokens to text, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.brain.stepping.sampling import Sampler, likelihoods
from agents.brain.stepping.text import Decoder, Stops
from schemas.chat import Sampling
from stores.weights.registry import Profile


def row(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def drawn(
    sampling: Sampling, logits: np.ndarray, times: int = 400, profile: Profile | None = None
) -> list[int]:
    sampler = Sampler(profile or Profile(), sampling, [])
    return [sampler.choose(logits.copy()) for _ in range(times)]


@given(st.text("abc", max_size=40), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.data())
def test_a_stop_string_is_found_however_the_text_is_cut(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    """What is shown is what stands before the first stop string, whatever pieces the text came in."""
    watch, shown, rest = Stops(stops), "", text
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        shown += watch.feed(rest[:count])
        rest = rest[count:]
        if watch.found:
            break
    shown += watch.feed("", final=True)
    cut = text[: len(text) - len(rest)]
    places = [cut.find(stop) for stop in stops if stop in cut]
    assert shown == (cut[: min(places)] if places else cut)
    assert watch.found == bool(places)


@given(st.text())
def test_characters_come_whole(text: str) -> None:
    """No piece ends within a character."""
    decoder = Decoder()
    data = text.encode("utf-8", "surrogatepass")
    pieces = [decoder.feed(data[at : at + 1]) for at in range(len(data))]
    assert "".join(pieces) + decoder.feed(b"", final=True) == data.decode("utf-8", "replace")


def test_greedy_takes_the_most_likely_token() -> None:
    assert set(drawn(Sampling(temperature=0), row(0.1, 2.0, 1.9))) == {1}
    assert set(drawn(Sampling(temperature=1.5, top_k=1), row(0.1, 2.0, 1.9))) == {1}


def test_temperature_draws_by_probability() -> None:
    counts = np.bincount(drawn(Sampling(temperature=1.0, seed=3), row(0.0, np.log(3.0)), 4000), minlength=2)
    assert counts[1] / counts.sum() == pytest.approx(0.75, abs=0.03)


def test_a_nucleus_keeps_the_fewest_tokens_that_reach_it() -> None:
    logits = np.log(row(0.5, 0.3, 0.15, 0.05))
    assert set(drawn(Sampling(temperature=1.0, top_p=0.7, seed=1), logits)) == {0, 1}
    assert set(drawn(Sampling(temperature=1.0, top_p=0.4, seed=1), logits)) == {0}


def test_min_p_and_top_k_leave_out_what_is_unlikely() -> None:
    logits = np.log(row(0.5, 0.3, 0.15, 0.05))
    assert set(drawn(Sampling(temperature=1.0, min_p=0.25, seed=1), logits)) == {0, 1, 2}
    assert set(drawn(Sampling(temperature=1.0, top_k=2, seed=1), logits)) == {0, 1}


def test_a_seed_repeats_what_is_drawn() -> None:
    logits = row(*np.linspace(0, 1, 50))
    assert drawn(Sampling(temperature=1.0, seed=7), logits) == drawn(
        Sampling(temperature=1.0, seed=7), logits
    )
    assert drawn(Sampling(temperature=1.0, seed=7), logits) != drawn(
        Sampling(temperature=1.0, seed=8), logits
    )


def test_penalties_count_what_the_answer_has() -> None:
    sampler = Sampler(Profile(), Sampling(temperature=0, frequency_penalty=0.6), [])
    taken = []
    for _ in range(4):
        taken.append(sampler.choose(row(1.0, 0.5)))
        sampler.took(taken[-1])
    assert taken == [0, 1, 0, 1]


def test_a_phrase_is_not_repeated_over_and_over() -> None:
    """With the profile's strength against repetition a loop of eight tokens ends."""
    phrase = list(range(8))
    sampler = Sampler(Profile(dry=0.8), Sampling(temperature=0), [])
    for token in phrase * 2:
        sampler.took(token)
    logits = np.zeros(20, np.float32)
    logits[0] = 5.0  # the loop's next
    logits[15] = 1.0
    assert sampler.choose(logits) == 15


def test_log_probabilities_are_those_of_the_whole_vocabulary() -> None:
    logits = np.log(row(0.5, 0.3, 0.15, 0.05))
    chosen, top = likelihoods(logits, 2, 2)
    assert chosen == pytest.approx(np.log(0.15), abs=1e-5)
    assert [token for token, _ in top] == [0, 1]
    assert top[0][1] == pytest.approx(np.log(0.5), abs=1e-5)
