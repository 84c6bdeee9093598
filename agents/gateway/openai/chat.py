"""``POST /v1/chat/completions``."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from aiohttp import web
from msgspec import UNSET, UnsetType

from agents.gateway.codec import encode, read_prompt
from agents.gateway.completing import Completion, completing, stream
from agents.gateway.failures import openai_failure
from agents.gateway.models import ServedModels
from agents.gateway.openai import translate
from agents.gateway.openapi import STREAM, Operation
from agents.gateway.part import Part, as_json
from agents.gateway.places import Places
from schemas.chat import Delta, Done, Sources, ToolCall, ToolCalls
from schemas.completion import Complete, CompletionMessage
from schemas.documents import Passage
from schemas.errors import KaraisError
from schemas.openai import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatMessageParam,
    Choice,
    ChunkChoice,
    ChunkDelta,
    Grounds,
    NamedTool,
    OpenAIFailure,
)

if TYPE_CHECKING:
    from bus.connection import Bus


class ChatPart(Part):
    """Chat completions, in one piece and as a stream."""

    def __init__(self, bus: Bus, models: ServedModels, places: Places) -> None:
        super().__init__(bus)
        self._models = models
        self._places = places

    def operations(self) -> list[Operation]:
        """Return the operation."""
        return [
            Operation(
                "POST",
                "/v1/chat/completions",
                "Continue a conversation, as OpenAI does.",
                self.chat_completion,
                ChatCompletion,
                body=ChatCompletionRequest,
                stream=True,
                failure=OpenAIFailure,
            )
        ]

    async def chat_completion(self, request: web.Request) -> web.StreamResponse:
        """Continue a conversation."""
        body = await read_prompt(request, ChatCompletionRequest)
        ask = complete_of(body)
        model = await self._models.check_language(body.model)
        with self._places.take():
            async with completing(self.bus, request, ask) as completion:
                if body.stream:
                    return await stream(request, STREAM, _frames(completion, body, model), _failed)
                return as_json(await _whole(completion, model))


def complete_of(body: ChatCompletionRequest) -> Complete:
    """Return the request to the brain. Raises KaraisError naming the field that is wrong."""
    translate.one_only(body)
    choice = body.tool_choice.function.name if isinstance(body.tool_choice, NamedTool) else body.tool_choice
    form = body.response_format
    return translate.completion_of(
        [_message(message, f"$.messages[{number}]") for number, message in enumerate(body.messages)],
        tools=[
            translate.tool_of(
                tool.function.name,
                tool.function.description,
                tool.function.parameters,
                f"$.tools[{number}].function.parameters",
            )
            for number, tool in enumerate(body.tools or ())
        ],
        choice=choice,
        schema=translate.schema_of(
            form.type if form else "text",
            form.json_schema.schema if form and form.json_schema else None,
            "$.response_format.json_schema.schema",
        ),
        extras=body.karais,
        user=body.user,
        sampling=translate.sampling_of(
            max_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            min_p=body.min_p,
            seed=body.seed,
            stop=body.stop,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            logprobs=(body.top_logprobs or 0) if body.logprobs else None,
            ignore_end=bool(body.ignore_eos),
            adapter=body.karais.adapter if body.karais else "",
        ),
    )


def _message(message: ChatMessageParam, field: str) -> CompletionMessage:
    return CompletionMessage(
        role="system" if message.role == "developer" else message.role,
        content=translate.text_of(message.content, f"{field}.content"),
        calls=tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        ),
        call=message.tool_call_id or "",
    )


def _head(completion: Completion, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{completion.ask.answer}", "created": int(time.time()), "model": model}


async def _whole(completion: Completion, model: str) -> ChatCompletion:
    whole = await completion.collected()
    message = AssistantMessage(content=whole.text)
    if whole.calls:
        message = AssistantMessage(content=whole.text or None, tool_calls=translate.called(whole.calls))
    choice = Choice(
        message=message,
        finish_reason=translate.finish_of(whole.done),
        logprobs=translate.logprobs_of(whole.logprobs),
    )
    head = _head(completion, model)
    if completion.ask.retrieve:
        head["karais"] = translate.grounds_of_all(whole)
    return ChatCompletion(choices=(choice,), usage=translate.usage_of(whole.done), **head)


async def _frames(
    completion: Completion, body: ChatCompletionRequest, model: str
) -> AsyncGenerator[bytes, None]:
    """Yield the role, the deltas, why it ended, the usage if it is wanted, and the end."""
    head = _head(completion, model)
    passages: tuple[Passage, ...] = ()
    grounds: Grounds | UnsetType
    begun = False
    async for event in completion:
        if isinstance(event, Sources):
            passages = event.passages
        if not begun:
            begun = True
            first = ChunkChoice(delta=ChunkDelta(role="assistant", content=""))
            grounds = Grounds(passages=passages) if passages else UNSET
            yield _frame(ChatCompletionChunk(choices=(first,), karais=grounds, **head))
        match event:
            case Delta():
                choice = ChunkChoice(
                    delta=ChunkDelta(content=event.text), logprobs=translate.logprobs_of(event.logprobs)
                )
                yield _frame(ChatCompletionChunk(choices=(choice,), **head))
            case ToolCalls():
                delta = ChunkDelta(tool_calls=translate.called(event.calls, streamed=True))
                yield _frame(ChatCompletionChunk(choices=(ChunkChoice(delta=delta),), **head))
            case Done():
                last = ChunkChoice(delta=ChunkDelta(), finish_reason=translate.finish_of(event))
                wanted = completion.ask.retrieve
                grounds = translate.grounds_of(passages, event) if wanted else UNSET
                yield _frame(ChatCompletionChunk(choices=(last,), karais=grounds, **head))
                if body.stream_options and body.stream_options.include_usage:
                    yield _frame(ChatCompletionChunk(usage=translate.usage_of(event), **head))
    yield b"data: [DONE]\n\n"


def _frame(chunk: ChatCompletionChunk) -> bytes:
    return b"data: " + encode(chunk) + b"\n\n"


def _failed(error: KaraisError) -> bytes:
    return b"data: " + encode(openai_failure(error.failure())) + b"\n\n"
