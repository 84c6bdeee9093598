"""The OpenAI interface, spoken to by the official client; the engine is scripted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from schemas.documents import Recall
from tests.integration.conftest import Client
from tests.peers import PASSAGE

CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "The time at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
CALL = '<tool_call>{"name": "clock", "arguments": {"place": "Bonn"}}</tool_call>'


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def client(assistant: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{assistant.url}/v1",
        api_key=assistant.key,
        max_retries=0,  # type: ignore[attr-defined]
    ) as client:
        yield client


async def test_a_completion_comes_in_one_piece(client: openai.AsyncOpenAI) -> None:
    """Text, reason, usage and the served model's name are where clients look for them."""
    reply = await client.chat.completions.create(model="karais", messages=said("[say One two three.]"))
    assert reply.choices[0].message.content == "One two three."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "scripted"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 3
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 3


async def test_a_stream_has_a_role_deltas_one_reason_and_the_usage_if_wanted(
    client: openai.AsyncOpenAI,
) -> None:
    """The order is the one that OpenAI's streams have, and [DONE] ends it."""
    stream = await client.chat.completions.create(
        model="scripted",
        messages=said("[say One two three.]"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "One two three."
    assert [c.choices[0].finish_reason for c in chunks if c.choices].count("stop") == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_raw_stream_ends_with_done_and_has_no_usage_unasked(assistant: Client) -> None:
    """Clients that read the lines themselves find what they wait for."""
    body = {"messages": said("[say Hello.]"), "stream": True, "unknown": {"field": [1]}}
    async with assistant.session.post(f"{assistant.url}/v1/chat/completions", json=body) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        lines = [line for line in (await response.text()).split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert all("usage" not in json.loads(line[6:]) for line in lines[:-1])


async def test_text_parts_system_messages_and_stop_strings_are_taken(client: openai.AsyncOpenAI) -> None:
    """Content may be a list of text parts; developers' messages are system text; a stop may be one string."""
    reply = await client.chat.completions.create(
        model="default",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "[say One two three.]"}]},
        ],
        stop="three",
        max_completion_tokens=100,
    )
    assert reply.choices[0].message.content == "One two"
    short = await client.chat.completions.create(
        model="", messages=said("[say One two three.]"), max_tokens=2, stop=["x", "y"]
    )
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("One two", "length")


async def test_a_tool_is_called_and_what_it_gave_is_read(client: openai.AsyncOpenAI) -> None:
    """Text before the call is the content; the call's own text never is; the result goes into the prompt."""
    messages = said(f"[say I look. {CALL}]")
    reply = await client.chat.completions.create(model="karais", messages=messages, tools=[CLOCK])  # type: ignore[list-item]
    choice = reply.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I look."
    assert choice.message.tool_calls is not None
    call = choice.message.tool_calls[0]
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("clock", {"place": "Bonn"})
    assert call.id.startswith("call_")
    messages += [
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "[say It is noon.]"},
    ]
    after = await client.chat.completions.create(model="karais", messages=messages, tools=[CLOCK])  # type: ignore[list-item]
    assert after.choices[0].message.content == "It is noon."


async def test_a_streamed_call_is_one_delta_with_its_index(client: openai.AsyncOpenAI) -> None:
    """Clients put calls together by index; no piece of the call's text is streamed."""
    stream = await client.chat.completions.create(
        model="karais",
        messages=said(f"[say Well, {CALL}]"),
        tools=[CLOCK],  # type: ignore[list-item]
        stream=True,
    )
    deltas = [chunk.choices[0] async for chunk in stream]
    assert "".join(d.delta.content or "" for d in deltas) == "Well,"
    calls = [call for d in deltas for call in d.delta.tool_calls or ()]
    assert [(c.index, c.function.name) for c in calls if c.function] == [(0, "clock")]
    assert deltas[-1].finish_reason == "tool_calls"


