"""Requests of other interfaces as messages to the brain."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agents.gateway.failures import failure_of
from agents.gateway.ollama import chat_of as ollama_chat
from agents.gateway.openai import chat, responses
from schemas.completion import Complete
from schemas.errors import KaraisError
from schemas.failure import Code, Failure
from schemas.ollama import OllamaChatRequest, OllamaFailure
from schemas.openai import ChatCompletionRequest, OpenAIFailure
from schemas.openai_responses import ResponseRequest

HI = [{"role": "user", "content": "Hi."}]


def translated(**body: Any) -> Complete:
    """Return what a chat completion becomes, as it crosses the bus."""
    ask = chat.complete_of(msgspec.convert({"messages": HI, **body}, ChatCompletionRequest))
    return msgspec.json.decode(msgspec.json.encode(ask), type=Complete)


def test_nothing_of_karais_is_used_unless_asked_for() -> None:
    """A plain request looks nothing up, keeps nothing and belongs to no project but home."""
    ask = translated()
    assert (ask.retrieve, ask.remember, ask.background, ask.project) == (False, False, False, "home")
    extras = {"project": "boat", "retrieve": True, "remember": True, "conversation": "c1", "background": True}
    ask = translated(karais={**extras, "adapter": "tone"})
    assert {name: getattr(ask, name) for name in extras} == extras
    assert ask.sampling.adapter == "tone"


def test_values_that_engines_cannot_do_are_brought_into_range() -> None:
    """Clients send what OpenAI takes; what the brain would refuse of it is brought near."""
    sampling = translated(max_tokens=100_000, seed=-1, top_p=0, top_k=-1, stop=["", "x"]).sampling
    assert sampling.max_tokens == 8192
    assert sampling.seed == 2**32 - 2
    assert sampling.top_p is not None
    assert 0 < sampling.top_p < 0.01
    assert (sampling.top_k, sampling.stop) == (None, ("x",))
    assert translated(max_tokens=5, max_completion_tokens=7).sampling.max_tokens == 7
    assert translated(logprobs=True).sampling.logprobs == 0
    assert translated(logprobs=True, top_logprobs=3).sampling.logprobs == 3


def test_a_user_is_a_share_of_its_own_whatever_its_name() -> None:
    """Names that are no tokens of a subject become some, always the same."""
    assert translated(user="phone").share == "phone"
    mail = translated(user="anna@example.org").share
    assert mail == translated(user="anna@example.org").share
    assert mail not in ("", translated(user="bert@example.org").share)
    assert translated().share == ""


def test_formats_become_schemas() -> None:
    """Text is free, json_object any object, json_schema its schema."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert translated(response_format={"type": "text"}).format == ""
    assert translated(response_format={"type": "json_object"}).format == '{"type":"object"}'
    formed = translated(response_format={"type": "json_schema", "json_schema": {"schema": schema}}).format
    assert msgspec.json.decode(formed) == schema
    with pytest.raises(KaraisError):
        translated(response_format={"type": "json_schema"})


def test_a_named_tool_is_the_one_that_has_to_be_called() -> None:
    """The choice by name is ``required`` and the name."""
    tools = [{"type": "function", "function": {"name": "clock"}}]
    named = translated(tools=tools, tool_choice={"type": "function", "function": {"name": "clock"}})
    assert (named.tool_choice, named.tool) == ("required", "clock")
    assert translated(tools=tools).tool_choice == "auto"


def test_calls_without_identities_are_answered_by_name_then_in_order() -> None:
    """Ollama's messages name the tool at most; two calls of one tool are answered in their order."""
    calls = [{"function": {"name": name, "arguments": {"n": n}}} for n, name in enumerate(("a", "b", "a"))]
    body = {
        "model": "",
        "messages": [
            *HI,
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "content": "of b", "tool_name": "b"},
            {"role": "tool", "content": "of the first a", "name": "a"},
            {"role": "tool", "content": "of the other"},
            {"role": "tool", "content": "of nothing"},
        ],
        "options": {"num_predict": -1},
    }
    ask = ollama_chat(msgspec.convert(body, OllamaChatRequest))
    ids = [call.id for call in ask.messages[1].calls]
    assert [message.call for message in ask.messages[2:]] == [ids[1], ids[0], ids[2], ""]
    assert ask.sampling.max_tokens == 1024


def test_items_of_a_response_are_messages() -> None:
    """Instructions come first; reasoning of other models is left out."""
    body = {
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "In German."},
            {"type": "reasoning"},
            {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "12:00"},
        ],
    }
    ask = responses.complete_of(msgspec.convert(body, ResponseRequest))
    assert [message.role for message in ask.messages] == ["system", "system", "assistant", "tool"]
    assert ask.messages[3].call == ask.messages[2].calls[0].id == "c1"


def test_failures_have_the_shape_of_their_interface() -> None:
    """Which shape it is goes by the path, and all paths of KARAIS' own have KARAIS' own."""
    failure = Failure(code=Code.NOT_FOUND, message="No.", field="$.model")
    said = failure_of(failure, "/v1/chat/completions")
    assert isinstance(said, OpenAIFailure)
    assert (said.error.param, said.error.code) == ("model", "model_not_found")
    assert failure_of(failure, "/api/chat") == OllamaFailure(error="No.")
    assert failure_of(failure, "/api/v1/ask") is failure
    assert failure_of(failure, "/healthz") is failure
