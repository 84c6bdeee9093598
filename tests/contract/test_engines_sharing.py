"""How engines are shared: who waits, who is next, who is told to come later, who gives way."""

from __future__ import annotations

import asyncio
import time

import pytest

from agents.brain.admission import MOST_OF_A_USER
from agents.brain.engine import Engine, Place
from schemas.chat import Sampling
from schemas.errors import KaraisError
from schemas.failure import Code
from tests.contract.engines import SLOTS, asking, pieces_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLOODING, OTHER = Place(user="flooding"), Place(user="other")
LONG = Sampling(max_tokens=300, ignore_end=True)


async def cancelled(tasks: list[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_beyond_the_queue_it_is_busy_and_says_so_with_the_number(engine: Engine) -> None:
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(pieces_of(engine, f"Tell me of {n}.", LONG, place=FLOODING)) for n in range(SLOTS)
    ]
    await until(lambda: engine.running == SLOTS)
    short = Sampling(max_tokens=8, ignore_end=True)
    tasks += [
        asyncio.create_task(pieces_of(engine, f"Tell me of {n}.", short, place=FLOODING))
        for n in range(MOST_OF_A_USER)
    ]
    try:
        await until(lambda: engine.waiting == MOST_OF_A_USER)
        with pytest.raises(KaraisError, match=str(MOST_OF_A_USER)) as refused:
            await pieces_of(engine, "And of me?", short, place=FLOODING)
        assert refused.value.code is Code.BUSY
        other = asyncio.create_task(pieces_of(engine, "And of me?", short, place=OTHER))
        await until(lambda: engine.waiting > MOST_OF_A_USER)
        tasks.append(other)
        assert not any(task.done() for task in tasks[:SLOTS])
    finally:
        await cancelled(tasks)
    assert engine.waiting == 0


async def test_a_user_with_thirty_requests_does_not_delay_anothers_first(engine: Engine) -> None:
    sampling = Sampling(max_tokens=8, ignore_end=True)
    begun: list[str] = []

    async def ask(place: Place, text: str) -> None:
        seen = False
        async for _ in engine.generate(asking(text), sampling, place=place):
            if not seen:
                begun.append(place.user)
                seen = True

    tasks = [asyncio.create_task(ask(FLOODING, f"Tell me of {n}.")) for n in range(30)]
    await until(lambda: engine.running == SLOTS and engine.waiting >= 30 - SLOTS - 4)
    tasks.append(asyncio.create_task(ask(OTHER, "And me?")))
    await asyncio.gather(*tasks)
    # Before it are those that ran already, and those that were let in while its prompt was counted.
    assert begun.index("other") <= SLOTS + 8
    assert len(begun) == 31


async def test_background_work_leaves_a_slot_to_chats(engine: Engine) -> None:
    later = Place(user="owner", background=True)
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(pieces_of(engine, f"Tell me of {n}.", LONG, place=later))
        for n in range(SLOTS + 2)
    ]
    try:
        await until(lambda: engine.waiting >= 3)
        assert engine.running < SLOTS
        chat = await pieces_of(engine, "And me?", Sampling(max_tokens=4, ignore_end=True))
        assert chat[-1].finish_reason == "length"
        assert not any(task.done() for task in tasks), "the chat waited for background work"
    finally:
        await cancelled(tasks)


async def test_background_work_begins_when_no_chat_waits(engine: Engine) -> None:
    sampling = Sampling(max_tokens=24, ignore_end=True)
    later = Place(user="owner", background=True)
    ended: list[str] = []

    async def ask(place: Place, text: str) -> None:
        await pieces_of(engine, text, sampling, place=place)
        ended.append("background" if place.background else "chat")

    tasks = [asyncio.create_task(ask(OTHER, f"Tell me of {n}.")) for n in range(SLOTS)]
    await until(lambda: engine.running == SLOTS)
    tasks.append(asyncio.create_task(ask(later, "And of this, some time.")))
    await until(lambda: engine.waiting == 1)
    tasks += [asyncio.create_task(ask(OTHER, f"Tell me of {n} more.")) for n in range(SLOTS)]
    await asyncio.gather(*tasks)
    assert ended.index("background") >= SLOTS


async def test_a_cancelled_answer_frees_its_slot_while_seven_others_go_on(engine: Engine) -> None:
    others = [
        asyncio.create_task(pieces_of(engine, f"Tell me of {n}.", Sampling(max_tokens=60, ignore_end=True)))
        for n in range(SLOTS - 1)
    ]
    await until(lambda: engine.running == SLOTS - 1)
    text = "Every word of this long prompt has to be read. " * 40
    reading = asyncio.create_task(pieces_of(engine, text, Sampling(max_tokens=8)))
    await until(lambda: engine.running + engine.waiting == SLOTS)
    await asyncio.sleep(0.05)
    reading.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: engine.running + engine.waiting <= sum(not task.done() for task in others))
    assert time.monotonic() - began < 2
    assert all(pieces[-1].finish_reason == "length" for pieces in await asyncio.gather(*others))
