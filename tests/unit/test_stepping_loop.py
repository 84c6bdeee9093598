"""The stepping engine around a model that is told what to do: failures, cancellation, room, short steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.brain.engine import ChatMessage, Constraint
from agents.brain.stepping import loop
from agents.brain.stepping.adapters import Adapters
from agents.brain.stepping.engine import SteppingEngine
from agents.brain.stepping.pages import PagedLane, Pages
from agents.brain.stepping.vocabulary import Vocabulary
from schemas.chat import Sampling
from schemas.errors import KaraisError, Unavailable
from schemas.health import EngineDescription
from stores.weights.adapters import Adapter, Shape
from stores.weights.registry import Profile
from stores.weights.tokenizer import Special

WORDS = ["<end>", "{", "}", '"a"', ":", "1", " the", " sea", " is", " wide"]
END, THE = 0, 6


class ToldRunner:
    """Computes logits that make the model say the words after one another; told to fail or to be slow."""

    def __init__(self, tokens: int = 400) -> None:
        self.capacity = tokens
        self.pages = Pages(tokens // 4, 4, lambda source, target: None)
        self.failures: list[Exception] = []
        self.seconds_a_token = 0.0
        self.calls: list[list[int]] = []

    def begin(self, tokens: Sequence[int], most: int, space: str) -> PagedLane | None:
        return self.pages.begin(tokens, most, space)

    def adapt(self, adapter: Adapter) -> None:
        raise AssertionError

    def forward(self, work: Sequence[tuple[Any, Sequence[int]]]) -> np.ndarray:
        self.calls.append([len(tokens) for _, tokens in work])
        if self.failures:
            raise self.failures.pop()
        time.sleep(self.seconds_a_token * sum(self.calls[-1]))
        logits = np.zeros((len(work), len(WORDS)), np.float32)
        for number, (lane, tokens) in enumerate(work):
            self.pages.append(lane, tokens)
            logits[number, THE + lane.length % 4] = 9.0
        return logits

    def end(self, lane: Any) -> None:
        self.pages.end(lane)

    def close(self) -> None:
        pass


class WordPrompts:
    """A prompt's tokens: one for each word, whatever it is."""

    def tokens(self, messages: Sequence[ChatMessage]) -> list[int]:
        return [1 + hash(word) % 9 for word in messages[-1].content.split()]


def vocabulary() -> Vocabulary:
    from tokenizers import AddedToken, Tokenizer, decoders, models

    tokenizer = Tokenizer(models.BPE({}, []))
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in WORDS])
    tokenizer.decoder = decoders.Fuse()
    return Vocabulary(tokenizer, Special(ends=(END,)))


@pytest.fixture
def runner() -> ToldRunner:
    return ToldRunner()


@pytest.fixture
async def engine(runner: ToldRunner, tmp_path: Path) -> AsyncIterator[SteppingEngine]:
    description = EngineDescription(
        engine="told", model="words", context_tokens=runner.capacity, slots=4, threads=1, device="cpu"
    )
    adapters = Adapters(tmp_path, Shape("words", 1, 1, 1, {}), lambda: None)
    words = vocabulary()
    engine = SteppingEngine(runner, description, Profile(temperature=0.0), words, WordPrompts(), adapters)  # type: ignore[arg-type]  # as prompts are asked
    yield engine
    await engine.close()


async def said(engine: SteppingEngine, text: str = "tell me", tokens: int = 6, **more: Any) -> str:
    messages = [ChatMessage("user", text)]
    return "".join([p.text async for p in engine.generate(messages, Sampling(max_tokens=tokens), **more)])


async def until_idle(engine: SteppingEngine) -> None:
    async with asyncio.timeout(5):
        while engine.running:
            await asyncio.sleep(0.001)


async def test_answers_side_by_side_say_what_each_says_alone(engine: SteppingEngine) -> None:
    prompts = [f"{'word ' * n}tell me" for n in range(4)]
    alone = [await said(engine, prompt, 12) for prompt in prompts]
    assert await asyncio.gather(*(said(engine, prompt, 12) for prompt in prompts)) == alone


async def test_a_step_that_fails_ends_its_answers_and_the_next_ones_are_answered(
    engine: SteppingEngine, runner: ToldRunner
) -> None:
    runner.failures.append(MemoryError("no room on the card"))
    with pytest.raises(Unavailable, match="no room on the card"):
        await said(engine)
    assert engine.healthy
    assert await said(engine)
    await until_idle(engine)
    assert runner.pages.room == 100, "its blocks were given back"


async def test_a_long_prompt_is_read_in_short_steps_and_can_be_left_between_them(
    engine: SteppingEngine, runner: ToldRunner
) -> None:
    runner.seconds_a_token = loop.STEP_SECONDS / 32
    task = asyncio.create_task(said(engine, "word " * 350))
    while not runner.calls:
        await asyncio.sleep(0.001)
    begun = time.monotonic()
    task.cancel()
    await until_idle(engine)
    assert time.monotonic() - begun < 64 / 32 * loop.STEP_SECONDS * 3, "within a step or two"
    assert sum(map(sum, runner.calls)) < 350, "most of it was not read"


async def test_others_get_their_tokens_while_a_long_prompt_is_read(
    engine: SteppingEngine, runner: ToldRunner
) -> None:
    runner.seconds_a_token = 0.0005
    talking = asyncio.create_task(said(engine, "tell me", 40))
    await asyncio.sleep(0.01)
    await said(engine, "word " * 300, 2)
    assert any(len(call) == 2 and max(call) > 1 for call in runner.calls), "in one step with it"
    await talking


async def test_a_choice_that_fails_ends_one_answer_alone(engine: SteppingEngine) -> None:
    good = asyncio.create_task(said(engine, "tell me", 30))
    with pytest.raises(KaraisError, match="schema"):
        await said(engine, constraint=Constraint('{"type": "no such type"}'))
    assert len((await good).split()) == 30


async def test_an_answer_is_held_to_its_schema_and_ends_with_it(engine: SteppingEngine) -> None:
    schema = '{"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}'
    assert await said(engine, constraint=Constraint(schema), tokens=40) == '{"a":1}'


async def test_a_schema_counts_from_its_trigger_on(engine: SteppingEngine) -> None:
    schema = '{"const": 1}'
    text = await said(engine, constraint=Constraint(schema, trigger=" sea"), tokens=40)
    assert text.endswith(" sea1"), text


async def test_log_probabilities_are_told_with_the_text(engine: SteppingEngine) -> None:
    pieces = [
        piece
        async for piece in engine.generate(
            [ChatMessage("user", "tell me")], Sampling(max_tokens=5, logprobs=2)
        )
    ]
    told = [likely for piece in pieces for likely in piece.logprobs]
    assert len(told) == 5
    assert "".join(piece.text for piece in pieces) == "".join(likely.token for likely in told)
    assert all(likely.top[0].token == likely.token and len(likely.top) == 2 for likely in told)


async def test_an_engine_whose_thread_is_gone_says_that_it_is_ill(engine: SteppingEngine) -> None:
    assert engine.healthy
    engine._loop.end(1.0)
    assert not engine.healthy
    with pytest.raises(Unavailable):
        await said(engine)
