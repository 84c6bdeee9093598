"""What commands share: the settings they were given, the gateway they speak to, how they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ops.commands import moments

if TYPE_CHECKING:
    from bus.settings import Settings
    from ops.client import Client
    from schemas.documents import Passage

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
ProjectName = Annotated[str, typer.Option("--project", help="Project that it belongs to.")]
Url = Annotated[str, typer.Option(help="Address of a KARAIS elsewhere.", envvar="KARAIS_URL")]
Key = Annotated[str, typer.Option(help="Its key.", envvar="KARAIS_KEY")]


def settings_of(context: typer.Context, **overrides: Any) -> Settings:
    """Return the settings for this command line."""
    from bus.settings import load
    from ops.exits import ConfigurationError
    from schemas.errors import KaraisError

    try:
        return load({**(context.obj or {}), **overrides})
    except KaraisError as error:
        raise ConfigurationError(str(error)) from None


def client_of(context: typer.Context, url: str, key: str) -> Client:
    """Return a client of the gateway that this command line means."""
    from ops.client import Client, access_key, address

    settings = settings_of(context)
    return Client(address(settings, url), access_key(settings, key))


def ask_gateway(context: typer.Context, url: str, key: str, ask: Callable[[Client], Awaitable[T]]) -> T:
    """Return what the gateway that this command line means answers."""

    async def run() -> T:
        async with client_of(context, url, key) as client:
            return await ask(client)

    return run_async(run())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; what is expected to go wrong is told by its error, not by logs."""
    import asyncio
    import logging

    logging.basicConfig(level=logging.CRITICAL)
    return asyncio.run(work)


def print_json(value: Any) -> None:
    """Print a value as JSON, in one line for a pipe; message structs become objects."""
    import msgspec

    plain = msgspec.to_builtins(value, enc_hook=str)
    typer.echo(json.dumps(plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """Print rows as a table, in plain columns for a pipe."""
    lines = [list(row) for row in rows]
    if sys.stdout.isatty():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for number, line in enumerate(lines):
            style = styles[number] if number < len(styles) else None
            table.add_row(*(escape(cell) for cell in line), style=style)
        Console().print(table)
        return
    lines.insert(0, list(columns))
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def place(passage: Passage) -> str:
    """Return where a passage stands: ``path:10-20``, ``path, page 3``, ``conversation c1, 2026-05-03``."""
    if passage.kind != "document":
        named = {"turn": f"conversation {passage.path}", "fact": f"memory {passage.id.rpartition('-')[0]}"}
        return named[passage.kind] + (f", {moments.day(passage.at)}" if passage.at else "")
    if passage.first_line:
        lines = f"{passage.first_line}"
        if passage.last_line > passage.first_line:
            lines += f"-{passage.last_line}"
        return f"{passage.path}:{lines}"
    return f"{passage.path}, page {passage.page}" if passage.page else passage.path


def size(count: float) -> str:
    """Return a number of bytes for a person: ``3.2 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def duration(seconds: float) -> str:
    """Return a duration for a person: ``2 h 5 min``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
