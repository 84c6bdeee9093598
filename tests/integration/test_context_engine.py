"""Prompts and summaries with the real engine and the default model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.brain.context import Assembler, Compactor, Story
from agents.brain.engine import Engine
from agents.brain.engines import open_engine
from bus.settings import Settings
from schemas.chat import Sampling, Turn, Usage
from schemas.documents import Passage

FACT = "My dog is called Rex and he is seven years old."


@pytest.fixture
async def engine(tmp_path: Path, models: Path) -> AsyncIterator[Engine]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(models)
    async with open_engine(Settings(home=home, engine="llamacpp", context=1536, slots=2, gpu_layers=0)) as it:
        yield it


class Conversation:
    """Asks an engine turn by turn, as the brain does; nothing is logged."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.assembler = Assembler(engine)
        self.compactor = Compactor(None, engine, self.assembler)  # type: ignore[arg-type]  # temporary: no log
        self.story = Story()
        self.turns: list[Turn] = []
        self.prompt = None

    async def ask(self, question: str, *, reply: str = "", **more) -> Usage:
        """Ask and wait for what is done behind the answer; ``reply`` stands for the model's."""
        self.prompt = await self.assembler.build(question, self.turns, self.story, max_tokens=30, **more)
        said, usage = reply, Usage()
        if not reply:
            async for piece in self.engine.generate(self.prompt.messages, Sampling(max_tokens=30, seed=1)):
                said += piece.text
                usage = piece.usage or usage
        for role, text in (("user", question), ("assistant", said)):
            answer = f"a{len(self.turns) // 2}"
            if role == "assistant":
                answer = self.turns[-1].answer
            self.turns.append(Turn(conversation="c", answer=answer, role=role, text=text, at=time.time()))
        self.compactor.ended(self.turns[-1], self.turns, self.story, self.prompt, temporary=True)
        async with asyncio.timeout(60):
            while self.compactor._writing or self.compactor._reading:
                await asyncio.sleep(0.02)
        return usage


async def test_only_what_is_new_is_read_from_turn_to_turn(engine: Engine) -> None:
    """Passages of an earlier question are gone, yet all before the new ones comes from the cache."""
    talk = Conversation(engine)
    for number in range(4):
        text = f"The box {number} holds {number + 3} red balls. " * 8
        found = [Passage(id=f"p-{number}", path=f"box{number}.md", text=text)]
        usage = await talk.ask(f"How many balls are in box {number}?", passages=found)
        if number:
            told = talk.prompt.explained(usage)
            old = sum(part.tokens for part in told.parts if part.name in ("system", "history"))
            new = told.prompt_tokens - usage.cached_tokens
            assert usage.cached_tokens >= old - 8
            assert new <= sum(part.tokens for part in told.parts if part.name in ("passages", "question")) + 8
            assert abs(talk.prompt.tokens - usage.prompt_tokens) <= 16
    assert not any(
        "red balls" in message.content for message in talk.prompt.messages[:-1] if message.role == "user"
    )


async def test_a_summary_by_the_model_keeps_what_the_user_said(engine: Engine) -> None:
    """What the window lost stands in the summary, within its share; nothing that no turn says is in it."""
    talk = Conversation(engine)
    await talk.ask(FACT, reply="I will keep that in mind.")
    for number in range(16):
        await talk.ask(
            f"What is item {number} for?", reply=f"Item {number} of the list is for the garden. " * 5
        )
    assert talk.story.summary
    assert f"I said: {FACT}" in talk.story.summary.text
    assert not any(message.content == FACT for message in talk.prompt.messages)
    assert FACT in talk.prompt.messages[1].content
    (tokens,) = await engine.measure([talk.story.summary.text])
    assert tokens <= talk.assembler.share("summary")
    lines = talk.story.summary.text.splitlines()
    assert all(line.partition(": ")[0] in ("I said", "You said", "I asked", "In short") for line in lines)
    assert not any("?" in line for line in lines if not line.startswith("I asked"))
