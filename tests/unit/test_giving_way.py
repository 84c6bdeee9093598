"""Work in the background while answers run: held, but never for good."""

from __future__ import annotations

import asyncio
import time

import pytest

from agents.common import giving_way
from agents.common.giving_way import GivingWay
from schemas.chat import Answering


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, bool]]:
    """Shorten all times to fractions of a second; returns what was ordered, and when."""
    monkeypatch.setattr(giving_way, "HELD_SECONDS", 0.3)
    monkeypatch.setattr(giving_way, "LONGEST_SECONDS", 0.5)
    monkeypatch.setattr(giving_way, "FREE_SECONDS", 0.3)
    return []


def way_of(held: list[tuple[float, bool]]) -> GivingWay:
    return GivingWay(lambda now: held.append((time.monotonic(), now)))


async def test_work_is_held_from_the_first_question_to_the_last_end(held):
    """Of all brains together; each order is given once."""
    way = way_of(held)
    way.heard(Answering(worker="one", running=1))
    way.heard(Answering(worker="two", running=1))
    way.heard(Answering(worker="one", running=2))
    way.heard(Answering(worker="one", running=0))
    assert [order for _, order in held] == [True]
    way.heard(Answering(worker="two", running=0))
    assert [order for _, order in held] == [True, False]


async def test_a_brain_that_died_holds_nothing_for_long(held):
    """It never says that it ended."""
    way = way_of(held)
    way.heard(Answering(worker="one", running=1))
    await asyncio.sleep(0.6)
    assert [order for _, order in held] == [True, False]
    assert held[1][0] - held[0][0] >= 0.3


async def test_work_gets_some_time_however_much_is_asked(held):
    """It goes on for a while after the longest stop, and is then held again."""
    way = way_of(held)
    for _ in range(24):
        way.heard(Answering(worker="one", running=1))
        await asyncio.sleep(0.05)
    way.close()
    assert [order for _, order in held][:3] == [True, False, True]
    assert held[1][0] - held[0][0] >= 0.5
    assert held[2][0] - held[1][0] >= 0.3
    assert held[-1][1] is False
