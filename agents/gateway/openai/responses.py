"""``POST /v1/responses``. Nothing is stored: each request brings its whole conversation."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from aiohttp import web

from agents.gateway.codec import read_prompt
from agents.gateway.completing import Completion, completing, stream
from agents.gateway.failures import openai_failure
from agents.gateway.models import ServedModels
from agents.gateway.openai import translate
from agents.gateway.openai.response_events import ResponseBuilder, event_frame
from agents.gateway.openapi import STREAM, Operation
from agents.gateway.part import Part, as_json
from agents.gateway.places import Places
from schemas.chat import Delta, Done, Sources, ToolCall, ToolCalls
from schemas.completion import Complete, CompletionMessage, Tool
from schemas.errors import KaraisError
from schemas.openai import OpenAIFailure
from schemas.openai_responses import (
    FunctionTool,
    InputItem,
    NamedFunctionTool,
    Response,
    ResponseEvent,
    ResponseRequest,
)

if TYPE_CHECKING:
    from bus.connection import Bus


class ResponsesPart(Part):
    """Responses, in one piece and as a stream of typed events."""

    def __init__(self, bus: Bus, models: ServedModels, places: Places) -> None:
        super().__init__(bus)
        self._models = models
        self._places = places

    def operations(self) -> list[Operation]:
        """Return the operation."""
        return [
            Operation(
                "POST",
                "/v1/responses",
                "Respond to an input, as OpenAI does.",
                self.respond,
                Response,
                body=ResponseRequest,
                stream=True,
                failure=OpenAIFailure,
            )
        ]

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Respond to an input."""
        body = await read_prompt(request, ResponseRequest)
        ask = complete_of(body)
        model = await self._models.check_language(body.model)
        with self._places.take():
            async with completing(self.bus, request, ask) as completion:
                builder = ResponseBuilder(ask, body, model)
                if body.stream:
                    frames = _frames(completion, builder)
                    return await stream(request, STREAM, frames, lambda error: _failed(builder, error))
                async for _ in _frames(completion, builder):
                    pass
                return as_json(builder.response)


async def _frames(completion: Completion, builder: ResponseBuilder) -> AsyncGenerator[bytes, None]:
    begun = False
    async for event in completion:
        if not begun:
            begun = True
            for frame in builder.begin():
                yield frame
        match event:
            case Sources():
                builder.passages = event.passages
            case Delta():
                for frame in builder.text(event):
                    yield frame
            case ToolCalls():
                for frame in builder.calls(event):
                    yield frame
            case Done():
                for frame in builder.end(event):
                    yield frame


def _failed(builder: ResponseBuilder, error: KaraisError) -> bytes:
    detail = openai_failure(error.failure()).error
    said = event_frame(
        ResponseEvent(
            type="error",
            sequence_number=builder.next_number(),
            code=detail.code,
            message=detail.message,
            param=detail.param,
        )
    )
    return said + builder.fail(detail)


def complete_of(body: ResponseRequest) -> Complete:
    """Return the request to the brain. Raises KaraisError naming the field that is wrong."""
    for field, value in (
        ("previous_response_id", body.previous_response_id),
        ("conversation", body.conversation),
        ("background", body.background),
    ):
        if value:
            raise translate.invalid(
                "Responses are not stored here: send the whole conversation as `input`.", f"$.{field}"
            )
    messages = _input(body)
    form = body.text.format if body.text else None
    choice = body.tool_choice.name if isinstance(body.tool_choice, NamedFunctionTool) else body.tool_choice
    return translate.completion_of(
        messages,
        tools=[_tool(tool, f"$.tools[{number}]") for number, tool in enumerate(body.tools or ())],
        choice=choice,
        schema=translate.schema_of(
            form.type if form else "text", form.schema if form else None, "$.text.format.schema"
        ),
        extras=body.karais,
        user=body.user,
        sampling=translate.sampling_of(
            max_tokens=body.max_output_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            logprobs=body.top_logprobs,
            adapter=body.karais.adapter if body.karais else "",
        ),
    )


def _tool(tool: FunctionTool, field: str) -> Tool:
    if tool.type != "function":
        raise translate.invalid(
            f"A tool of the type {tool.type[:50]!r} is not here: only functions are.", f"{field}.type"
        )
    if not tool.name:
        raise translate.invalid("The function has no name.", f"{field}.name")
    return translate.tool_of(tool.name, tool.description, tool.parameters, f"{field}.parameters")


def _input(body: ResponseRequest) -> list[CompletionMessage]:
    messages: list[CompletionMessage] = []
    if body.instructions:
        messages.append(CompletionMessage(role="system", content=body.instructions))
    if isinstance(body.input, str):
        return [*messages, CompletionMessage(role="user", content=body.input)]
    for number, item in enumerate(body.input):
        message = _item(item, f"$.input[{number}]")
        if message is not None:
            messages.append(message)
    if not messages:
        raise translate.invalid("There is nothing to respond to.", "$.input")
    return messages


def _item(item: InputItem, field: str) -> CompletionMessage | None:
    match item.type or "message":
        case "message":
            if item.role is None:
                raise translate.invalid("The message has no role.", f"{field}.role")
            return CompletionMessage(
                role="system" if item.role == "developer" else item.role,
                content=translate.text_of(item.content, f"{field}.content"),
            )
        case "function_call":
            call = ToolCall(id=item.call_id or "", name=item.name or "", arguments=item.arguments or "{}")
            return CompletionMessage(role="assistant", calls=(call,))
        case "function_call_output":
            output = translate.text_of(item.output, f"{field}.output")
            return CompletionMessage(role="tool", content=output, call=item.call_id or "")
        case "reasoning":
            return None
        case other:
            raise translate.invalid(f"An item of the type {other[:50]!r} is not understood.", f"{field}.type")
