"""What a server says of its tools, made fit to be shown to a model.

Names, descriptions and schemas come from outside, and a server may write
orders to the model into them. They are therefore cleaned of what cannot be
seen, cut, bounded in number, and marked ``untrusted`` unless the administrator
trusts the server: whoever shows them to a model has text from outside in the
context, and side effects need the user's yes from then on. Nothing that a
server says of a tool makes it less dangerous, unless the administrator said
that the server may.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from agents.tools.servers.checking import Checker
from agents.tools.servers.configuration import ServerConfig, named
from agents.tools.tool import cleaned, shortened
from schemas.errors import KaraisError
from schemas.tools import Effect, ToolEntry

if TYPE_CHECKING:
    from mcp.types import Tool as McpTool

MAX_TOOLS = 128
"""Tools of one server; a model cannot choose among more."""
MAX_DESCRIPTION_CHARS = 1000
MAX_NOTE_CHARS = 300
"""Of a description within a schema."""
MAX_SCHEMA_BYTES = 32 * 1024
MAX_DEPTH = 32
MAX_NAME_CHARS = 64

_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_WORDS = ("description", "title", "$comment")


class Listed(NamedTuple):
    """A tool of a server."""

    original: str
    """Its name there."""
    entry: ToolEntry
    check: Callable[[str], dict[str, Any]]
    """Returns the arguments in a JSON text; raises NotDoneError that names the field at fault."""


def listed(
    server: str, config: ServerConfig, tools: Sequence[McpTool], *, more: bool = False
) -> tuple[list[Listed], str]:
    """Return the tools that can be used, and in one sentence which cannot."""
    found: dict[str, Listed] = {}
    left_out: list[str] = []
    for tool in tools[:MAX_TOOLS]:
        name = tool_name(server, tool.name)
        try:
            if name in found:
                raise _Unfit("its name is another's too")
            found[name] = _listed(server, name, config, tool)
        except _Unfit as reason:
            left_out.append(f"{shortened(cleaned(tool.name), 40)} ({reason})")
    note = ""
    if left_out:
        note = f"Left out: {', '.join(left_out[:5])}{' and others' if len(left_out) > 5 else ''}."
    if more or len(tools) > MAX_TOOLS:
        note = f"Only the first {MAX_TOOLS} of its tools are used. {note}".strip()
    return list(found.values()), note


def tool_name(server: str, original: str) -> str:
    """Return the name under which a server's tool is known: ``server__tool``, at most 64 characters."""
    name = f"{server}__{_FOREIGN.sub('_', original)}"
    if len(name) <= MAX_NAME_CHARS:
        return name
    return f"{name[: MAX_NAME_CHARS - 9]}_{hashlib.sha256(original.encode()).hexdigest()[:8]}"


class _Unfit(Exception):
    """Why a tool cannot be used."""


def _listed(server: str, name: str, config: ServerConfig, tool: McpTool) -> Listed:
    if not tool.name or len(tool.name) > 256:
        raise _Unfit("its name is empty or too long")
    schema: Any = tool.input_schema or {}
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        raise _Unfit("its schema is too large")
    try:
        shown = _cleaned_schema(schema, MAX_DEPTH)
        checker = Checker(shown)
    except (KaraisError, RecursionError) as error:
        raise _Unfit(f"its schema is wrong: {error}") from None
    entry = ToolEntry(
        name=name,
        description=shortened(" ".join(cleaned(tool.description or "").split()), MAX_DESCRIPTION_CHARS),
        parameters=shown,
        source=server,
        effect=effect_of(config, tool),
        sends=not config.trust_data,
        untrusted=not config.trust_descriptions,
    )
    return Listed(tool.name, entry, checker.arguments)


def effect_of(config: ServerConfig, tool: McpTool) -> Effect:
    """Return what a tool counts as: changing something, unless the administrator let it count as reading."""
    if named(tool.name, config.changes):
        return "changes"
    if named(tool.name, config.reads):
        return "reads"
    notes = tool.annotations
    if config.trust_annotations and notes and notes.read_only_hint and not notes.destructive_hint:
        return "reads"
    return "changes"


def _cleaned_schema(value: Any, depth: int) -> Any:
    """Return a schema with its words cleaned and cut; raises KaraisError when it is nested too deeply."""
    if not depth:
        raise KaraisError("it is nested too deeply")
    if isinstance(value, dict):
        return {
            cleaned(str(name)): shortened(cleaned(inner), MAX_NOTE_CHARS)
            if name in _WORDS and isinstance(inner, str)
            else _cleaned_schema(inner, depth - 1)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_cleaned_schema(inner, depth - 1) for inner in value]
    return value