async def test_a_tool_can_be_demanded_or_hidden(client: openai.AsyncOpenAI) -> None:
    """With a named tool the whole answer is its call; with none the same text is only text."""
    plain = CALL.removeprefix("<tool_call>").removesuffix("</tool_call>")
    named = {"type": "function", "function": {"name": "clock"}}
    for choice in ("required", named):
        reply = await client.chat.completions.create(
            model="karais",
            messages=said(f"[say {plain}]"),
            tools=[CLOCK],  # type: ignore[list-item]
            tool_choice=choice,  # type: ignore[arg-type]
        )
        assert reply.choices[0].message.content is None
        assert reply.choices[0].message.tool_calls is not None
    reply = await client.chat.completions.create(
        model="karais",
        messages=said(f"[say {CALL}]"),
        tools=[CLOCK],  # type: ignore[list-item]
        tool_choice="none",
    )
    assert reply.choices[0].message.content == CALL
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(
            model="karais",
            messages=said("x"),
            tools=[CLOCK],  # type: ignore[list-item]
            tool_choice={"type": "function", "function": {"name": "other"}},
        )
    assert refused.value.param == "tool_choice"


async def test_files_are_looked_into_only_when_asked_for(
    assistant: Client, client: openai.AsyncOpenAI
) -> None:
    """Without the field ``karais`` nothing is looked up and nothing logged; with it, passages come back."""
    memory = assistant.agents["memory"]  # type: ignore[attr-defined]
    text = "[say Messages are kept until a limit is reached.] How long are messages kept?"
    plain = await client.chat.completions.create(model="karais", messages=said(text))
    assert not hasattr(plain, "karais")
    assert memory.recalled == []
    asked: dict[str, Any] = {"model": "karais", "messages": said(text)}
    extra = {"karais": {"retrieve": True}}
    reply = await client.chat.completions.create(**asked, extra_body=extra)
    assert isinstance(memory.recalled[0], Recall)
    assert reply.karais["passages"][0]["id"] == PASSAGE.id  # type: ignore[attr-defined]
    assert reply.karais["grounding"] in ("supported", "unsupported")  # type: ignore[attr-defined]
    stream = await client.chat.completions.create(**asked, extra_body=extra, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[0].karais["passages"][0]["id"] == PASSAGE.id  # type: ignore[attr-defined]
    assert "citations" in chunks[-1].karais  # type: ignore[attr-defined]
    async with assistant.bus.connected() as bus:
        assert (await bus.jetstream.stream_info("CHAT")).state.messages == 0


async def test_what_shall_be_remembered_is_in_the_list_of_conversations(
    assistant: Client, client: openai.AsyncOpenAI
) -> None:
    """Prompts that begin with the same question are one conversation; each last exchange is kept once."""
    extra = {"karais": {"remember": True}}
    first = said("[say Bonn.] Where do I live?")
    await client.chat.completions.create(model="karais", messages=first, extra_body=extra)
    more = [*first, {"role": "assistant", "content": "Bonn."}, *said("[say Since May.] Since when?")]
    await client.chat.completions.create(model="karais", messages=more, extra_body=extra)
    conversations: list[Any] = []
    async with asyncio.timeout(5):
        while not conversations or conversations[0]["turns"] < 4:
            conversations = (await assistant.get("/api/v1/conversations"))["conversations"]
    assert len(conversations) == 1
    history = await assistant.get(f"/api/v1/conversations/{conversations[0]['conversation']}")
    assert [turn["text"] for turn in history["turns"]] == [
        "[say Bonn.] Where do I live?",
        "Bonn.",
        "[say Since May.] Since when?",
        "Since May.",
    ]


async def test_a_project_that_is_not_there_is_not_found(client: openai.AsyncOpenAI) -> None:
    """A project is never guessed, nor left out."""
    with pytest.raises(openai.NotFoundError, match="boat"):
        await client.chat.completions.create(
            model="karais", messages=said("x"), extra_body={"karais": {"project": "boat"}}
        )


async def test_a_failure_is_an_error_before_the_stream_and_an_event_in_it(client: openai.AsyncOpenAI) -> None:
    """Clients see a status while they can, and an error in the stream after that."""
    with pytest.raises(openai.InternalServerError, match="its script says so"):
        await client.chat.completions.create(model="karais", messages=said("[fail]"))
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="karais", messages=said("[fail]"), stream=True)
    stream = await client.chat.completions.create(
        model="karais", messages=said("[say One two three four] [fail after 2]"), stream=True
    )
    got: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            got.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - what came before it failed

    with pytest.raises(openai.APIError, match="its script says so"):
        await read()
    assert "".join(got) == "One two"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_goes_frees_its_slot_within_a_second(
    assistant: Client, client: openai.AsyncOpenAI, streamed: bool
) -> None:
    """Whether it reads a stream or waits for its first word or for all: nothing is generated for nobody."""
    engine = assistant.agents["brain"].engine  # type: ignore[attr-defined]
    for text in ("[stall]", "[say One two three] [stall after 2]"):

        async def ask(text: str = text) -> None:
            reply = await client.chat.completions.create(model="karais", messages=said(text), stream=streamed)
            if streamed:
                async for _ in reply:
                    pass

        asking = asyncio.create_task(ask())
        await until(lambda: engine.running == 1)
        await asyncio.sleep(0.2)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        begun = time.monotonic()
        await until(lambda: engine.running == 0)
        assert time.monotonic() - begun < 1.0


