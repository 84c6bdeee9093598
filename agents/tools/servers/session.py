"""A connection to one server, over the official MCP library; bounded in memory and in what it believes."""

from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, MCPError
from mcp import types as mcp_types

from agents.tools.servers.configuration import ServerConfig, all_resolved, resolved
from agents.tools.servers.http import bounded_client
from agents.tools.servers.lines import MAX_MESSAGE_BYTES
from agents.tools.servers.listing import MAX_TOOLS, Listed, listed
from agents.tools.servers.results import read_result
from agents.tools.servers.stdio import Program, stdio
from agents.tools.tool import Given
from schemas.errors import KaraisError
from schemas.failure import Code

MAX_PAGES = 64
CLOSED = (-32000, -32600)
"""Codes of errors after which the connection is of no use: closed, or its session ended."""


class Session:
    """What the agent does with a server."""

    def __init__(self, name: str, config: ServerConfig, client: Client, lose: Callable[[str], None]) -> None:
        self._name = name
        self._config = config
        self._client = client
        self._lose = lose

    async def tools(self) -> tuple[list[Listed], str]:
        """Return its tools, and in one sentence which were left out."""
        found: list[mcp_types.Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._client.session.list_tools(
                params=mcp_types.PaginatedRequestParams(cursor=cursor) if cursor else None
            )
            found += page.tools
            cursor = page.next_cursor
            if not cursor or len(found) > MAX_TOOLS:
                break
        return await asyncio.to_thread(listed, self._name, self._config, found, more=bool(cursor))

    async def call(self, tool: str, arguments: dict[str, Any], seconds: float) -> Given:
        """Return what a tool gives. Raises MCPError and what the connection raises."""
        request = mcp_types.CallToolRequest(
            params=mcp_types.CallToolRequestParams(name=tool, arguments=arguments)
        )
        try:
            # Not `call_tool`: it checks results by the server's own schema, which may take for ever.
            result = await self._client.session.send_request(
                request, mcp_types.CallToolResult, request_read_timeout_seconds=seconds
            )
        except MCPError as error:
            if error.code in CLOSED:
                self._lose("its connection was lost")
            raise
        return read_result(result)


@asynccontextmanager
async def connected(
    name: str,
    config: ServerConfig,
    log_file: Path,
    lose: Callable[[str], None],
    changed: Callable[[], None],
) -> AsyncIterator[Session]:
    """Connect to a server and yield the session.

    ``lose`` is called with a reason when it is of no use any more, ``changed``
    when the server says that its tools are others. Raises KaraisError for what
    is wrong with the configuration.
    """

    async def hear(message: Any) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            changed()

    async with AsyncExitStack() as stack:
        if config.command:
            transport: Any = stdio(_program(config), log_file, lose)
        else:
            from mcp.client.streamable_http import streamable_http_client

            http = await stack.enter_async_context(bounded_client(_headers(config)))
            # The library follows no redirect to another host, so the headers go nowhere else.
            transport = streamable_http_client(
                resolved(config.url), http_client=http, max_sse_event_size=MAX_MESSAGE_BYTES
            )
        client = Client(
            transport,
            message_handler=hear,
            client_info=mcp_types.Implementation(name="karais", version=importlib.metadata.version("karais")),
            cache=None,
        )
        yield Session(name, config, await stack.enter_async_context(client), lose)


def _program(config: ServerConfig) -> Program:
    env = all_resolved(config.env)
    program = Program.of(
        command=config.command, args=[resolved(argument) for argument in config.args], env=env, cwd=config.cwd
    )
    if shutil.which(config.command, path=program.env.get("PATH")) is None:
        raise KaraisError(f"There is no program {config.command[:200]!r}.", code=Code.NOT_FOUND)
    return program


def _headers(config: ServerConfig) -> dict[str, str]:
    headers = all_resolved(config.headers)
    for name, value in headers.items():
        if not name.isascii() or not value.isascii() or not (name + value).isprintable():
            raise KaraisError(
                f"The header {name[:64]!r} has characters that it may not have.", code=Code.INVALID
            )
    return headers
