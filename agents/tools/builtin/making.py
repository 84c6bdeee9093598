"""Making a built-in tool of a struct of arguments and a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from agents.tools.tool import Given, NotDoneError, Tool, Work
from schemas.tools import CallTool, Effect, ToolEntry

T = TypeVar("T", bound=msgspec.Struct)


def make(
    name: str,
    description: str,
    effect: Effect,
    arguments: type[T],
    run: Callable[[CallTool, T], Awaitable[Given]],
) -> Tool:
    """Return a tool whose schema follows from ``arguments``, a struct of plain fields."""
    decoder = msgspec.json.Decoder(arguments)

    def prepare(ask: CallTool) -> Work:
        try:
            given = decoder.decode(ask.arguments or "{}")
        except msgspec.ValidationError as error:
            raise _invalid(error) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotDoneError("invalid", f"The arguments are no JSON object: {error}.") from None
        return lambda: run(ask, given)

    parameters = schema_of(arguments)
    return Tool(ToolEntry(name=name, description=description, parameters=parameters, effect=effect), prepare)


def schema_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of a struct of plain fields."""
    _, components = msgspec.json.schema_components([arguments])
    schema = dict(components[arguments.__name__])
    for name in ("title", "description"):  # the class's, which say nothing to a model
        schema.pop(name, None)
    return schema


def _invalid(error: msgspec.ValidationError) -> NotDoneError:
    reason, _, path = str(error).partition(" - at `")
    field = path.rstrip("`").removeprefix("$.").removeprefix("$")
    if not field and " field `" in reason:  # a field that is missing or unknown is named in the text alone
        field = reason.rpartition("`")[0].rpartition("`")[2]
    where = f"The argument {field!r} is wrong" if field else "The arguments are wrong"
    return NotDoneError("invalid", f"{where}: {reason[:1].lower()}{reason[1:]}.", field=field)
