"""Completions at the brain, on a real bus with the scripted engine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from agents.brain.agent import Brain
from agents.brain.engine import Constraint, Place
from bus.settings import Settings
from schemas.chat import Answering, Cancel, Delta, Done, Failed, Sources, ToolCall, ToolCalls
from schemas.completion import MAX_PROMPT_CHARS, Complete, CompletionMessage, Tool
from schemas.errors import Refused
from schemas.failure import Code
from tests.peers import PlayedMemory

CLOCK = Tool(name="clock", parameters={"type": "object"})


def prompt(text: str, **more: Any) -> Complete:
    message = CompletionMessage(role="user", content=text)
    return Complete(**{"answer": secrets.token_hex(16), "messages": (message,), **more})


async def read(bus: Any, ask: Complete) -> list[Any]:
    async with asyncio.timeout(15), bus.answer_events(ask.answer, history=False) as events:
        await bus.call(ask)
        return [event.message async for event in events]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def brain(start_bus: Callable[..., Any], settings: Settings) -> AsyncIterator[Any]:
    """A brain and a memory; the brain has a connection to ask it by."""
    running = start_bus(Brain, PlayedMemory)
    await running.provision()
    brain: Any = Brain(msgspec.structs.replace(settings, engine="scripted"))
    brain.memory = PlayedMemory(settings)
    async with running.running(brain.memory, brain), running.connected() as asking:
        brain.asking = asking
        yield brain


async def test_a_prompt_is_continued_and_nothing_is_kept(brain: Any) -> None:
    """Deltas by index without gaps, then Done with what it cost; the log stays empty."""
    events = await read(brain.asking, prompt("[say One two three.]"))
    assert [event.index for event in events] == list(range(len(events)))
    assert "".join(event.text for event in events[:-1]) == "One two three."
    assert events[-1].usage.completion_tokens == 3
    assert (await brain.asking.jetstream.stream_info("CHAT")).state.messages == 0
    assert brain.book.running == {}


async def test_asking_twice_asks_once(brain: Any) -> None:
    """A repetition, as after a lost reply, is accepted and generates nothing."""
    ask = prompt("[say Hello.]")
    assert await brain.asking.call(ask) == await brain.asking.call(ask)
    await until(lambda: ask.answer in brain.book.ended)
    assert (await brain.asking.call(ask)).worker == brain.bus.instance
    assert [type(event) for event in brain.book.ended[ask.answer].events] == [Delta, Done]


async def test_a_cancel_ends_it_even_when_it_comes_first(brain: Any) -> None:
    """What runs is stopped with its text so far; what comes behind its Cancel is not begun."""
    ask = prompt("[say One two] [stall after 1]")
    async with asyncio.timeout(15), brain.asking.answer_events(ask.answer, history=False) as events:
        await brain.asking.call(ask)
        assert (await anext(events)).message.text == "One"
        await brain.asking.publish(Cancel(answer=ask.answer))
        assert (await anext(events)).message.finish_reason == "cancelled"
    await until(lambda: brain.engine.running == 0)
    late = prompt("[stall]")
    await brain.asking.publish(Cancel(answer=late.answer))
    await brain.asking.client.flush()
    await asyncio.sleep(0.05)
    events = await read(brain.asking, late)
    assert [event.finish_reason for event in events] == ["cancelled"]


async def test_an_engine_that_fails_fails_the_completion(brain: Any) -> None:
    """It ends with Failed, whatever the engine does; the next one works."""
    events = await read(brain.asking, prompt("[say a b c d] [fail after 2]"))
    assert isinstance(events[-1], Failed)
    assert events[-1].code is Code.UNAVAILABLE

    async def broken(*_: Any, **__: Any) -> AsyncIterator[Any]:
        raise ZeroDivisionError
        yield

    whole, brain.engine.generate = brain.engine.generate, broken
    assert (await read(brain.asking, prompt("x")))[-1].code is Code.INTERNAL
    brain.engine.generate = whole
    assert isinstance((await read(brain.asking, prompt("[say Fine.]")))[-1], Done)


async def test_the_engine_is_told_the_constraint_and_whose_it_is(brain: Any) -> None:
    """A format constrains all of it; shares are apart by program; background gives way and is no answer."""
    told: list[Any] = []
    generate = brain.engine.generate

    def listening(*args: Any, constraint: Constraint | None, place: Place) -> Any:
        told.append((constraint, place))
        return generate(*args, constraint=constraint, place=place)

    brain.engine.generate = listening
    async with brain.asking.subscribe(Answering) as said:
        ask = prompt("[say {}]", format='{"type":"object"}', share="phone", background=True)
        await read(brain.asking, ask)
        assert told == [(Constraint('{"type":"object"}'), Place("owner/phone", background=True))]
        assert (await anext(said)).message.running == 0
        await read(brain.asking, prompt("[say x]"))
        assert told[1] == (None, Place("owner"))
        assert 1 in [(await anext(said)).message.running for _ in range(2)]


async def test_tools_are_called_and_passages_found_in_one_completion(brain: Any) -> None:
    """Sources come first, the call last; a tool's own text is searched for nothing."""
    call = '<tool_call>{"name": "clock", "arguments": {}}</tool_call>'
    ask = prompt(f"[say I look. {call}]", tools=(CLOCK,), retrieve=True)
    events = await read(brain.asking, ask)
    assert [type(event) for event in events] == [Sources, Delta, Delta, ToolCalls, Done]
    assert events[-1].finish_reason == "tool_calls"
    brain.memory.recalled.clear()
    answered = (
        CompletionMessage(role="user", content="How late is it?"),
        CompletionMessage(role="assistant", calls=events[-2].calls),
        CompletionMessage(role="tool", content="[say Noon.]", call=events[-2].calls[0].id),
    )
    after = await read(brain.asking, prompt("", messages=answered, tools=(CLOCK,), retrieve=True))
    assert "Noon." in "".join(event.text for event in after if isinstance(event, Delta))
    assert [asked.query for asked in brain.memory.recalled] == ["How late is it?"]


