"""The brain's prompts over a long conversation, on a real bus with the real memory."""

from __future__ import annotations

import asyncio
import secrets
import time

import msgspec
import pytest

from agents.brain.agent import Brain
from agents.brain.context import Assembler
from agents.brain.engines.scripted import Script, ScriptedEngine
from agents.brain.histories import Remembered
from agents.memory import Memory
from schemas.chat import Ask, Compacted, Done, ReadConversation, Turn
from schemas.errors import Refused
from schemas.failure import Code
from schemas.forgetting import Forget
from schemas.projects import ChangeProject
from tests.hashing import HashEmbedder
from tests.integration.test_brain import scripted, until

CONTEXT = 1000
FACT = "My dog is called Rex."


@pytest.fixture
async def brain(start_bus, settings):
    """Run a brain that records its prompts; yield it and a connection."""
    running = start_bus(Brain, HashEmbedder, Memory)
    await running.provision()
    settings = msgspec.structs.replace(scripted(settings, {}), context=CONTEXT)
    brain = Brain(settings)
    async with running.running(HashEmbedder(settings), Memory(settings), brain), running.connected() as bus:
        brain.prompts = []
        generate = brain.engine.generate

        def recording(messages, sampling, **more):
            if not more["place"].background:
                brain.prompts.append(messages)
            return generate(messages, sampling, **more)

        brain.engine.generate = recording
        yield brain, bus


async def ask(bus, text: str, **fields) -> Done:
    ask = Ask(
        answer=fields.pop("answer", "") or secrets.token_hex(16),
        conversation=fields.pop("conversation", "c1"),
        text=text,
        retrieve=fields.pop("retrieve", False),
        **fields,
    )
    async with asyncio.timeout(20), bus.answer_events(ask.answer, history=False) as events:
        await bus.call(ask)
        return [event.message async for event in events][-1]


async def talk(brain, bus, turns: int, **fields) -> list[Done]:
    """Tell a fact, then talk of other things; each answer's background work is waited for."""
    ends = [await ask(bus, f"{FACT} [say Noted.]", answer="first", **fields)]
    for number in range(1, turns):
        text = f"[say Item {number} is kept. {'More of it. ' * 12}] What is item {number}?"
        ends.append(await ask(bus, text, **fields))
        await until(lambda: not brain.compactor._writing)
    return ends


def stood(before, after) -> bool:
    """Say whether a prompt begins with all of the one before it."""
    return after[: len(before)] == before


async def test_a_fact_from_the_first_of_forty_turns_is_still_in_the_prompt(brain) -> None:
    """The window lost its turn, a summary stands for it; all turns are in the log; few prompts begin anew."""
    brain, bus = brain
    ends = await talk(brain, bus, 40)
    assert all(isinstance(end, Done) for end in ends)
    last = brain.prompts[-1]
    assert not any(message.content.startswith(FACT) for message in last)
    assert f"I said: {FACT}" in last[1].content
    again = sum(
        not stood(before, after) for before, after in zip(brain.prompts, brain.prompts[1:], strict=False)
    )
    assert 1 <= again <= 12
    history = await bus.call(ReadConversation(conversation="c1"))
    assert len(history.turns) == 80
    assert history.summary.turns
    assert FACT in history.summary.text


async def test_a_new_brain_goes_on_from_the_summary(brain) -> None:
    """What the memory tells makes the same prompt as what the brain remembered."""
    brain, bus = brain
    await talk(brain, bus, 14)
    await ask(bus, "[say Yes.] Is it so?")
    await until(lambda: not brain.compactor._writing)
    remembered = brain.histories.get(("home", "c1"))
    one = await brain.assembler.build("And now?", remembered.turns, remembered.story)

    async def caught_up():
        history = await bus.call(ReadConversation(conversation="c1"))
        return history if history.sequence == remembered.sequence else None

    async with asyncio.timeout(10):
        while not (history := await caught_up()):
            await asyncio.sleep(0.05)
    read = Remembered.of(history)
    assert read.story.sequence == remembered.story.sequence > 0
    two = await brain.assembler.build("And now?", read.turns, read.story)
    assert two.messages == one.messages


async def test_what_is_forgotten_is_in_no_later_prompt(brain) -> None:
    """Forgetting the first turn takes the summaries that hold it; the conversation goes on."""
    brain, bus = brain
    await talk(brain, bus, 14)
    assert any("Rex" in message.content for message in brain.prompts[-1])
    await bus.call(Forget(answer="first"), timeout=30)
    await until(lambda: brain.histories.get(("home", "c1")) is None)
    await ask(bus, "[say Fine.] What is my dog called?")
    assert not any("Rex" in message.content for message in brain.prompts[-1])
    history = await bus.call(ReadConversation(conversation="c1"))
    assert history.summary is None or FACT not in history.summary.text


async def test_a_temporary_conversation_is_compacted_and_not_logged(brain) -> None:
    """Its summary is in later prompts and in no log."""
    brain, bus = brain
    await talk(brain, bus, 14, conversation="t1", temporary=True)
    assert f"I said: {FACT}" in brain.prompts[-1][1].content
    assert (await bus.jetstream.stream_info("CHAT")).state.messages == 0


async def test_an_answer_tells_what_went_in_when_asked(brain) -> None:
    """Parts with tokens that add up, in the order of the prompt, and what was left out; else nothing."""
    brain, bus = brain
    await bus.call(ChangeProject(project="boat", create=True, instructions="Be brief. " * 300))
    assert (await ask(bus, "[say Yes.] Is it?", project="boat")).explained is None
    end = await ask(bus, "[say Yes.] Is it so?", project="boat", explain=True)
    told = end.explained
    assert [part.name for part in told.parts] == ["system", "instructions", "history", "question"]
    assert sum(part.tokens for part in told.parts) == told.prompt_tokens == end.usage.prompt_tokens
    assert (told.context_tokens, told.answer_tokens) == (CONTEXT, CONTEXT // 2)
    assert [(left.name, left.reason) for left in told.left_out] == [("instructions", "share")]


async def test_a_question_longer_than_the_context_is_refused_before_anything_else(brain) -> None:
    """With both numbers and the field; nothing is in the log and the conversation is free."""
    brain, bus = brain
    with pytest.raises(Refused, match=r"2,000 tokens.*1,000") as refused:
        await ask(bus, "why " * 2000)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, "$.text")
    assert (await bus.jetstream.stream_info("CHAT")).state.messages == 0
    assert not brain.prompts
    await ask(bus, "[say Yes.] Is it?")


async def test_ten_thousand_turns_do_not_slow_a_turn() -> None:
    """The last prompts of so long a conversation are made in the time of the first hundred's."""
    assembler = Assembler(ScriptedEngine(Script(), context=CONTEXT))
    remembered = Remembered()
    taken: list[float] = []
    for number in range(5000):
        turn = Turn(conversation="c", answer=f"a{number}", role="user", text=f"What is {number}?", at=1.0)
        if number % 10 == 0:
            begun = time.perf_counter()
            await assembler.build(turn.text, remembered.turns, remembered.story)
            taken.append(time.perf_counter() - begun)
        reply = msgspec.structs.replace(turn, role="assistant", text=f"It is item {number}. " * 10)
        remembered = remembered.followed_by(turn, reply, number)
        if number % 50 == 49:
            remembered.story.summary = Compacted(
                conversation="c", text="I said: Hi.", turns=(f"a{number - 10}",), at=1.0
            )
    assert sorted(taken[-50:])[25] < 3 * sorted(taken[2:12])[5] + 0.005
    assert len(remembered.turns) <= 1000
