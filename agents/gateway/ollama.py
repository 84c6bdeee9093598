"""The routes of Ollama that home automation and many apps use: chat, generate, tags, show, version."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from agents.gateway.codec import decode_body, encode, read_prompt
from agents.gateway.completing import Completion, completing, stream
from agents.gateway.models import ServedModels
from agents.gateway.openai import translate
from agents.gateway.openapi import Operation
from agents.gateway.part import Part, as_json
from agents.gateway.places import Places
from schemas.chat import Delta, Done, ToolCall, ToolCalls
from schemas.completion import Complete, CompletionMessage
from schemas.errors import KaraisError
from schemas.ollama import (
    Format,
    OllamaAnswer,
    OllamaCall,
    OllamaChatRequest,
    OllamaDetails,
    OllamaFailure,
    OllamaFunction,
    OllamaGenerateRequest,
    OllamaMessage,
    OllamaModel,
    OllamaModels,
    OllamaOptions,
    OllamaReply,
    OllamaShown,
    OllamaShowRequest,
    OllamaVersion,
)

if TYPE_CHECKING:
    from bus.connection import Bus

NDJSON = "application/x-ndjson"
SPOKEN = "0.9.0"
"""Version of Ollama whose interface is spoken."""
LATEST = ":latest"

replace = msgspec.structs.replace


class OllamaPart(Part):
    """What Ollama's clients ask for."""

    def __init__(self, bus: Bus, models: ServedModels, places: Places) -> None:
        super().__init__(bus)
        self._models = models
        self._places = places

    def operations(self) -> list[Operation]:
        """Return the operations."""
        streamed: dict[str, Any] = {"stream": True, "stream_type": NDJSON, "failure": OllamaFailure}
        failure: dict[str, Any] = {"failure": OllamaFailure}
        return [
            Operation(
                "POST", "/api/chat", "Continue a conversation, as Ollama does.", self.ollama_chat,
                OllamaReply, body=OllamaChatRequest, **streamed,
            ),
            Operation(
                "POST", "/api/generate", "Answer a prompt, as Ollama does.", self.ollama_generate,
                OllamaReply, body=OllamaGenerateRequest, **streamed,
            ),
            Operation("GET", "/api/tags", "List models, as Ollama does.", self.tags, OllamaModels, **failure),
            Operation(
                "POST", "/api/show", "Read of a model, as at Ollama.", self.show, OllamaShown,
                body=OllamaShowRequest, **failure,
            ),
            Operation("GET", "/api/version", "Which Ollama this is like.", self.version, OllamaVersion,
                **failure),
        ]  # fmt: skip

    async def ollama_chat(self, request: web.Request) -> web.StreamResponse:
        """Continue a conversation."""
        body = await read_prompt(request, OllamaChatRequest)
        blank = OllamaReply(model=body.model, created_at=_now(), message=OllamaAnswer())
        await self._models.check_language(body.model.removesuffix(LATEST))
        if not body.messages:  # clients load the model so
            return as_json(replace(blank, done=True, done_reason="load"))
        return await self._reply(request, chat_of(body), blank, streamed=body.stream is not False)

    async def ollama_generate(self, request: web.Request) -> web.StreamResponse:
        """Answer a prompt."""
        body = await read_prompt(request, OllamaGenerateRequest)
        blank = OllamaReply(model=body.model, created_at=_now(), response="")
        await self._models.check_language(body.model.removesuffix(LATEST))
        if not body.prompt:
            return as_json(replace(blank, done=True, done_reason="load"))
        return await self._reply(request, generate_of(body), blank, streamed=body.stream is not False)

    async def tags(self, request: web.Request) -> web.Response:
        """List the language model."""
        name = self._models.language + LATEST
        return as_json(OllamaModels(models=(OllamaModel(name=name, model=name, details=OllamaDetails()),)))

    async def show(self, request: web.Request) -> web.Response:
        """Tell what the model can do."""
        body = decode_body(OllamaShowRequest, await request.read())
        name = self._models.known((body.model or body.name).removesuffix(LATEST))
        about: dict[str, Any] = {"general.architecture": "karais", "general.basename": name}
        if self._models.engine is not None:
            about["karais.context_length"] = self._models.engine.context_tokens
        return as_json(OllamaShown(model_info=about, capabilities=("completion", "tools")))

    async def version(self, request: web.Request) -> web.Response:
        """Tell the version of the interface."""
        return as_json(OllamaVersion(version=SPOKEN))

    async def _reply(
        self, request: web.Request, ask: Complete, blank: OllamaReply, *, streamed: bool
    ) -> web.StreamResponse:
        begun = time.perf_counter_ns()
        with self._places.take():
            async with completing(self.bus, request, ask) as completion:
                if streamed:
                    return await stream(request, NDJSON, _lines(completion, blank, begun), _failed)
                whole = await completion.collected()
                return as_json(_ended(_said(blank, whole.text, whole.calls), whole.done, begun))


