"""Commands about tools: list, call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.commands.common import Json, Key, ProjectName, Url, ask_gateway, print_json, print_table
from ops.commands.forgetting import Yes, confirm

if TYPE_CHECKING:
    from schemas.tools import ToolEntry, ToolList

tools = typer.Typer(
    help="What the assistant can have done: built-in tools and MCP servers.", no_args_is_help=True
)
SHOWN_CHARS = 80
"""Of a description in a list."""
MAX_SECONDS = 300.0


@tools.command("list")
def list_tools(
    context: typer.Context, project: ProjectName = "home", url: Url = "", key: Key = "", as_json: Json = False
) -> None:
    """List the tools, and the servers that the administrator put into mcp.json."""
    found = ask_gateway(context, url, key, lambda client: client.tools(project=project))
    if as_json:
        print_json(found)
        return
    rows = [(tool.name, tool.effect, tool.source, _line(tool.description)) for tool in found.tools]
    print_table(("tool", "effect", "source", "what it does"), rows)
    if found.servers:
        typer.echo()
        servers = [(server.name, server.state, str(server.tools), server.detail) for server in found.servers]
        print_table(("server", "state", "tools", "detail"), servers)


@tools.command()
def call(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The tool, as `karais tools list` shows it.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments, a JSON object.")] = "{}",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=MAX_SECONDS, help="After so long it is given up.")
    ] = 30.0,
    yes: Yes = False,
    project: ProjectName = "home",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Call a tool; asks first when it changes something."""
    given = _object(arguments)
    body = {"arguments": given, "project": project, "seconds": seconds}
    found = ask_gateway(context, url, key, lambda client: client.tools(project=project))
    tool = _named(found, name)
    if tool is not None and tool.effect == "changes":
        confirm(f"{name} {json.dumps(given, ensure_ascii=False)} changes something. Call it?", yes)
        body["approved"] = True
    result = ask_gateway(context, url, key, lambda client: client.call_tool(name, body, seconds=seconds))
    if as_json:
        print_json(result)
    else:
        typer.echo(result.text, err=result.is_error)
    if result.is_error:
        raise typer.Exit(1)


def _named(found: ToolList, name: str) -> ToolEntry | None:
    return next((tool for tool in found.tools if tool.name == name), None)


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint="ARGUMENTS") from None
    if not isinstance(given, dict):
        raise typer.BadParameter("this is no JSON object", param_hint="ARGUMENTS")
    return given


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"
