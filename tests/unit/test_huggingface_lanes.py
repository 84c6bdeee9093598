"""The books over lanes of the engine transformers: what is kept, for whom, and what goes first."""

from __future__ import annotations

from collections.abc import Sequence

from agents.brain.engines.huggingface.lanes import Lane, Lanes


def ended(lanes: Lanes, tokens: Sequence[int], space: str = "") -> Lane:
    """Run a lane with these tokens to its end."""
    lane = lanes.begin(len(tokens), space)
    assert lane is not None
    lane.tokens = list(tokens)
    lanes.end(lane)
    return lane


def test_the_longest_common_beginning_is_found_and_the_last_token_left() -> None:
    lanes = Lanes(100)
    ended(lanes, [1, 2, 3])
    longer = ended(lanes, [1, 2, 4, 5, 6])
    assert lanes.alike([1, 2, 4, 5, 9, 9], "") == (longer, 4)
    assert lanes.alike([1, 2, 4, 5, 6], "")[1] == 4
    assert lanes.alike([9], "") == (None, 0)


def test_running_lanes_serve_others_and_spaces_are_apart() -> None:
    lanes = Lanes(100)
    running = lanes.begin(10, "tone")
    assert running is not None
    running.tokens = [1, 2, 3]
    assert lanes.alike([1, 2, 3, 4], "tone") == (running, 3)
    assert lanes.alike([1, 2, 3, 4], "") == (None, 0)


def test_a_lane_that_another_continues_is_dropped() -> None:
    """The next turn of a conversation holds all of the turn before."""
    lanes = Lanes(100)
    ended(lanes, [1, 2, 3])
    ended(lanes, [1, 2, 3, 4, 5])
    assert lanes.kept == 5
    ended(lanes, [1, 2])
    assert lanes.kept == 5


def test_room_is_made_by_the_least_recently_used_and_never_by_what_runs() -> None:
    lanes = Lanes(30)
    first = ended(lanes, [1] * 10)
    ended(lanes, [2] * 10)
    ended(lanes, [3] * 10)
    running = lanes.begin(10, "", first)
    assert running is not None
    assert lanes.alike([1] * 11, "") == (first, 10)
    assert lanes.alike([2] * 11, "") == (None, 0)
    assert lanes.begin(21, "") is None
    assert lanes.begin(20, "") is not None
    assert lanes.kept == 0


def test_a_spoiled_lane_serves_nobody() -> None:
    lanes = Lanes(30)
    lane = lanes.begin(10, "")
    assert lane is not None
    lane.tokens = [1, 2, 3]
    lane.spoiled = True
    assert lanes.alike([1, 2, 3, 4], "") == (None, 0)
    assert not lanes.end(lane)
    assert lanes.kept == 0