async def test_only_complete_answers_are_remembered(brain: Any) -> None:
    """A call of tools, a failure and what was cancelled are no exchange; the same answer is kept once."""
    call = '<tool_call>{"name": "clock", "arguments": {}}</tool_call>'
    await read(brain.asking, prompt(f"[say {call}]", tools=(CLOCK,), remember=True))
    await read(brain.asking, prompt("[fail]", remember=True))
    assert (await brain.asking.jetstream.stream_info("CHAT")).state.messages == 0
    ask = prompt("[say Yes.]", remember=True, conversation="c7")
    await read(brain.asking, ask)
    await brain.asking.call(ask)
    assert (await brain.asking.jetstream.stream_info("CHAT")).state.messages == 2


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        (
            {"messages": (CompletionMessage(role="system", content="x"),), "retrieve": True},
            "invalid",
            "$.messages",
        ),
        ({"format": "{"}, "invalid", "$.format"),
        ({"format": "[]"}, "invalid", "$.format"),
        ({"tools": (CLOCK,), "tool_choice": "required", "tool": "x"}, "invalid", "$.tool_choice"),
        ({"project": "boat"}, "not_found", ""),
        (
            {"messages": (CompletionMessage(role="user", content="x" * (MAX_PROMPT_CHARS + 1)),)},
            "too_large",
            "$.messages",
        ),
        (
            {
                "messages": (
                    CompletionMessage(
                        role="assistant",
                        calls=(ToolCall(id="t", name="n", arguments="x" * (MAX_PROMPT_CHARS + 1)),),
                    ),
                )
            },
            "too_large",
            "$.messages",
        ),
        (
            {"messages": (CompletionMessage(role="user", content="x" * 40_000),), "remember": True},
            "invalid",
            "$.messages",
        ),
    ],
)
async def test_what_cannot_be_is_refused_before_it_begins(
    brain: Any, more: dict[str, Any], code: str, field: str
) -> None:
    """The refusal is the reply, with the field; nothing runs afterwards."""
    with pytest.raises(Refused) as refused:
        await brain.asking.call(prompt("x", **more))
    assert refused.value.code == code
    if field:
        assert refused.value.field == field
    assert brain.book.running == {}
