"""OpenAI's Responses interface, spoken to by the official client; the engine is scripted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.integration.conftest import Client

CLOCK: Any = {"type": "function", "name": "clock", "parameters": {"type": "object"}, "strict": False}
CALL = '<tool_call>{"name": "clock", "arguments": {"place": "Bonn"}}</tool_call>'


class Boiler(BaseModel):
    """What a client wants to be filled in."""

    maker: str
    year: int


@pytest.fixture
async def client(assistant: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    key = assistant.key  # type: ignore[attr-defined]
    async with openai.AsyncOpenAI(base_url=f"{assistant.url}/v1", api_key=key, max_retries=0) as client:
        yield client


async def test_a_response_comes_in_one_piece(client: openai.AsyncOpenAI) -> None:
    """Text, usage and state are where the client's own shortcuts find them; nothing is stored."""
    response = await client.responses.create(
        model="karais", instructions="Be brief.", input="[say One two.]", store=True, max_output_tokens=50
    )
    assert response.output_text == "One two."
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.output_tokens == 2
    assert response.store is False
    short = await client.responses.create(model="karais", input="[say One two.]", max_output_tokens=1)
    assert (short.status, short.output_text) == ("incomplete", "One")
    assert short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens"


async def test_a_stream_has_the_events_that_clients_wait_for_in_order(client: openai.AsyncOpenAI) -> None:
    """Numbers count from 0 without gaps; the client's own accumulator builds the same response."""
    events = [
        event
        async for event in await client.responses.create(model="karais", input="[say One two.]", stream=True)
    ]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    async with client.responses.stream(model="karais", input="[say One two.]") as stream:
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        assert text == "One two."
        assert (await stream.get_final_response()).output_text == "One two."


async def test_a_function_is_called_and_its_output_read(client: openai.AsyncOpenAI) -> None:
    """The call and its output come back as items of the next input, as nothing is stored."""
    response = await client.responses.create(model="karais", input=f"[say I look. {CALL}]", tools=[CLOCK])
    assert [item.type for item in response.output] == ["message", "function_call"]
    call = response.output[1]
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("clock", {"place": "Bonn"})
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "What time is it?"}]},
        *[item.model_dump(exclude_none=True) for item in response.output],
        {"type": "function_call_output", "call_id": call.call_id, "output": "[say Noon.]"},
    ]
    after = await client.responses.create(model="karais", input=items, tools=[CLOCK])
    assert after.output_text == "Noon."
    async with client.responses.stream(model="karais", input=f"[say {CALL}]", tools=[CLOCK]) as stream:
        kinds = [event.type async for event in stream]
    assert "response.function_call_arguments.done" in kinds
    assert kinds[-1] == "response.completed"


async def test_a_schema_reaches_the_engine_and_is_parsed_by_the_client(client: openai.AsyncOpenAI) -> None:
    """The client's own way to ask for a structure works."""
    parsed = await client.responses.parse(
        model="karais", input='[say {"maker": "Vaillant", "year": 2019}]', text_format=Boiler
    )
    assert parsed.output_parsed == Boiler(maker="Vaillant", year=2019)


async def test_a_failure_in_a_stream_ends_it_with_a_failed_response(client: openai.AsyncOpenAI) -> None:
    """Before the first word it is a status; later an error event and the failed response."""
    with pytest.raises(openai.InternalServerError):
        await client.responses.create(model="karais", input="[fail]", stream=True)
    kinds: list[str] = []

    async def read() -> None:
        text = "[say One two three] [fail after 2]"
        async for event in await client.responses.create(model="karais", input=text, stream=True):
            kinds.append(event.type)  # noqa: PERF401 - what came before it failed

    try:
        await read()
    except openai.APIError as error:
        assert "its script says so" in str(error)  # noqa: PT017 - some clients raise, some hand it on
    else:
        assert kinds[-2:] == ["error", "response.failed"]
    assert "response.output_text.delta" in kinds


async def test_what_cannot_be_had_is_named(client: openai.AsyncOpenAI) -> None:
    """Nothing is stored, there are no hosted tools and no images: a 400 that names the field."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    ]
    for body, param in wrong:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model="karais", input="x", extra_body=body)
        assert refused.value.param == param
