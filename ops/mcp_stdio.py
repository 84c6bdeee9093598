"""MCP over standard input and output: each line is passed on to the gateway's ``/mcp``, and its reply back.

It knows nothing of the protocol but what the two ways of carrying it differ
in, so it needs no server parts and works from any machine that reaches the
gateway.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
import msgspec

MAX_LINE_BYTES = 1024 * 1024
ANSWER_SECONDS = 900.0
AT_A_TIME = 16

_VERSION = "io.modelcontextprotocol/protocolVersion"
_INTERNAL = -32603
_PARSE_ERROR = -32700


class _Message(msgspec.Struct):
    """What has to be known of a message."""

    method: str = ""
    id: Any = msgspec.UNSET
    params: Any = None


async def serve(url: str, key: str, project: str) -> None:
    """Serve until the input ends."""
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=5)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        relay = _Relay(session, f"{url}/mcp", project)
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                line = end.partial
            except asyncio.LimitOverrunError as error:
                await reader.read(error.consumed)  # the rest of the line is refused as well, piece by piece
                relay.write(
                    {"jsonrpc": "2.0", "id": None, "error": _error(_PARSE_ERROR, "The line is too long.")}
                )
                continue
            if line.strip():
                await relay.take(line)
            if not line.endswith(b"\n"):
                break
        await relay.finish()


class _Relay:
    """Requests on their way to the gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str, project: str) -> None:
        self._session = session
        self._url = url
        self._query = {"project": project}
        self._version = ""
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._running: dict[Any, asyncio.Task[None]] = {}

    async def take(self, line: bytes) -> None:
        """Pass a message on; its reply comes when it comes."""
        try:
            message = msgspec.json.decode(line, type=_Message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.write(
                {"jsonrpc": "2.0", "id": None, "error": _error(_PARSE_ERROR, "This is no JSON object.")}
            )
            return
        if message.method == "notifications/cancelled" and isinstance(message.params, dict):
            running = self._running.pop(str(message.params.get("requestId")), None)
            if running:
                running.cancel()  # the gateway sees the connection go
            return
        await self._places.acquire()
        task = asyncio.create_task(self._pass_on(line, message))
        name = str(message.id)
        self._running[name] = task
        task.add_done_callback(lambda done: self._done(name, done))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._places.release()
        if self._running.get(name) is task:
            del self._running[name]

    async def finish(self) -> None:
        """Wait for the replies of what was asked before the input ended."""
        if self._running:
            await asyncio.wait(self._running.values())

    async def _pass_on(self, line: bytes, message: _Message) -> None:
        try:
            reply = await self._reply(line, message)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            reply = _error_reply(message, f"No KARAIS answers at {self._url}: start it by `karais up`.")
        if reply and message.id is not msgspec.UNSET:
            self.write_line(reply)

    async def _reply(self, line: bytes, message: _Message) -> bytes:
        request = self._session.post(
            self._url,
            data=line.strip(),
            params=self._query,
            headers=self._headers(message),
            allow_redirects=False,
        )
        async with request as response:
            body = await response.read()
            if response.content_type == "text/event-stream":  # signs of life, then one event
                events = [part for part in body.splitlines() if part.startswith(b"data:")]
                if not events:
                    return _error_reply(message, "The KARAIS ended its answer early.")
                return events[-1].removeprefix(b"data:").strip()
            if response.status == 202:
                return b""
            if b'"jsonrpc"' not in body[:200]:  # a refusal of the gateway's: no key, wrong host
                return _error_reply(
                    message, f"The KARAIS at {self._url} refuses: {_sentence(body, response.status)}"
                )
            self._note_version(message, body)
            return body

    def _headers(self, message: _Message) -> dict[str, str]:
        """Return what streamable HTTP wants in headers and a pipe has in the message alone."""
        params = message.params if isinstance(message.params, dict) else {}
        meta = params.get("_meta")
        version = meta.get(_VERSION) if isinstance(meta, dict) else None
        if not isinstance(version, str):
            return {"MCP-Protocol-Version": self._version} if self._version else {}
        headers = {"MCP-Protocol-Version": version, "Mcp-Method": message.method}
        if message.method == "tools/call" and isinstance(name := params.get("name"), str):
            headers["Mcp-Name"] = name
        # A header cannot hold everything; what does not fit is refused there for its absence.
        return {key: value for key, value in headers.items() if value.isascii() and value.isprintable()}

    def _note_version(self, message: _Message, body: bytes) -> None:
        if message.method == "initialize":
            result = json.loads(body).get("result")
            self._version = str(result.get("protocolVersion", "")) if isinstance(result, dict) else ""

    def write(self, message: dict[str, Any]) -> None:
        """Write a message."""
        self.write_line(msgspec.json.encode(message))

    def write_line(self, line: bytes) -> None:
        """Write a message that is encoded already."""
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def _error(code: int, text: str) -> dict[str, Any]:
    return {"code": code, "message": text}


def _error_reply(message: _Message, text: str) -> bytes:
    identity = None if message.id is msgspec.UNSET else message.id
    return msgspec.json.encode({"jsonrpc": "2.0", "id": identity, "error": _error(_INTERNAL, text)})


def _sentence(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {status}."
