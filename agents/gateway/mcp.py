"""KARAIS as an MCP server, over streamable HTTP at ``/mcp``: search, recall, remember, ask.

A POST holds one JSON-RPC message and is replied to with one; there are no
sessions, so any request may come to any gateway. Two eras of the protocol are
spoken: revision 2026-07-28, in which every request says in ``params._meta``
and in its headers what it is, and the older ones, which begin with
``initialize``. Host, Origin and key are checked as everywhere. The project is
in the address, ``/mcp?project=boat``: the model of the client cannot choose it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from agents.gateway.codec import encode
from agents.gateway.mcp_tools import TOOLS, Called, McpTools
from agents.gateway.part import given
from schemas.errors import KaraisError
from schemas.web import InProject

MCP_PATH = "/mcp"

MODERN = ("2026-07-28",)
EARLIER = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")

QUIET_SECONDS = 10.0
"""After so long without a reply a client that takes streams gets signs of life."""
TOOLS_HOLD_MS = 3_600_000
INSTRUCTIONS = (
    "A private assistant that knows its owner's files and remembers what was said. `search` finds passages "
    "in the files, `recall` facts and earlier conversations; `ask` answers from both, with its sources."
)

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
_STATUS = {PARSE_ERROR: 400, INVALID_REQUEST: 400, HEADER_MISMATCH: 400, UNSUPPORTED_VERSION: 400}
_MODERN_STATUS = {**_STATUS, INVALID_PARAMS: 400, NO_METHOD: 404}

_VERSION = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_SERVER_INFO = "io.modelcontextprotocol/serverInfo"


class Request(Struct, frozen=True, kw_only=True):
    """A JSON-RPC request; a notification has no ``id``."""

    jsonrpc: Literal["2.0"]
    method: str = ""
    id: int | str | UnsetType = UNSET
    params: dict[str, Any] = {}


class RpcError(Exception):
    """What a request is refused with."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


_requests = msgspec.json.Decoder(Request)


class Mcp:
    """The endpoint."""

    def __init__(self, tools: McpTools) -> None:
        self._tools = tools

    def routes(self) -> list[web.RouteDef]:
        """Return the endpoint; it offers no stream of its own, so there is nothing to GET."""
        return [web.post(MCP_PATH, self.post)]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Answer one message."""
        project = given(request, InProject).project
        version = request.headers.get("MCP-Protocol-Version", "")
        modern = version not in ("", *EARLIER)
        asked: Request | None = None
        try:
            asked = _decoded(await request.read())
            if modern:
                _check_envelope(request, asked, version)
            if asked.id is UNSET:
                return web.Response(status=202)
            if asked.method == "tools/call":
                return await self._call(request, asked, project, modern=modern)
            return _reply(asked.id, self._result(asked, modern=modern))
        except RpcError as error:
            identity = None if asked is None or asked.id is UNSET else asked.id
            status = (_MODERN_STATUS if modern else _STATUS).get(error.code, 200)
            return _refusal(identity, error, status)

    def _result(self, asked: Request, *, modern: bool) -> dict[str, Any]:
        info = {"name": "karais", "title": "KARAIS", "version": importlib.metadata.version("karais")}
        capabilities = {"tools": {"listChanged": False}}
        match asked.method:
            case "initialize" if not modern:
                wanted = asked.params.get("protocolVersion")
                return {
                    "protocolVersion": wanted if wanted in EARLIER else EARLIER[-1],
                    "capabilities": capabilities,
                    "serverInfo": info,
                    "instructions": INSTRUCTIONS,
                }
            case "server/discover" if modern:
                return {
                    **_kept(),
                    "supportedVersions": list(MODERN),
                    "capabilities": capabilities,
                    "instructions": INSTRUCTIONS,
                    "_meta": {_SERVER_INFO: info},
                }
            case "ping":
                return {"resultType": "complete"} if modern else {}
            case "tools/list":
                return {**(_kept() if modern else {}), "tools": list(TOOLS)}
        raise RpcError(NO_METHOD, f"There is no method {asked.method[:100]!r}.")

    async def _call(
        self, request: web.Request, asked: Request, project: str, *, modern: bool
    ) -> web.StreamResponse:
        name, arguments = asked.params.get("name"), asked.params.get("arguments") or {}
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "params.name must be a text and params.arguments an object.")
        if name not in self._tools.names:
            raise RpcError(INVALID_PARAMS, f"There is no tool {name[:100]!r}.")
        working = asyncio.create_task(self._worked(name, arguments, project))
        try:
            takes_stream = "text/event-stream" in request.headers.get("Accept", "")
            await asyncio.wait({working}, timeout=QUIET_SECONDS if takes_stream else None)
            if working.done():
                return _reply(asked.id, _called(working.result(), modern=modern))
            # A silent connection would be cut on its way: from here on it is a stream.
            headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            while not working.done():
                await response.write(b": still at work\n\n")
                await asyncio.wait({working}, timeout=QUIET_SECONDS)
            result = _called(working.result(), modern=modern)
            message = encode({"jsonrpc": "2.0", "id": asked.id, "result": result})
            await response.write(b"event: message\ndata: " + message + b"\n\n")
            await response.write_eof()
            return response
        finally:
            working.cancel()  # the client went: what it asked for is stopped

    async def _worked(self, name: str, arguments: dict[str, Any], project: str) -> Called:
        """Return what a tool gave; what goes wrong is a result too, for the client's model to read."""
        try:
            return await self._tools.call(name, arguments, project)
        except KaraisError as error:
            return Called(str(error), failed=True)


def _decoded(body: bytes) -> Request:
    try:
        return _requests.decode(body)
    except msgspec.ValidationError:
        raise RpcError(INVALID_REQUEST, "The body must be one JSON-RPC request or notification.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RpcError(PARSE_ERROR, "The body is no valid JSON.") from None


def _check_envelope(request: web.Request, asked: Request, version: str) -> None:
    """Check what revision 2026-07-28 wants said twice, in the message and in the headers."""
    if asked.id is not UNSET:
        meta = asked.params.get("_meta")
        if not isinstance(meta, dict) or _VERSION not in meta or _CAPABILITIES not in meta:
            raise RpcError(INVALID_PARAMS, f"params._meta must have {_VERSION!r} and {_CAPABILITIES!r}.")
        named = asked.params.get("name") if asked.method == "tools/call" else None
        same = meta[_VERSION] == version and request.headers.get("Mcp-Method") == asked.method
        if not same or (named is not None and request.headers.get("Mcp-Name") != named):
            raise RpcError(HEADER_MISMATCH, "The headers do not say the same as the message.")
    if version not in MODERN:
        data = {"supported": [*EARLIER, *MODERN], "requested": version}
        raise RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def _kept() -> dict[str, Any]:
    """Return how long a reply that is the same for all may be kept."""
    return {"resultType": "complete", "ttlMs": TOOLS_HOLD_MS, "cacheScope": "private"}


def _called(called: Called, *, modern: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"content": [{"type": "text", "text": called.text}], "isError": called.failed}
    if called.structured is not None:
        result["structuredContent"] = called.structured
    return {**result, "resultType": "complete"} if modern else result


def _reply(identity: Any, result: dict[str, Any]) -> web.Response:
    body = encode({"jsonrpc": "2.0", "id": identity, "result": result})
    return web.Response(body=body, content_type="application/json")


def _refusal(identity: Any, error: RpcError, status: int) -> web.Response:
    described: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        described["data"] = error.data
    body = encode({"jsonrpc": "2.0", "id": identity, "error": described})
    return web.Response(body=body, status=status, content_type="application/json")
