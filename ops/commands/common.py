"""What commands share: the settings they were given, and how they print."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from bus.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


def settings_of(context: typer.Context, **overrides: Any) -> Settings:
    """Return the settings for this command line."""
    from bus.settings import load
    from ops.exits import ConfigurationError
    from schemas.errors import KaraisError

    try:
        return load({**(context.obj or {}), **overrides})
    except KaraisError as error:
        raise ConfigurationError(str(error)) from None


def print_json(value: Any) -> None:
    """Print a value as JSON; message structs become objects."""
    import msgspec

    plain = msgspec.to_builtins(value, enc_hook=str)
    print(json.dumps(plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))  # noqa: T201
