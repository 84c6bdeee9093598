"""Commands about the bus: context, streams, url, asyncapi."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ops.commands.common import Json, print_json, print_table, run_async, settings_of, size

bus = typer.Typer(help="The bus: contexts for the nats CLI, streams.", no_args_is_help=True)


@bus.command()
def context(
    context: typer.Context,
    operator: Annotated[bool, typer.Option(help="One that may call everything.")] = False,
    directory: Annotated[
        Path | None, typer.Option(help="Where contexts are kept.", show_default="~/.config/nats/context")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a context for the `nats` CLI; the inspector's may look at everything and change nothing."""
    from ops import running
    from ops.contexts import write

    settings = running.effective(settings_of(context))
    file = write(settings, operator=operator, directory=directory)
    if as_json:
        print_json({"context": file.stem, "file": file})
    else:
        typer.echo(f"Wrote {file}. Try: nats --context {file.stem} micro ls")


@bus.command()
def url(context: typer.Context, as_json: Json = False) -> None:
    """Print the address of the bus."""
    from bus.server import url_of
    from ops import running

    address = url_of(running.effective(settings_of(context)))
    print_json({"url": address}) if as_json else typer.echo(address)


@bus.command()
def streams(context: typer.Context, as_json: Json = False) -> None:
    """List the streams with what they hold."""
    from bus.connection import connect
    from bus.identities import INSPECTOR
    from ops import running

    async def run() -> list[dict[str, Any]]:
        async with connect(running.effective(settings_of(context)), INSPECTOR, wait=2.0) as connected:
            found = []
            for info in await connected.jetstream.streams_info():
                state, config = info.state, info.config
                found.append(
                    {
                        "name": config.name,
                        "subjects": list(config.subjects or ()),
                        "storage": str(config.storage or ""),
                        "retention": str(config.retention or ""),
                        "messages": state.messages,
                        "bytes": state.bytes,
                        "last_sequence": state.last_seq,
                        "consumers": state.consumer_count,
                        "description": config.description or "",
                    }
                )
            return found

    found = run_async(run())
    if as_json:
        print_json(found)
        return
    rows = [
        (s["name"], s["storage"], str(s["messages"]), size(s["bytes"]), str(s["consumers"]), s["description"])
        for s in found
    ]
    print_table(("stream", "storage", "messages", "size", "consumers", "what"), rows)


@bus.command()
def asyncapi() -> None:
    """Print what travels on the bus as an AsyncAPI document."""
    import json

    from bus.asyncapi import document
    from ops.version import version

    typer.echo(json.dumps(document(version()), indent=1, ensure_ascii=False))
