"""Blocks of keys and values: what is shared, what is copied, what goes when there is no room."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.brain.stepping.pages import PagedLane, Pages

SIZE = 4


class Memory:
    """Blocks that remember which token was written where, as the tensors of a model would."""

    def __init__(self, count: int) -> None:
        self.blocks: list[list[int | None]] = [[None] * SIZE for _ in range(count)]
        self.copied = 0
        self.pages = Pages(count, SIZE, self.copy)

    def copy(self, source: int, target: int) -> None:
        self.copied += 1
        self.blocks[target] = list(self.blocks[source])

    def compute(self, lane: PagedLane, tokens: list[int]) -> None:
        start = lane.length
        self.pages.append(lane, tokens)
        blocks = lane.blocks()
        for at, token in enumerate(tokens, start):
            self.blocks[blocks[at // SIZE]][at % SIZE] = token

    def read(self, lane: PagedLane) -> list[int | None]:
        return [self.blocks[block][at] for block in lane.blocks() for at in range(SIZE)][: lane.length]


def run(memory: Memory, tokens: list[int], space: str = "") -> int:
    """Compute a text from its beginning; return how many tokens were there before."""
    lane = memory.pages.begin(tokens, len(tokens), space)
    assert lane is not None
    known = lane.length
    memory.compute(lane, tokens[known:])
    assert memory.read(lane) == tokens
    memory.pages.end(lane)
    return known


def test_a_text_that_goes_on_is_computed_only_behind_what_is_known() -> None:
    memory = Memory(16)
    text = list(range(10))
    assert run(memory, text) == 0
    assert run(memory, [*text, 70, 71, 72]) == 10


def test_the_last_token_is_computed_always_for_its_logits() -> None:
    memory = Memory(16)
    text = list(range(8))
    run(memory, text)
    assert run(memory, text) == 7


def test_texts_that_part_within_a_block_share_it_up_to_there() -> None:
    memory = Memory(16)
    run(memory, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert run(memory, [1, 2, 3, 4, 5, 6, 99, 98]) == 6
    assert memory.copied == 1
    assert run(memory, [1, 2, 3, 4, 5, 6, 7, 8, 9]) == 8, "the first one is as it was"


def test_adapters_share_nothing() -> None:
    memory = Memory(16)
    text = list(range(9))
    run(memory, text)
    assert run(memory, text, "tone") == 0
    assert run(memory, text, "tone") == 8


def test_a_lane_gets_no_place_where_others_may_still_need_it() -> None:
    pages = Pages(4, SIZE, lambda a, b: None)
    first = pages.begin([1, 2, 3], 12, "")
    assert first is not None
    assert pages.begin([7, 8, 9], 8, "") is None
    second = pages.begin([7, 8, 9], 4, "")
    assert second is not None
    pages.end(first)
    assert pages.begin([5, 6], 12, "") is not None


def test_what_was_used_least_recently_goes_first() -> None:
    memory = Memory(4)
    run(memory, [1, 1, 1, 1, 1])
    run(memory, [2, 2, 2, 2, 2])
    run(memory, [1, 1, 1, 1, 1])
    run(memory, [3, 3, 3, 3, 3])
    assert run(memory, [1, 1, 1, 1, 1]) == 4


def test_forgetting_a_space_leaves_nothing_of_it() -> None:
    memory = Memory(16)
    text = list(range(9))
    run(memory, text, "tone")
    memory.pages.forget("tone")
    assert memory.pages.room == 16
    assert run(memory, text, "tone") == 0


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 24))
def test_every_lane_reads_its_own_text_whatever_runs_beside_it(seed: int, count: int) -> None:
    """Random texts that share beginnings, begun, continued and ended in any order, in little room."""
    chance = random.Random(seed)
    memory = Memory(count)
    running: list[tuple[PagedLane, list[int], int]] = []
    for _ in range(60):
        if running and chance.random() < 0.6:
            lane, text, most = running.pop(chance.randrange(len(running)))
            if lane.length < most and chance.random() < 0.7:
                more = [chance.randrange(2) for _ in range(chance.randint(1, most - lane.length))]
                memory.compute(lane, more)
                running.append((lane, text + more, most))
            else:
                memory.pages.end(lane)
        else:
            text = [chance.randrange(2) for _ in range(chance.randint(2, 14))]
            most = min(len(text) + chance.randint(0, 8), count * SIZE)
            begun = memory.pages.begin(text, most, chance.choice(["", "tone"]))
            if begun is None:
                assert running, "alone, everything that fits gets its place"
                continue
            assert begun.length < len(text)
            memory.compute(begun, text[begun.length :])
            running.append((begun, text, most))
        assert memory.pages.room >= 0
        for lane, text, _ in running:
            assert memory.read(lane) == text
    for lane, _, _ in running:
        memory.pages.end(lane)
    assert memory.pages.room == count
