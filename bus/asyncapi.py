"""The AsyncAPI 3.0 document of the bus, derived from ``bus.subjects`` and the schemas."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from bus.subjects import ROUTES, Rpc, pattern_of
from schemas.base import Message
from schemas.failure import Failure

_PARAMETER = re.compile(r"\{(\w+)\}")


def document(version: str) -> dict[str, Any]:
    """Return the document as JSON-like data; every message of the table is in it."""
    types: list[type[Message]] = [*ROUTES, Failure]
    types += [route.reply for route in ROUTES.values() if isinstance(route, Rpc)]
    unique = list(dict.fromkeys(types))
    _, schemas = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for message, route in ROUTES.items():
        name = message.__name__
        channels[name] = _channel(message)
        operation: dict[str, Any] = {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
        operation["summary"] = _summary(message)
        if isinstance(route, Rpc):
            reply = route.reply.__name__
            channels[f"{name}Reply"] = {"address": None, "messages": _messages(route.reply, Failure)}
            operation["reply"] = {"channel": {"$ref": f"#/channels/{name}Reply"}}
            operation["description"] = (
                f"Answered by an agent of the kind `{route.kind}` with {reply} or Failure."
            )
        operations[f"send{name}"] = operation
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "KARAIS bus",
            "version": version,
            "description": "Subjects and messages of KARAIS on NATS. JSON payloads; raw bytes with a header "
            "where a message has a field `data`.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": schemas, "messages": {t.__name__: _message(t) for t in unique}},
    }


def _channel(message: type[Message]) -> dict[str, Any]:
    template = getattr(ROUTES[message], "template", "")
    address = f"karais.{template}" if template else pattern_of(message).replace("*", "{id}")
    channel: dict[str, Any] = {"address": address, "messages": _messages(message)}
    if parameters := _PARAMETER.findall(address):
        channel["parameters"] = {name: {} for name in parameters}
    return channel


def _messages(*types: type[Message]) -> dict[str, Any]:
    return {t.__name__: {"$ref": f"#/components/messages/{t.__name__}"} for t in types}


def _message(message: type[Message]) -> dict[str, Any]:
    return {
        "name": str(message.__struct_config__.tag),
        "summary": _summary(message),
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
    }


def _summary(message: type[Message]) -> str:
    return (inspect.getdoc(message) or "").split("\n")[0]
