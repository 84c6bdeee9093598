"""The interfaces over HTTP: all parts, and here questions, the storage and the state under ``/api/v1``."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from agents.gateway.asking import hand_over
from agents.gateway.codec import decode_body, encode, first_event
from agents.gateway.conversations import ConversationsPart
from agents.gateway.memory import MemoryPart
from agents.gateway.models import ServedModels
from agents.gateway.ollama import OllamaPart
from agents.gateway.openai.chat import ChatPart
from agents.gateway.openai.embeddings import EmbeddingsPart
from agents.gateway.openai.models import ModelsPart
from agents.gateway.openai.responses import ResponsesPart
from agents.gateway.openapi import STREAM, Operation, openapi_document
from agents.gateway.part import API, Part, as_json, given
from agents.gateway.places import Places
from agents.gateway.projects import ProjectsPart
from agents.gateway.tools import ToolsPart
from bus.reading import stored
from schemas.chat import Accepted, Ask, Cancel, Delta, Done, Failed, Sources, ToolCalls
from schemas.documents import (
    Files,
    GetStorageStatus,
    ListFiles,
    OpenPassage,
    PassageInContext,
    Rescan,
    StorageStatus,
)
from schemas.errors import KaraisError, Refused
from schemas.failure import Code
from schemas.health import Heartbeat
from schemas.web import Answer, Question

if TYPE_CHECKING:
    from bus.connection import Bus
    from bus.reading import AnswerReader, Received


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to ``GET /healthz``."""

    status: str
    """``ok`` or ``degraded``."""
    bus: bool
    """Whether the gateway reaches the bus."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to ``GET /api/v1/status``."""

    bus: bool
    """Whether the gateway reaches the bus."""
    agents: tuple[Heartbeat, ...]
    """The last heartbeat of every agent that lived within the last half minute."""