async def test_a_brain_that_dies_ends_its_completions(assistant: Client, client: openai.AsyncOpenAI) -> None:
    """Nothing is in the log that could end it, so the gateway notices; nobody waits for ever."""
    asking = asyncio.create_task(
        client.chat.completions.create(model="karais", messages=said("[say One two] [stall after 1]"))
    )
    brain = assistant.agents["brain"]  # type: ignore[attr-defined]
    await until(lambda: brain.engine.running == 1)
    await brain.bus.client.close()  # as a killed process
    with pytest.raises(openai.InternalServerError, match="died"):
        await asyncio.wait_for(asking, 15)


async def test_models_are_known_with_every_worker_dead(assistant: Client, client: openai.AsyncOpenAI) -> None:
    """The list comes from what was last heard, in less than 100 ms, bus or no bus."""
    names = [model.id async for model in client.models.list()]
    assert names == ["scripted", "all-minilm-l6-v2"]
    assert (await client.models.retrieve("scripted")).id == "scripted"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-9")
    assistant.bus.kill()
    await asyncio.sleep(0.3)
    took = []
    for _ in range(20):
        begun = time.perf_counter()
        assert [model.id async for model in client.models.list()] == names
        took.append(time.perf_counter() - begun)
    assert sorted(took)[18] < 0.1
    with pytest.raises(openai.InternalServerError, match="bus cannot be reached"):
        await client.chat.completions.create(model="karais", messages=said("x"))
    assistant.bus.start()  # the fixture provisions nothing, and drains


async def test_embeddings_come_as_numbers_and_as_bytes(assistant: Client, client: openai.AsyncOpenAI) -> None:
    """The client asks for base64 by itself; a large batch is split, and its order kept."""
    one = await client.embeddings.create(model="karais", input="four")
    assert one.data[0].embedding == [4.0, 1.0, 0.0]
    plain = await client.embeddings.create(model="", input=["a", "bb"], encoding_format="float")
    assert [item.embedding[0] for item in plain.data] == [1.0, 2.0]
    many = await client.embeddings.create(
        model="all-minilm-l6-v2", input=["x" * (n + 1) for n in range(600)], dimensions=3
    )
    assert [item.index for item in many.data] == list(range(600))
    assert [item.embedding[0] for item in many.data] == [float(n + 1) for n in range(600)]
    embedder = assistant.agents["embedder"]  # type: ignore[attr-defined]
    assert [len(ask.texts) for ask in embedder.asked[2:]] == [256, 256, 88]


