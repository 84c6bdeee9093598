"""Who is next among those that wait for an engine."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from agents.brain.admission import MOST_OVERTAKEN, Admission
from agents.brain.engine import Place
from schemas.errors import KaraisError
from schemas.failure import Code

ANNA, BEN = Place(user="anna"), Place(user="ben")
LATER = Place(user="anna", background=True)


def anything(cost: int) -> bool:
    return True


def at_most(room: int) -> object:
    return lambda cost: cost <= room


def order(queue: Admission[str]) -> list[str]:
    """Take all, each ending at once."""
    taken = []
    while (item := queue.pop(anything)) is not None:
        taken.append(item)
        queue.remove(item)
    return taken


def test_one_user_is_served_in_order() -> None:
    queue: Admission[str] = Admission(4)
    for name in "abc":
        queue.push(name, ANNA, 10)
    assert list(queue) == ["a", "b", "c"]
    assert order(queue) == ["a", "b", "c"]
    assert len(queue) == 0


def test_a_user_with_fifty_waiting_does_not_delay_anothers_first() -> None:
    queue: Admission[str] = Admission(4)
    for number in range(50):
        queue.push(f"a{number}", ANNA, 500)
    for _ in range(7):
        queue.pop(anything)
    queue.push("b", BEN, 4000)
    assert queue.pop(anything) == "b"


def test_users_get_equal_shares_of_tokens_rather_than_of_requests() -> None:
    queue: Admission[str] = Admission(4, most=1000, most_of_a_user=1000)
    for number in range(100):
        queue.push(f"a{number}", ANNA, 1000)
        queue.push(f"b{number}", BEN, 100)
    given: Counter[str] = Counter()
    for _ in range(44):
        item = queue.pop(anything)
        assert item is not None
        given[item[0]] += 1000 if item[0] == "a" else 100
    assert abs(given["a"] - given["b"]) <= 1000


def test_nobody_saves_up_by_waiting_for_a_time() -> None:
    """Who asked for nothing while others were served gets no run of turns for it."""
    queue: Admission[str] = Admission(4)
    queue.push("b-first", BEN, 10)
    for number in range(40):
        queue.push(f"a{number}", ANNA, 100)
    for _ in range(30):
        queue.pop(anything)
    for number in range(20):
        queue.push(f"b{number}", BEN, 100)
    taken = [queue.pop(anything) for _ in range(10)]
    assert 4 <= sum(str(item).startswith("b") for item in taken) <= 6


def test_what_gave_up_waiting_was_not_charged() -> None:
    queue: Admission[str] = Admission(4)
    for number in range(10):
        queue.push(f"a{number}", ANNA, 1000)
        queue.remove(f"a{number}")
    queue.push("a", ANNA, 1000)
    queue.push("b", BEN, 1)
    assert order(queue) == ["a", "b"]


def test_chat_is_before_background_that_came_earlier() -> None:
    queue: Admission[str] = Admission(4)
    queue.push("background", LATER, 10)
    queue.push("chat", ANNA, 10)
    assert order(queue) == ["chat", "background"]


def test_background_leaves_a_slot_free_for_a_chat() -> None:
    queue: Admission[str] = Admission(3)
    for name in "abc":
        queue.push(name, LATER, 10)
    assert [queue.pop(anything) for _ in range(3)] == ["a", "b", None]
    queue.push("chat", BEN, 10)
    assert queue.pop(anything) == "chat"
    assert queue.pop(anything) is None
    queue.remove("a")
    assert queue.pop(anything) == "c"


def test_with_a_single_slot_background_may_have_it() -> None:
    queue: Admission[str] = Admission(1)
    queue.push("a", LATER, 10)
    assert queue.pop(anything) == "a"


def test_background_takes_no_room_that_a_chat_waits_for() -> None:
    queue: Admission[str] = Admission(4)
    queue.push("chat", ANNA, 100)
    queue.push("background", LATER, 10)
    assert queue.pop(at_most(50)) is None  # type: ignore[arg-type]


def test_background_leaves_room_in_the_context() -> None:
    queue: Admission[str] = Admission(4, spare=100)
    queue.push("background", LATER, 10)
    assert queue.pop(at_most(109)) is None  # type: ignore[arg-type]
    assert queue.pop(at_most(110)) == "background"  # type: ignore[arg-type]


def test_one_that_finds_no_room_is_overtaken_but_not_for_ever() -> None:
    queue: Admission[str] = Admission(4)
    queue.push("large", ANNA, 1000)
    small = [f"b{number}" for number in range(MOST_OVERTAKEN + 5)]
    for name in small:
        queue.push(name, BEN, 10)
    taken = []
    while (item := queue.pop(at_most(100))) is not None:  # type: ignore[arg-type]
        taken.append(item)
    assert 1 <= len(taken) <= MOST_OVERTAKEN
    assert taken == small[: len(taken)]
    assert queue.pop(anything) == "large"


def test_beyond_the_bound_it_is_busy_and_says_the_number() -> None:
    queue: Admission[int] = Admission(4, most=5, most_of_a_user=3)
    for number in range(3):
        queue.push(number, ANNA, 10)
    with pytest.raises(KaraisError, match=r"3 requests of the user anna") as refused:
        queue.push(3, ANNA, 10)
    assert refused.value.code is Code.BUSY
    queue.push(4, BEN, 10)
    queue.push(5, BEN, 10)
    with pytest.raises(KaraisError, match="5 requests wait") as refused:
        queue.check(Place(user="carl"))
    assert refused.value.code is Code.BUSY
    assert len(queue) == 5
    queue.pop(anything)
    queue.push(6, Place(user="carl"), 10)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_everything_is_served_once(seed: int) -> None:
    """Random arrivals, ends and desertions under limited slots and room: nothing is lost or served twice."""
    rng = random.Random(seed)
    slots, room = rng.randint(1, 8), 1000
    queue: Admission[int] = Admission(slots, spare=100, most=1000, most_of_a_user=1000)
    costs: dict[int, int] = {}
    running: set[int] = set()
    served: list[int] = []
    gone: set[int] = set()

    def fits(cost: int) -> bool:
        return not running or sum(costs[i] for i in running) + cost <= room

    def admit() -> None:
        while len(running) < slots and (item := queue.pop(fits)) is not None:
            running.add(item)
            served.append(item)

    for number in range(300):
        costs[number] = rng.randint(1, 1200)
        queue.push(number, Place(user=rng.choice("abc"), background=rng.random() < 0.3), costs[number])
        admit()
        for item in [i for i in running if rng.random() < 0.3]:
            running.discard(item)
            queue.remove(item)
        if rng.random() < 0.1 and len(queue):
            deserter = rng.choice(list(queue))
            queue.remove(deserter)
            gone.add(deserter)
        admit()
    while running:
        item = running.pop()
        queue.remove(item)
        admit()
    assert len(queue) == 0
    assert len(served) == len(set(served))
    assert set(served) | gone == set(costs)