class Rest(Part):
    """Turns HTTP requests into requests on the bus."""

    def __init__(self, bus: Bus, models: ServedModels) -> None:
        super().__init__(bus)
        self.tools = ToolsPart(bus)
        self._places = places = Places(bus)
        self._parts = (
            ConversationsPart(bus),
            MemoryPart(bus),
            ProjectsPart(bus),
            self.tools,
            ChatPart(bus, models, places),
            ResponsesPart(bus, models, places),
            EmbeddingsPart(bus, models),
            ModelsPart(bus, models),
            OllamaPart(bus, models, places),
        )

    def operations(self) -> list[Operation]:
        """Return every operation; the router and the OpenAPI document both follow from it."""
        own = [
            Operation("POST", f"{API}/ask", "Ask a question.", self.ask, Answer, body=Question, stream=True),
            Operation(
                "GET",
                f"{API}/answers/{{answer}}",
                "Read an answer again, or on.",
                self.answer,
                Answer,
                stream=True,
            ),
            Operation("DELETE", f"{API}/answers/{{answer}}", "Stop an answer.", self.cancel),
            Operation(
                "GET",
                f"{API}/passages/{{id}}",
                "Open a passage in its surroundings.",
                self.passage,
                PassageInContext,
            ),
            Operation("GET", f"{API}/storage", "See how far indexing came.", self.storage, StorageStatus),
            Operation("GET", f"{API}/storage/files", "List files.", self.files, Files, query=ListFiles),
            Operation("POST", f"{API}/storage/rescan", "Walk the storage now.", self.rescan, StorageStatus),
            Operation("GET", f"{API}/status", "See which agents run.", self.status, Status),
            Operation("GET", f"{API}/healthz", "Is the gateway alive?", self.health, Health, public=True),
            Operation("GET", "/healthz", "Is the gateway alive?", self.health, Health, public=True),
            Operation("GET", f"{API}/openapi.json", "This document.", self.document, dict[str, Any]),
        ]
        return own + [operation for part in self._parts for operation in part.operations()]

    def routes(self) -> list[web.RouteDef]:
        """Return the operations as routes."""
        return [web.route(o.method, o.path, o.handler) for o in self.operations()]

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """Ask and return the answer, in one piece or event by event."""
        question = decode_body(Question, await request.read())
        ask = Ask(
            answer=question.answer or secrets.token_hex(16),
            conversation=question.conversation or secrets.token_hex(16),
            text=question.text,
            project=question.project,
            retrieve=question.retrieve,
            temporary=question.temporary,
            as_of=question.as_of,
            sampling=question.sampling,
            explain=question.explain,
        )
        with self._places.take():
            async with self.bus.answer_events(ask.answer, history=False) as events:
                self.need_bus()
                accepted = await hand_over(self.bus, ask)
                if STREAM in request.headers.get("Accept", ""):
                    return await _stream(request, events, accepted)
                return as_json(await _whole(events, ask.answer, ask.conversation, None))

    async def whole(self, ask: Ask) -> Answer:
        """Ask and return the whole answer; a failure in it is raised as Refused."""
        with self._places.take():
            async with self.bus.answer_events(ask.answer, history=False) as events:
                self.need_bus()
                await hand_over(self.bus, ask)
                return await _whole(events, ask.answer, ask.conversation, None)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return an answer that was begun before; ``Last-Event-ID`` continues a stream."""
        seen = request.headers.get("Last-Event-ID", "-1")
        streamed = STREAM in request.headers.get("Accept", "")
        try:
            after = max(-1, int(seen)) if streamed else -1
        except ValueError:
            raise KaraisError(
                "Last-Event-ID must be the index of an event, such as 12.", code=Code.INVALID
            ) from None
        answer = given(request, Cancel).answer
        with self._places.take():
            async with self.bus.answer_events(answer, after) as events:
                first = await first_event(events)
                if streamed:
                    return await _stream(request, events, first)
                return as_json(await _whole(events, answer, "", first))

    async def cancel(self, request: web.Request) -> web.Response:
        """Stop an answer; what was generated stays."""
        self.need_bus()
        await self.bus.publish(given(request, Cancel))
        return web.Response(status=204)

    async def passage(self, request: web.Request) -> web.Response:
        """Return a passage with the text around it."""
        return await self.reply(given(request, OpenPassage))

    async def storage(self, request: web.Request) -> web.Response:
        """Return how far indexing came."""
        return await self.reply(given(request, GetStorageStatus))

    async def files(self, request: web.Request) -> web.Response:
        """Return a page of the list of files."""
        return await self.reply(given(request, ListFiles))

    async def rescan(self, request: web.Request) -> web.Response:
        """Have the storage walked again."""
        return await self.reply(given(request, Rescan))

    async def status(self, request: web.Request) -> web.Response:
        """Return which agents run."""
        beats: list[Heartbeat] = []
        if self.bus.connected:
            stores = await stored(self.bus, "KV_nodes", "$KV.nodes.agent.>")
            # An entry that went leaves an empty marker.
            beats = [msgspec.json.decode(entry, type=Heartbeat) for entry in stores if entry]
        beats.sort(key=lambda beat: (beat.kind, beat.instance))
        return as_json(Status(bus=self.bus.connected, agents=tuple(beats)))

    async def health(self, request: web.Request) -> web.Response:
        """Tell that the gateway lives."""
        connected = self.bus.connected
        return as_json(Health(status="ok" if connected else "degraded", bus=connected))

    async def document(self, request: web.Request) -> web.Response:
        """Return the OpenAPI document."""
        return as_json(openapi_document(self.operations()))


async def _behind(first: Received | None, events: AnswerReader) -> AsyncIterator[Received]:
    """Yield an event that was taken from a reader already, then the reader's others."""
    if first is not None:
        yield first
    async for event in events:
        yield event


async def _whole(events: AnswerReader, answer: str, conversation: str, first: Received | None) -> Answer:
    """Collect an answer; a failure in it becomes the request's."""
    passages: tuple[Any, ...] = ()
    text: list[str] = []
    async for received in _behind(first, events):
        match received.message:
            case Delta(text=piece):
                text.append(piece)
            case Sources():
                passages = received.message.passages
            case Failed(code=code, message=message):
                raise Refused(message, code=code)
            case Done() as done:
                return Answer(
                    answer=answer,
                    conversation=conversation,
                    text="".join(text),
                    finish_reason=done.finish_reason,
                    passages=passages,
                    cited=done.cited,
                    citations=done.citations,
                    grounding=done.grounding,
                    usage=done.usage,
                    explained=done.explained,
                )
    raise KaraisError("The answer ended without an end; ask again.", code=Code.INTERRUPTED)


async def _stream(
    request: web.Request, events: AnswerReader, begin: Accepted | Received
) -> web.StreamResponse:
    """Write server-sent events: the id is the index, so a client continues with ``Last-Event-ID``."""
    response = web.StreamResponse(headers={"Content-Type": STREAM, "Cache-Control": "no-store"})
    await response.prepare(request)
    first = None
    if isinstance(begin, Accepted):
        await response.write(b"event: accepted\ndata: " + encode(begin) + b"\n\n")
    else:
        first = begin
    async for received in _behind(first, events):
        event: Sources | Delta | ToolCalls | Done | Failed = received.message
        head = f"id: {event.index}\nevent: {type(event).__struct_config__.tag}\ndata: "
        await response.write(head.encode() + received.raw + b"\n\n")
    await response.write_eof()
    return response
