"""The OpenAI interface with the real small models: language and embedding."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from agents.brain.agent import Brain
from agents.embedder import Embedder
from agents.gateway.agent import Gateway
from bus.settings import Settings
from tests.peers import PlayedMemory

QUESTION: Any = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]


@pytest.fixture
def settings(tmp_path: Path, models: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(models)
    return Settings(home=home, port=0, slots=2, context=4096)


@pytest.fixture
async def agents(start_bus: Callable[..., Any], settings: Settings) -> AsyncIterator[dict[str, Any]]:
    kinds = (Gateway, Brain, PlayedMemory, Embedder)
    bus = start_bus(*kinds)
    await bus.provision()
    agents = {kind.kind: kind(settings) for kind in kinds}
    async with bus.running(*agents.values()):
        yield agents


async def test_the_small_models_answer_and_embed(settings: Settings, agents: dict[str, Any]) -> None:
    """Greedy answers repeat, streamed or not; vectors have length 1; who goes frees the slot at once."""
    url, key = agents["gateway"].address.url, settings.api_key.read_text().strip()
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {
            "model": settings.model,
            "messages": QUESTION,
            "temperature": 0,
            "seed": 1,
            "max_tokens": 40,
        }
        reply = await client.chat.completions.create(**asked)
        text = reply.choices[0].message.content
        assert text is not None
        assert "Paris" in text
        assert reply.model == settings.model
        assert reply.usage is not None
        assert 0 < reply.usage.completion_tokens <= 40
        stream = await client.chat.completions.create(**asked, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == text
        assert (await client.responses.create(model="karais", input="Say hello.")).output_text

        texts = ["The boiler was serviced in May.", "Cats sleep a lot."]
        vectors = (await client.embeddings.create(model=settings.embedding_model, input=texts)).data
        assert [math.isclose(math.hypot(*item.embedding), 1, rel_tol=1e-3) for item in vectors] == [True] * 2
        assert len(vectors[0].embedding) == 384

        engine = agents["brain"].engine
        endless = await client.chat.completions.create(
            model="karais", messages=QUESTION, max_tokens=2000, stream=True, extra_body={"ignore_eos": True}
        )
        await anext(endless)
        assert engine.running == 1
        begun = time.monotonic()
        await endless.close()
        while engine.running:
            await asyncio.sleep(0.01)
        assert time.monotonic() - begun < 1.0


async def test_the_small_model_keeps_to_schemas(settings: Settings, agents: dict[str, Any]) -> None:
    """A demanded call and a formatted answer are valid; probabilities are those of the answer's tokens."""
    url, key = agents["gateway"].address.url, settings.api_key.read_text().strip()
    place = {"type": "object", "properties": {"place": {"$ref": "#/$defs/Place"}}, "required": ["place"]}
    tool: Any = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather at a place.",
            "parameters": {
                **place,
                "$defs": {"Place": {"enum": ["Bonn", "Paris"]}},
                "additionalProperties": False,
            },
        },
    }
    shape: Any = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": "karais", "messages": QUESTION, "temperature": 0, "max_tokens": 100}
        reply = await client.chat.completions.create(**asked, tools=[tool], tool_choice="required")
        assert reply.choices[0].finish_reason == "tool_calls"
        call = reply.choices[0].message.tool_calls[0].function  # type: ignore[index,union-attr]
        assert call.name == "weather"
        assert json.loads(call.arguments)["place"] in ("Bonn", "Paris")
        form: Any = {"type": "json_schema", "json_schema": {"name": "town", "schema": shape}}
        formed = await client.chat.completions.create(**asked, response_format=form)
        value = json.loads(formed.choices[0].message.content or "")
        assert set(value) == {"city", "big"}
        assert isinstance(value["big"], bool)
        likely = await client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
        tokens = likely.choices[0].logprobs.content  # type: ignore[union-attr]
        assert tokens
        assert "".join(token.token for token in tokens).strip() == likely.choices[0].message.content
        assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in tokens)
        auto = await client.chat.completions.create(**asked, tools=[tool])
        assert "<tool_call>" not in (auto.choices[0].message.content or "")
