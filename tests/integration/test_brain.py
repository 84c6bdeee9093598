"""The brain on a real bus, with the scripted engine."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from agents.brain.agent import Brain
from agents.brain.engines.script import Script
from agents.brain.engines.scripted import ScriptedEngine
from bus.agent import Agent, answers, follows
from bus.settings import Settings
from schemas.chat import (
    Ask,
    Cancel,
    Done,
    Failed,
    History,
    OpenAnswers,
    ReadConversation,
    Turn,
    Unanswered,
)
from schemas.errors import Refused
from schemas.failure import Code
from schemas.forgetting import TurnsForgotten
from schemas.health import DescribeEngine


class Log(Agent):
    """Projects the log in memory, as far as the brain asks for it."""

    kind = "memory"

    async def start(self, resources: AsyncExitStack) -> None:
        self.turns: list[tuple[Turn, int]] = []

    @follows(Turn)
    async def follow(self, turn: Turn, sequence: int) -> None:
        self.turns.append((turn, sequence))

    @answers(ReadConversation)
    async def read(self, ask: ReadConversation) -> History:
        turns = [(t, s) for t, s in self.turns if t.conversation == ask.conversation]
        open_ = {t.answer for t, _ in turns if t.role == "user"} - {
            t.answer for t, _ in turns if t.role == "assistant"
        }
        return History(
            conversation=ask.conversation,
            title="",
            turns=tuple(t for t, _ in turns),
            sequence=turns[-1][1] if turns else 0,
            answering=next(iter(open_), ""),
        )

    @answers(OpenAnswers)
    async def open(self, ask: OpenAnswers) -> Unanswered:
        ended = {t.answer for t, _ in self.turns if t.role == "assistant"}
        return Unanswered(turns=tuple(t for t, _ in self.turns if t.role == "user" and t.answer not in ended))


def scripted(settings: Settings, script: dict[str, object]) -> Settings:
    file = settings.home / "script.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(script))
    return msgspec.structs.replace(settings, engine="scripted", script=Path(file))


def question(text: str = "What is a stream?", conversation: str = "c1") -> Ask:
    return Ask(answer=secrets.token_hex(16), conversation=conversation, text=text, retrieve=False)


async def read(bus, ask: Ask) -> list:
    async with bus.answer_events(ask.answer, history=False) as events:
        await bus.call(ask)
        return [e.message async for e in events]


async def until(condition) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
def brains(start_bus, settings):
    """Return a running bus for the brain and the log, and settings with the scripted engine."""
    running = start_bus(Brain, Log)
    return running, scripted(settings, {"tokens_per_second": 200})


async def test_answer_is_streamed_and_kept(brains) -> None:
    """Deltas come by index without gaps, and question and answer stand in the log when Done comes."""
    running, settings = brains
    await running.provision()
    log = Log(settings)
    async with running.running(log, Brain(settings)), running.connected() as bus:
        ask = question("[say One two three.]")
        events = await read(bus, ask)
        assert [e.index for e in events] == list(range(len(events)))
        assert "".join(e.text for e in events[:-1]) == "One two three."
        assert isinstance(events[-1], Done)
        state = (await bus.jetstream.stream_info("CHAT")).state
        assert state.messages == 2
        await until(lambda: len(log.turns) == 2)
        assert [t.role for t, _ in log.turns] == ["user", "assistant"]
        assert log.turns[1][0].text == "One two three."


async def test_asking_twice_asks_once(brains) -> None:
    """A repetition with the same answer id, as after a lost reply, adds nothing to the log."""
    running, settings = brains
    await running.provision()
    async with running.running(Log(settings), Brain(settings)), running.connected() as bus:
        ask = question("[say Hello.]")
        first, second = await asyncio.gather(bus.call(ask), bus.call(ask))
        assert first == second
        await read_rest(bus, ask)
        assert await bus.call(ask) == first
        assert (await bus.jetstream.stream_info("CHAT")).state.messages == 2


async def read_rest(bus, ask: Ask, after: int = -1) -> list:
    async with asyncio.timeout(20):
        async with bus.answer_events(ask.answer, after=after) as events:
            return [e.message async for e in events]


async def test_turns_follow_each_other_over_brains(brains) -> None:
    """Two brains serve one conversation: each answers from the newest turn, whoever wrote it."""
    running, settings = brains
    await running.provision()
    log, one, two = Log(settings), Brain(settings), Brain(settings)
    async with running.running(log, one, two), running.connected() as bus:
        for i in range(6):
            worker = (one, two)[i % 2].bus.instance
            ask = question(f"[say Answer {i}.]")
            async with bus.answer_events(ask.answer, history=False) as events:
                await bus.call(ask, instance=worker)
                async for _ in events:
                    pass
        await until(lambda: len(log.turns) == 12)
        assert [t.text for t, _ in log.turns if t.role == "assistant"] == [f"Answer {i}." for i in range(6)]


async def test_second_question_during_an_answer_is_refused(brains) -> None:
    """A conversation has one answer at a time, whichever brain is asked."""
    running, settings = brains
    await running.provision()
    log, one, two = Log(settings), Brain(settings), Brain(settings)
    async with running.running(log, one, two), running.connected() as bus:
        ask = question("[stall after 1] wait")
        await bus.call(ask, instance=one.bus.instance)
        await until(lambda: log.turns)
        for brain in (one, two):
            with pytest.raises(Refused) as refused:
                await bus.call(question(), instance=brain.bus.instance)
            assert refused.value.code is Code.CONFLICT
        await bus.publish(Cancel(answer=ask.answer))
        assert (await read_rest(bus, ask))[-1].finish_reason == "cancelled"
        assert await bus.call(question("[say Next.]"))


async def test_engine_failure_ends_the_answer_with_a_failure(brains) -> None:
    """What was generated stays in the log, with the reason why there is no more."""
    running, settings = brains
    await running.provision()
    log = Log(settings)
    async with running.running(log, Brain(settings)), running.connected() as bus:
        ask = question("[say a b c d e f] [fail after 3]")
        events = await read(bus, ask)
        assert isinstance(events[-1], Failed)
        await until(lambda: len(log.turns) == 2)
        assert log.turns[1][0].finish_reason == "failed"
        assert log.turns[1][0].text.split() == "".join(e.text for e in events[:-1]).split()


async def test_killed_bus_loses_no_token(brains) -> None:
    """The bus dies in the middle of an answer and comes back: a reader gets every token once."""
    running, settings = brains
    settings = scripted(settings, {"tokens_per_second": 40})
    await running.provision()
    words = " ".join(f"w{i}" for i in range(120))
    async with running.running(Log(settings), Brain(settings)), running.connected() as bus:
        ask = question(f"[say {words}]")
        got: list = []
        async with bus.answer_events(ask.answer, history=False) as events:
            await bus.call(ask)
            async with asyncio.timeout(30):
                async for event in events:
                    got.append(event.message)
                    if len(got) == 20:
                        running.kill()
                        running.start()
                        restore = asyncio.create_task(running.provision())
        await restore
        assert isinstance(got[-1], Done)
        assert "".join(e.text for e in got[:-1]).split() == words.split()
        late = await read_rest(bus, ask)
        assert [e.index for e in late] == list(range(len(late)))
        assert isinstance(late[-1], Done)


async def test_orphaned_question_is_ended(brains) -> None:
    """A question whose brain is gone gets a failure in the log and on the bus, from another brain."""
    running, settings = brains
    await running.provision()
    log = Log(settings)
    async with running.connected("brain") as dead:
        orphan = Turn(conversation="c9", answer="lost", role="user", text="?", at=0, worker="brain-00000000")
        await dead.record(orphan)
    async with running.running(log, Brain(settings)), running.connected() as bus:
        ask = question()
        async with asyncio.timeout(10), bus.answer_events("lost") as events:
            ending = (await anext(events)).message
        assert isinstance(ending, Failed)
        assert ending.code is Code.INTERRUPTED
        assert await bus.call(ask)


async def test_what_was_forgotten_is_in_no_later_prompt(brains) -> None:
    """The brain's own copy of the conversation goes with the log's, and an answer that runs is stopped."""
    running, settings = brains
    await running.provision()
    brain, log = Brain(settings), Log(settings)
    async with running.running(log, brain), running.connected() as bus:
        first = question("[say Quixzorb.]")
        await read(bus, first)
        key = ("home", "c1")
        assert "Quixzorb" in str(brain.histories.get(key))
        assert first.answer in brain.book.ended
        long = question("[say " + "word " * 400 + "]", conversation="c2")
        await bus.call(long)
        for conversation, ask in (("c1", first), ("c2", long)):
            await bus.record(TurnsForgotten(conversation=conversation, answers=(ask.answer,), at=1.0))
        await until(lambda: long.answer not in brain.book.running)
        assert brain.histories.get(key) is None
        assert brain.histories.get(("home", "c2")) is None
        assert first.answer not in brain.book.ended


async def test_what_the_owner_should_know_of_the_engine_is_in_the_heartbeat(brains, monkeypatch) -> None:
    """A brain whose card had too little memory works, and says so where `karais status` reads it."""
    running, settings = brains
    await running.provision()
    engine = ScriptedEngine(Script())
    described = msgspec.structs.replace(engine.description, alert="Answers are slower: the card is full.")
    monkeypatch.setattr(ScriptedEngine, "description", property(lambda self: described))
    brain = Brain(settings)
    async with running.running(Log(settings), brain), running.connected() as bus:
        await until(lambda: brain.condition.state == "ready")
        assert brain.condition.detail == described.alert
        assert (await bus.call(DescribeEngine())).alert == described.alert
