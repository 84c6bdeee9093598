"""The routes of Ollama, spoken to by the official client; the engine is scripted."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ollama
import pytest

from tests.integration.conftest import Client

CALL = '<tool_call>{"name": "light", "arguments": {"on": true}}</tool_call>'
LIGHT: Any = {
    "type": "function",
    "function": {
        "name": "light",
        "description": "Switch the light.",
        "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}},
    },
}


@pytest.fixture
def client(assistant: Client) -> ollama.AsyncClient:
    key = assistant.key  # type: ignore[attr-defined]
    return ollama.AsyncClient(host=assistant.url, headers={"Authorization": f"Bearer {key}"})


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


async def test_a_chat_comes_in_one_piece_or_as_lines(client: ollama.AsyncClient) -> None:
    """The model may have Ollama's tag; counts and durations are in the last line."""
    reply = await client.chat(model="scripted:latest", messages=said("[say One two.]"))
    assert reply.message.content == "One two."
    assert (reply.done, reply.done_reason, reply.eval_count) == (True, "stop", 2)
    assert reply.total_duration
    stream = await client.chat(
        model="karais",
        messages=[{"role": "system", "content": "Be brief."}, *said("[say One two three.]")],
        stream=True,
        options={"num_predict": 2, "num_ctx": 2048, "top_k": 40, "temperature": 0.1, "stop": ["x"]},
        keep_alive="5m",
    )
    lines = [line async for line in stream]
    assert "".join(line.message.content or "" for line in lines) == "One two"
    assert [line.done for line in lines] == [False, False, True]
    assert lines[-1].done_reason == "length"


async def test_a_tool_is_called_and_answered_as_home_automation_does(client: ollama.AsyncClient) -> None:
    """Calls have no identity here: what tools gave is matched by name and order."""
    messages = said(f"[say {CALL}]")
    reply = await client.chat(model="karais", messages=messages, tools=[LIGHT])
    assert reply.message.tool_calls
    call = reply.message.tool_calls[0].function
    assert (call.name, call.arguments) == ("light", {"on": True})
    messages += [
        reply.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_name": "light", "content": "[say It is on.]"},
    ]
    after = await client.chat(model="karais", messages=messages, tools=[LIGHT])
    assert after.message.content == "It is on."
    stream = await client.chat(model="karais", messages=said(f"[say {CALL}]"), tools=[LIGHT], stream=True)
    lines = [line async for line in stream]
    assert [bool(line.message.tool_calls) for line in lines] == [True, False]
    assert not any(line.message.content for line in lines)


async def test_a_prompt_is_answered(client: ollama.AsyncClient) -> None:
    """``generate`` takes a prompt, and none at all to load the model."""
    reply = await client.generate(model="karais", prompt="[say One two.]", system="Be brief.")
    assert (reply.response, reply.done) == ("One two.", True)
    stream = await client.generate(model="karais", prompt="[say One two.]", stream=True)
    assert "".join([line.response async for line in stream]) == "One two."
    assert (await client.generate(model="karais", keep_alive=0)).done_reason == "load"
    assert (await client.chat(model="karais")).done_reason == "load"


async def test_models_are_listed_and_shown(assistant: Client, client: ollama.AsyncClient) -> None:
    """What clients read before they chat is there; the version is that of the interface."""
    assert [model.model for model in (await client.list()).models] == ["scripted:latest"]
    shown = await client.show("scripted:latest")
    assert "tools" in (shown.capabilities or [])
    assert (await assistant.get("/api/version"))["version"]


async def test_errors_are_in_ollamas_shape(assistant: Client, client: ollama.AsyncClient) -> None:
    """Images, wrong options, other models and failures are errors that the client raises."""
    for wrong, status in (
        ({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, 400),
        ({"options": {"temperature": 3}}, 400),
        ({"options": {"stop": ["x"] * 10_000}}, 400),
        ({"format": "yaml"}, 400),
        ({"model": "llama9"}, 404),
        ({"messages": said("[fail]")}, 503),
    ):
        body = {"model": "karais", "messages": said("x"), "stream": False, **wrong}
        error = await assistant.send("POST", "/api/chat", body, status)
        assert set(error) == {"error"}
    stream = await client.chat(
        model="karais", messages=said("[say One two three] [fail after 1]"), stream=True
    )
    with pytest.raises(ollama.ResponseError, match="its script says so"):
        assert [line async for line in stream]
    with pytest.raises(ollama.ResponseError) as refused:
        await ollama.AsyncClient(host=assistant.url).list()
    assert refused.value.status_code == 401


async def test_a_client_that_goes_frees_its_slot(assistant: Client, client: ollama.AsyncClient) -> None:
    """Nothing is generated for nobody."""
    engine = assistant.agents["brain"].engine  # type: ignore[attr-defined]
    asking = asyncio.create_task(client.chat(model="karais", messages=said("[stall]")))
    async with asyncio.timeout(10):
        while engine.running == 0:
            await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    begun = time.monotonic()
    while engine.running:
        await asyncio.sleep(0.01)
    assert time.monotonic() - begun < 1.0