async def test_wrong_embeddings_name_the_field(client: openai.AsyncOpenAI) -> None:
    """Whatever is no text, or cannot be had, is a typed error."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"input": [1, 2, 3]}, "input[0]"),
        ({"input": [[1, 2]]}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": "x", "dimensions": 2}, "dimensions"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "x", "model": "scripted"}, "model"),
    ]
    for body, param in wrong:
        with pytest.raises(openai.APIStatusError) as refused:
            await client.embeddings.create(**{"model": "karais", **body})
        assert refused.value.status_code in (400, 404)
        assert refused.value.param == param


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def _tool(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "t", "parameters": parameters}}


WRONG = [
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"stop": ["x"] * 10_000}, "stop"),
    ({"stop": "x" * 501}, "stop"),
    ({"temperature": 2.5}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": -1}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 10**30}, "max_tokens"),
    ({"n": 2}, "n"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"tools": [_tool({}) for _ in range(129)]}, "tools"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
    ({"tools": [_tool(_deep(100))]}, "tools[0].function.parameters"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": _deep(100)}}},
        "response_format.json_schema.schema",
    ),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"karais": {"retreive": True}}, "karais"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].type",
    ),
]


async def test_what_is_wrong_is_named(client: openai.AsyncOpenAI) -> None:
    """Each wrong value is a 400 whose param is the field; the next request works."""
    for body, param in WRONG:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="karais", messages=said("x"), extra_body=body)
        assert refused.value.param == param
        assert refused.value.type == "invalid_request_error"
    reply = await client.chat.completions.create(model="karais", messages=said("[say Fine.]"))
    assert reply.choices[0].message.content == "Fine."


_SAID = b'{"messages": [{"role": "user", "content": "'
NO_BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (_SAID + b'\xff\xfe"}]}', 400),
    (_SAID + b'x"}], "temperature": NaN, "options": {"temperature": NaN}}', 400),
    (_SAID + b'x"}], "temperature": 1e999, "options": {"temperature": 1e999}}', 400),
    (b'{"messages": ' + b"[" * 200_000, 400),
    (b'{"x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, 400),
    (_SAID + b"x" * 500_000 + b'"}]}', 413),
    (_SAID + b"x" * 5_000_000 + b'"}]}', 413),
]


async def test_bodies_that_are_none_are_refused_in_the_clients_own_words(assistant: Client) -> None:
    """On /v1 every error has the shape of OpenAI's, on Ollama's routes that of Ollama's."""
    for raw, status in NO_BODIES:
        async with assistant.session.post(f"{assistant.url}/v1/chat/completions", data=raw) as response:
            assert response.status == status
            error = (await response.json())["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"].endswith(".")
        raw = raw.replace(b'{"m', b'{"model": "", "m', 1)
        async with assistant.session.post(f"{assistant.url}/api/chat", data=raw) as response:
            assert response.status == status
            assert isinstance((await response.json())["error"], str)


async def test_a_prompt_longer_than_the_context_is_refused_before_the_stream(
    client: openai.AsyncOpenAI,
) -> None:
    """The status is there although a stream was asked for, and the text names both numbers."""
    with pytest.raises(openai.BadRequestError, match="context"):
        await client.chat.completions.create(model="karais", messages=said("word " * 9000), stream=True)


async def test_an_unknown_model_is_not_found_and_the_error_names_what_there_is(
    client: openai.AsyncOpenAI,
) -> None:
    """A client that was set up for another server learns what to say instead."""
    with pytest.raises(openai.NotFoundError, match="scripted") as refused:
        await client.chat.completions.create(model="gpt-9", messages=said("x"))
    assert (refused.value.param, refused.value.code) == ("model", "model_not_found")


async def test_without_the_key_nothing_is_answered(assistant: Client) -> None:
    """A missing key is the error that the client knows, and so is a path that is not there."""
    async with openai.AsyncOpenAI(base_url=f"{assistant.url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.models.list()
        assert refused.value.code == "invalid_api_key"
    async with assistant.session.get(f"{assistant.url}/v1/nothing") as response:
        assert response.status == 404
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_the_document_lists_the_interfaces(assistant: Client) -> None:
    """Whoever generates a client finds the operations with their bodies, replies and failures."""
    document = await assistant.get("/api/v1/openapi.json")
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/api/chat", "/api/generate"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]
        assert operation["responses"]["200"]
    assert {"/v1/models", "/v1/models/{model}", "/api/tags", "/api/version"} <= set(document["paths"])
    names = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(names) == len(set(names))
