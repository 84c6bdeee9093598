"""REST: tools are listed and called. Which servers of tools there are is no request's business."""

from __future__ import annotations

import secrets

import msgspec
from aiohttp import web

from agents.gateway.codec import decode_body
from agents.gateway.openapi import Operation
from agents.gateway.part import API, Part, as_json, given
from schemas.tools import CallTool, ListTools, ToolList, ToolResult
from schemas.web import ToolRun

MARGIN_SECONDS = 10.0
"""For logging a call, beyond what the tool itself may take."""


class ToolsPart(Part):
    """Tools."""

    def operations(self) -> list[Operation]:
        """Return the operations about tools."""
        return [
            Operation(
                "GET",
                f"{API}/tools",
                "List the tools and their servers.",
                self.tools,
                ToolList,
                query=ListTools,
            ),
            Operation(
                "POST",
                f"{API}/tools/{{name}}",
                "Call a tool; what changes something needs `approved`.",
                self.call_it,
                ToolResult,
                body=ToolRun,
            ),
        ]

    async def tools(self, request: web.Request) -> web.Response:
        """List tools."""
        return await self.reply(given(request, ListTools))

    async def call_it(self, request: web.Request) -> web.Response:
        """Call a tool; whatever it does, the reply is its result."""
        run = decode_body(ToolRun, await request.read())
        ask = CallTool(
            name=request.match_info["name"][:200],
            project=run.project,
            call=run.call or secrets.token_hex(16),
            arguments=msgspec.json.encode(run.arguments).decode(),
            approved=run.approved,
            seconds=run.seconds,
        )
        return as_json(await self.run(ask))

    async def run(self, ask: CallTool) -> ToolResult:
        """Return what came of a call."""
        result: ToolResult = await self.call(ask, timeout=ask.seconds + MARGIN_SECONDS)
        return result
