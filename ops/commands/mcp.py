"""The command that makes KARAIS an MCP server over standard input and output."""

from __future__ import annotations

import typer

from ops.commands.common import Key, ProjectName, Url, run_async, settings_of


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(mcp)


def mcp(context: typer.Context, project: ProjectName = "home", url: Url = "", key: Key = "") -> None:
    """Serve other programs' models over standard input and output (MCP): search, recall, remember, ask."""
    from ops.client import access_key, address
    from ops.mcp_stdio import serve

    settings = settings_of(context)
    run_async(serve(address(settings, url), access_key(settings, key), project))
