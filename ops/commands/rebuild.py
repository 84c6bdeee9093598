"""The command rebuild: memory made anew from the storage and the logs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands.common import Json, duration, print_json, print_table, run_async, settings_of

if TYPE_CHECKING:
    from ops.rebuild import Progress, Rebuilt

LINE = 79


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(rebuild)


def rebuild(
    context: typer.Context,
    check: Annotated[bool, typer.Option(help="Only compare; exits with 1 if something differs.")] = False,
    embed: Annotated[bool, typer.Option(help="Embed every text anew.")] = False,
    as_json: Json = False,
) -> None:
    """Make all tables and projections anew from the storage and the logs, compare, and switch over."""
    from ops import roster, running

    settings = running.effective(settings_of(context))
    try:
        from ops.rebuild import rebuild as run
    except ModuleNotFoundError as error:
        raise roster.missing(error) from error

    result = run_async(run(settings, _show, check=check, embed=embed))
    _clear()
    if as_json:
        print_json(result)
    else:
        _print(result)
    raise typer.Exit(1 if check and not result.same else 0)


def _show(now: Progress) -> None:
    if not sys.stderr.isatty():
        return
    left = "" if now.seconds_left is None else f", about {duration(now.seconds_left)} left"
    text = f"{now.step}: {now.done} of {now.total} ({now.per_second:.1f} a second{left})"
    typer.echo(f"\r{text[:LINE]:<{LINE}}", err=True, nl=False)


def _clear() -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{'':<{LINE}}\r", err=True, nl=False)


def _print(result: Rebuilt) -> None:
    columns = ("part", "in use", "rebuilt", "missing", "added", "changed")
    print_table(
        columns,
        [
            (d.part, str(d.before), str(d.after), str(d.missing), str(d.added), str(d.changed))
            for d in result.differences
        ],
    )
    for difference in result.differences:
        if difference.examples:
            typer.echo(f"{difference.part} differ, for example: {', '.join(difference.examples)}")
    typer.echo(
        f"{result.reused} texts kept their vectors, {result.embedded} were embedded; "
        f"{duration(result.seconds)} in all."
    )
    typer.echo("The rebuilt memory is in use." if result.switched else "Nothing was changed.")