def chat_of(body: OllamaChatRequest) -> Complete:
    """Return the request to the brain. Raises KaraisError naming the field that is wrong."""
    tools = [
        translate.tool_of(
            tool.function.name,
            tool.function.description,
            tool.function.parameters,
            f"$.tools[{number}].function.parameters",
        )
        for number, tool in enumerate(body.tools or ())
    ]
    return translate.completion_of(
        _messages(body.messages or ()),
        tools=tools,
        schema=_schema(body.format),
        sampling=translate.sampling_of(**_options(body.options)),
    )


def generate_of(body: OllamaGenerateRequest) -> Complete:
    """Return the request to the brain. Raises KaraisError naming the field that is wrong."""
    if body.images:
        raise _no_images("$.images")
    messages = [CompletionMessage(role="system", content=body.system)] if body.system else []
    messages.append(CompletionMessage(role="user", content=body.prompt or ""))
    return translate.completion_of(
        messages, schema=_schema(body.format), sampling=translate.sampling_of(**_options(body.options))
    )


def _messages(given: Sequence[OllamaMessage]) -> list[CompletionMessage]:
    """Return the messages; calls, which have no identity here, are numbered and answered in their order."""
    messages: list[CompletionMessage] = []
    waiting: list[ToolCall] = []
    for number, message in enumerate(given):
        if message.images:
            raise _no_images(f"$.messages[{number}].images")
        answered = ""
        if message.role == "tool" and waiting:
            name = message.tool_name or message.name
            call = next((each for each in waiting if each.name == name), waiting[0])
            waiting.remove(call)
            answered = call.id
        for made in message.tool_calls or ():
            translate.check_schema(made.function.arguments, f"$.messages[{number}].tool_calls")
        calls = tuple(
            ToolCall(
                id=f"call_{number}_{at}",
                name=call.function.name,
                arguments=encode(call.function.arguments).decode(),
            )
            for at, call in enumerate(message.tool_calls or ())
        )
        waiting += calls
        messages.append(
            CompletionMessage(role=message.role, content=message.content or "", calls=calls, call=answered)
        )
    return messages


def _schema(form: Format | None) -> str:
    if not form:
        return ""
    return translate.schema_of("json_schema" if isinstance(form, dict) else "json_object",
        form if isinstance(form, dict) else None, "$.format")  # fmt: skip


def _options(options: OllamaOptions | None) -> dict[str, Any]:
    """Return the named values of a sampling."""
    if options is None:
        return {}
    values = msgspec.structs.asdict(options)
    most = values.pop("num_predict")
    return values | {"max_tokens": most if most and most > 0 else None}


async def _lines(completion: Completion, blank: OllamaReply, begun: int) -> AsyncGenerator[bytes, None]:
    async for event in completion:
        match event:
            case Delta():
                yield _line(_said(blank, event.text, ()))
            case ToolCalls():
                yield _line(_said(blank, "", event.calls))
            case Done():
                yield _line(_ended(blank, event, begun))


def _said(blank: OllamaReply, text: str, calls: Sequence[ToolCall]) -> OllamaReply:
    """Return a reply with a piece of the answer."""
    if blank.message is msgspec.UNSET:
        return replace(blank, created_at=_now(), response=text)
    message = OllamaAnswer(content=text)
    if calls:
        made = tuple(
            OllamaCall(function=OllamaFunction(name=call.name, arguments=msgspec.json.decode(call.arguments)))
            for call in calls
        )
        message = replace(message, tool_calls=made)
    return replace(blank, created_at=_now(), message=message)


def _ended(reply: OllamaReply, done: Done, begun: int) -> OllamaReply:
    """Return a reply with how the answer ended and what it cost."""
    total = time.perf_counter_ns() - begun
    reading = min(total, int(done.usage.seconds_to_first_token * 1e9))
    return replace(
        reply,
        created_at=_now(),
        done=True,
        done_reason="length" if done.finish_reason == "length" else "stop",
        total_duration=total,
        load_duration=0,
        prompt_eval_count=done.usage.prompt_tokens,
        prompt_eval_duration=reading,
        eval_count=done.usage.completion_tokens,
        eval_duration=total - reading,
    )


def _line(reply: OllamaReply) -> bytes:
    return encode(reply) + b"\n"


def _failed(error: KaraisError) -> bytes:
    return encode(OllamaFailure(error=str(error))) + b"\n"


def _no_images(field: str) -> KaraisError:
    return translate.invalid("Images are not understood: send text alone.", field)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
