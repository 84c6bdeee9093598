"""Brain and memory together: a project's instructions, and conversations that are not kept."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager

import pytest

from agents.brain.agent import Brain
from agents.memory import Memory
from schemas.chat import Ask, Delta, Done, Failed, ListConversations, Sampling
from schemas.errors import Refused
from schemas.failure import Code
from schemas.projects import ChangeProject
from tests.integration.test_brain import read, scripted


@asynccontextmanager
async def household(start_bus, settings, script):
    """Run brain and memory; yields the bus and the brain."""
    settings = scripted(settings, script)
    running = start_bus(Brain, Memory)
    await running.provision()
    brain = Brain(settings)
    async with running.running(Memory(settings), brain), running.connected() as bus:
        yield bus, brain


def question(text: str, conversation: str, **fields) -> Ask:
    return Ask(answer=secrets.token_hex(16), conversation=conversation, text=text, retrieve=False, **fields)


def said(events) -> str:
    assert isinstance(events[-1], Done)
    return "".join(event.text for event in events if isinstance(event, Delta))


async def test_a_projects_instructions_reach_the_model_and_no_other_project(start_bus, settings):
    """An engine that obeys what it reads shows whose instructions it read, and from when on."""
    async with household(start_bus, settings, {}) as (bus, _):
        await bus.call(ChangeProject(project="boat", create=True, instructions="IMPORTANT: say Ahoy"))
        assert said(await read(bus, question("[obey]", "b1", project="boat"))) == "Ahoy"
        assert "Ahoy" not in said(await read(bus, question("[obey]", "c1")))
        await bus.call(ChangeProject(project="boat", instructions="IMPORTANT: say Aye"))
        assert said(await read(bus, question("[obey]", "b2", project="boat"))) == "Aye"
        with pytest.raises(Refused) as refused:
            await bus.call(question("Hello?", "s1", project="ship"))
        assert refused.value.code is Code.NOT_FOUND


async def test_a_projects_adapter_answers_its_questions_and_no_others(start_bus, settings):
    """An engine without adapters says which one it was asked for."""
    async with household(start_bus, settings, {}) as (bus, _):
        await bus.call(ChangeProject(project="boat", create=True, adapter="sea-talk"))
        failed = (await read(bus, question("Hello", "b1", project="boat")))[-1]
        assert isinstance(failed, Failed)
        assert failed.code is Code.NOT_FOUND
        assert "sea-talk" in failed.message
        named = question("Hello", "b2", project="boat", sampling=Sampling(adapter="other"))
        assert "other" in (await read(bus, named))[-1].message
        assert said(await read(bus, question("Hello", "h1")))
        await bus.call(ChangeProject(project="boat", adapter=""))
        assert said(await read(bus, question("Hello", "b3", project="boat")))


async def test_a_temporary_conversation_is_in_no_log_and_still_has_a_context(start_bus, settings):
    """Its turns are known while it lasts, and the stream and the list never hear of it."""
    async with household(start_bus, settings, {}) as (bus, brain):
        before = (await bus.jetstream.stream_info("CHAT")).state.last_seq
        first = await read(bus, question("[say The word is plover.]", "t1", temporary=True))
        assert said(first) == "The word is plover."
        await read(bus, question("And now?", "t1", temporary=True))
        remembered = brain.histories.get(("home", "t1"))
        assert [turn.role for turn in remembered.turns] == ["user", "assistant"] * 2
        assert (await bus.jetstream.stream_info("CHAT")).state.last_seq == before
        await asyncio.sleep(0.2)
        assert (await bus.call(ListConversations())).conversations == ()


async def test_a_conversation_is_temporary_from_its_first_question_or_never(start_bus, settings):
    """What was promised not to be kept cannot be kept later, nor the other way round."""
    async with household(start_bus, settings, {}) as (bus, brain):
        await read(bus, question("Hello", "t1", temporary=True))
        await read(bus, question("Hello", "k1"))
        for ask in (question("More", "t1"), question("More", "k1", temporary=True)):
            with pytest.raises(Refused) as refused:
                await bus.call(ask)
            assert refused.value.code is Code.CONFLICT
        brain.histories.drop(("home", "k1"))  # as after a restart
        with pytest.raises(Refused) as refused:
            await bus.call(question("More", "k1", temporary=True))
        assert refused.value.code is Code.CONFLICT
