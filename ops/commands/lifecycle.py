"""Commands that start and stop: up, down, run, version, key."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.common import Json, print_json, settings_of


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(up)
    app.command()(down)
    app.command()(run)
    app.command()(version)
    app.command()(key)


def up(
    context: typer.Context,
    storage: Annotated[Path | None, typer.Option(help="The folder with the files that KARAIS knows.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the chat page.", show_default="7878")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    nats: Annotated[str | None, typer.Option(help="URL of a NATS server that runs already.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the language model.")] = None,
    engine: Annotated[str | None, typer.Option(help="auto, or the name of one.")] = None,
    as_json: Json = False,
) -> None:
    """Start everything and print the address of the chat page; Ctrl-C stops it."""
    from bus.settings import environment
    from ops import launch, preflight, running
    from schemas.errors import KaraisError
    from schemas.failure import Code

    settings = settings_of(
        context, storage=storage, port=port, host=host, nats=nats, model=model, engine=engine
    )
    if running.is_up(settings):
        raise KaraisError(running.already_up(settings), code=Code.CONFLICT)
    preflight.check(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    # The guardian takes this process over: it shall be small, and Ctrl-C shall reach it.
    argv = launch.guardian(settings.run, launch.supervisor(*(["--json"] if as_json else [])))
    os.execve(argv[0], argv, launch.environ(environment(settings), "guardian"))  # noqa: S606


def down(context: typer.Context, as_json: Json = False) -> None:
    """Stop everything that runs for this data folder, in whatever state it is."""
    from ops import down as stopping

    settings = settings_of(context)
    count = stopping.down(settings)
    if as_json:
        print_json({"stopped": count})
    else:
        typer.echo(f"Stopped {count} processes." if count else f"Nothing runs for {settings.home}.")


def run(context: typer.Context, agent: Annotated[str, typer.Argument(help="The agent's kind.")]) -> None:
    """Run one agent in the foreground."""
    from ops.foreground import run_agent

    raise SystemExit(run_agent(agent, settings_of(context)))


def version(as_json: Json = False) -> None:
    """Print the version."""
    from ops.version import version as installed

    if as_json:
        print_json({"version": installed(), "python": sys.version.split()[0]})
    else:
        typer.echo(installed())


def key(context: typer.Context, as_json: Json = False) -> None:
    """Print the local key, which opens the API and the page; it is made at the first `karais up`."""
    from bus.identities import local_key

    settings = settings_of(context)
    value = local_key(settings.api_key)
    if as_json:
        print_json({"key": value, "file": str(settings.api_key)})
    else:
        typer.echo(value)
