"""How engines choose tokens: likelihoods, penalties, schemas, and what they keep of earlier prompts."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from agents.brain.engine import ChatMessage, Constraint, Engine
from schemas.chat import Sampling
from schemas.errors import KaraisError
from schemas.failure import Code
from tests.contract.engines import asking, pieces_of, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEDY = Sampling(max_tokens=200, temperature=0)
SEA = "Describe the sea in one sentence."


def digit(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 9


SCHEMAS: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "object": (
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 20},
                "age": {"type": "integer", "minimum": 0, "maximum": 120},
            },
            "required": ["name", "age"],
            "additionalProperties": False,
        },
        lambda v: set(v) == {"name", "age"} and len(v["name"]) <= 20 and 0 <= v["age"] <= 120,
    ),
    "enum": ({"enum": ["red", "green", "blue"]}, lambda v: v in ("red", "green", "blue")),
    "nested arrays": (
        {
            "type": "array",
            "minItems": 2,
            "maxItems": 3,
            "items": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": {"type": "integer", "minimum": 0, "maximum": 9},
            },
        },
        lambda v: 2 <= len(v) <= 3 and all(len(row) == 2 and all(map(digit, row)) for row in v),
    ),
    "integer": ({"type": "integer", "minimum": 10, "maximum": 99}, lambda v: 10 <= v <= 99),
    "reference": (
        {
            "$ref": "#/$defs/call",
            "$defs": {
                "call": {
                    "type": "object",
                    "properties": {"name": {"const": "clock"}, "arguments": {"$ref": "#/$defs/none"}},
                    "required": ["name", "arguments"],
                    "additionalProperties": False,
                },
                "none": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        },
        lambda v: v == {"name": "clock", "arguments": {}},
    ),
    "choice": (
        {"anyOf": [{"type": "null"}, {"type": "boolean"}, {"type": "string", "pattern": "^[a-z]{2,8}$"}]},
        lambda v: v is None or isinstance(v, bool) or (isinstance(v, str) and v.islower()),
    ),
}


async def test_each_token_has_its_likelihood_and_those_of_others(engine: Engine) -> None:
    sampling = Sampling(max_tokens=12, temperature=0, logprobs=3, ignore_end=True)
    pieces = await pieces_of(engine, SEA, sampling)
    likely = [token for piece in pieces for token in piece.logprobs]
    usage = pieces[-1].usage
    assert usage is not None
    assert len(likely) == usage.completion_tokens == 12
    assert "".join(token.token for token in likely) == "".join(piece.text for piece in pieces)
    for token in likely:
        assert token.logprob <= 0
        assert bytes(token.bytes).decode() == token.token
        assert len(token.top) == 3
        assert [other.logprob for other in token.top] == sorted((o.logprob for o in token.top), reverse=True)
        assert sum(math.exp(other.logprob) for other in token.top) <= 1.001
        assert token.top[0].token == token.token, "greedy takes the most likely one"
        assert math.isclose(token.top[0].logprob, token.logprob, abs_tol=1e-3)
        assert all(other.top == () for other in token.top)


async def test_likelihoods_come_only_when_asked_for_and_without_others_if_so(engine: Engine) -> None:
    plain = await pieces_of(engine, SEA, Sampling(max_tokens=6, ignore_end=True))
    assert all(piece.logprobs == () for piece in plain)
    own = await pieces_of(engine, SEA, Sampling(max_tokens=6, ignore_end=True, logprobs=0))
    likely = [token for piece in own for token in piece.logprobs]
    assert len(likely) == 6
    assert all(token.top == () and token.logprob <= 0 for token in likely)


async def test_the_most_likely_of_one_is_greedy(engine: Engine) -> None:
    greedy = Sampling(max_tokens=24, temperature=0)
    await text_of(engine, SEA, greedy)  # the next ones find the same prefix cached
    one = Sampling(max_tokens=24, temperature=1.5, top_k=1, seed=3)
    assert await text_of(engine, SEA, one) == await text_of(engine, SEA, greedy)


async def test_penalties_keep_it_from_repeating(engine: Engine) -> None:
    question = "Say after me: tomato tomato tomato tomato tomato tomato"
    plain = await text_of(engine, question, Sampling(max_tokens=24, temperature=0))
    for penalty in (
        Sampling(max_tokens=24, temperature=0, frequency_penalty=2.0),
        Sampling(max_tokens=24, temperature=0, presence_penalty=2.0),
    ):
        penalised = await text_of(engine, question, penalty)
        assert penalised != plain
        assert penalised.count("tomato") <= plain.count("tomato")


@pytest.mark.parametrize("name", SCHEMAS)
async def test_an_answer_is_held_to_its_schema_and_ends_with_it(engine: Engine, name: str) -> None:
    schema, satisfied = SCHEMAS[name]
    constraint = Constraint(schema=json.dumps(schema))
    for sampling in (GREEDY, Sampling(max_tokens=200, temperature=1.0, seed=5)):
        pieces = await pieces_of(engine, "Tell me about Ada.", sampling, constraint=constraint)
        text = "".join(piece.text for piece in pieces)
        assert satisfied(json.loads(text)), text
        assert pieces[-1].finish_reason == "stop"


async def test_an_answer_is_free_until_the_trigger_and_held_from_there_on(engine: Engine) -> None:
    whole = await text_of(engine, SEA, Sampling(max_tokens=24, temperature=0))
    trigger = whole.split()[2]
    schema, satisfied = SCHEMAS["object"]
    constraint = Constraint(schema=json.dumps(schema), trigger=trigger)
    pieces = await pieces_of(engine, SEA, GREEDY, constraint=constraint)
    before, found, value = "".join(piece.text for piece in pieces).partition(trigger)
    assert found
    assert whole.startswith(before)
    assert satisfied(json.loads(value))
    assert pieces[-1].finish_reason == "stop"


async def test_an_answer_without_the_trigger_is_free(engine: Engine) -> None:
    sampling = Sampling(max_tokens=24, temperature=0)
    await text_of(engine, SEA, sampling)
    constraint = Constraint(schema='{"type": "integer"}', trigger="<tool_call>")
    assert await text_of(engine, SEA, sampling, constraint) == await text_of(engine, SEA, sampling)


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "string", "minLength": 5, "maxLength": 2}',
        '{"$ref": "#/definitions/nothing"}',
        '{"enum": []}',
        '{"type": "string", "pattern": "(a"}',
        '{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}',
        "no JSON",
        json.dumps({"type": "object", "description": "x" * 1_000_000}),
    ],
    ids=lambda schema: schema[:40],
)
@pytest.mark.parametrize("trigger", ["", "<tool_call>"])
async def test_an_impossible_schema_is_refused_and_no_other_is_hurt(
    engine: Engine, schema: str, trigger: str
) -> None:
    sampling = Sampling(max_tokens=16, ignore_end=True)
    good = [asyncio.create_task(pieces_of(engine, f"Tell me of {n}.", sampling)) for n in range(3)]
    with pytest.raises(KaraisError, match="schema") as refused:
        await pieces_of(engine, SEA, GREEDY, constraint=Constraint(schema=schema, trigger=trigger))
    assert refused.value.code is Code.INVALID
    assert all(pieces[-1].finish_reason == "length" for pieces in await asyncio.gather(*good))


@pytest.mark.parametrize(
    "pattern", ["^(.*a.{50}){20}$", "^([a-z]{1,500}[0-9]{1,500}){1,500}$", "^(a|b)*a(a|b){40}(a+)+$"]
)
async def test_an_expensive_pattern_is_held_or_refused_and_stops_no_other(
    engine: Engine, pattern: str
) -> None:
    """Whether it is held depends on the engine's bounds; nobody waits for long, and nothing wrong comes."""
    sampling = Sampling(max_tokens=24, ignore_end=True)
    good = [asyncio.create_task(pieces_of(engine, f"Tell me of {n}.", sampling)) for n in range(3)]
    constraint = Constraint(schema=json.dumps({"type": "string", "pattern": pattern}))
    async with asyncio.timeout(20):
        asked = text_of(engine, SEA, Sampling(max_tokens=24), constraint)
        (answer,) = await asyncio.gather(asked, return_exceptions=True)
        if isinstance(answer, KaraisError):
            assert answer.code is Code.INVALID
        else:
            assert isinstance(answer, str)
            assert answer.startswith('"')
        assert all(pieces[-1].finish_reason == "length" for pieces in await asyncio.gather(*good))


async def test_the_next_turn_finds_the_conversation_in_the_prefix_cache(engine: Engine) -> None:
    messages = [
        ChatMessage("system", "You know much of ships and of the sea, and answer briefly. " * 12),
        ChatMessage("user", "Tell me of the sea."),
    ]
    sampling = Sampling(max_tokens=16, temperature=0, ignore_end=True)
    first = [piece async for piece in engine.generate(messages, sampling)]
    text = "".join(piece.text for piece in first)
    messages += [ChatMessage("assistant", text), ChatMessage("user", "And of ships?")]
    second = [piece async for piece in engine.generate(messages, sampling)]
    before, after = first[-1].usage, second[-1].usage
    assert before is not None
    assert after is not None
    assert after.cached_tokens >= 0.9 * before.prompt_tokens
    assert after.cached_tokens < after.prompt_tokens


async def test_an_unknown_adapter_is_not_found(engine: Engine) -> None:
    with pytest.raises(KaraisError, match="no-such-adapter") as refused:
        await pieces_of(engine, SEA, Sampling(adapter="no-such-adapter"))
    assert refused.value.code is Code.NOT_FOUND
    assert await engine.count(asking(SEA)) > 0
