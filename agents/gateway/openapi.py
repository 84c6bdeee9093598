"""The OpenAPI document, generated from the operations and the structs they take and give."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from schemas.failure import Failure

STREAM = "text/event-stream"
VERSION = "1"

_PARAMETER = re.compile(r"{(\w+)}")
_REF = "#/components/schemas/{name}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Operation:
    """A route and what its documentation needs to know."""

    method: str
    path: str
    summary: str
    handler: Handler
    reply: Any = None
    """Type of the JSON reply; None for an empty one."""
    body: Any = None
    """Type of the JSON body; None for no body."""
    query: Any = None
    """Message whose fields are the query's parameters."""
    stream: bool = False
    """It replies with the events of an answer too, with ``Accept: text/event-stream`` or as the body says."""
    stream_type: str = STREAM
    """Content type of the events."""
    failure: Any = Failure
    """Type of the reply to what cannot be done."""
    public: bool = False
    """Needs no key."""


def openapi_document(operations: list[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these operations."""
    types: list[Any] = []
    for operation in operations:
        kinds = (operation.body, operation.reply, operation.query, operation.failure)
        types += [kind for kind in kinds if kind is not None]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    refs = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(
            operation, refs, components
        )
    queried = {op.query.__name__ for op in operations if op.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "KARAIS",
            "version": VERSION,
            "description": "A private assistant on your own hardware. Streams over the WebSocket at /ws.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queried},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "The key in keys/api.key."}
            },
        },
    }


def _describe(operation: Operation, refs: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    path = _PARAMETER.findall(operation.path)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in path
    ]
    if operation.query is not None:
        fields = components[operation.query.__name__]["properties"]
        parameters += [
            {"name": name, "in": "query", "schema": schema, "description": schema.get("description", "")}
            for name, schema in fields.items()
            if name not in ("type", *path)
        ]
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.handler.__name__ + ("_root" if operation.path == "/healthz" else ""),
        "responses": {
            "default": {"description": "What went wrong.", "content": _content(refs[operation.failure])},
        },
    }
    if operation.reply is None:
        described["responses"]["204"] = {"description": "Done."}
    else:
        content = _content(refs[operation.reply])
        if operation.stream:
            content[operation.stream_type] = {
                "schema": {"type": "string", "description": "The answer, event by event."}
            }
        described["responses"]["200"] = {"description": operation.summary, "content": content}
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(refs[operation.body])}
    if parameters:
        described["parameters"] = parameters
    if operation.public:
        described["security"] = []
    return described


def _content(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
