"""Commands about weights: list, pull, add, remove, verify."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.common import Json, print_json, print_table, settings_of, size

models = typer.Typer(help="The models' weights.", no_args_is_help=True)
Progress = Callable[[str, int, int], None]


@models.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the models that are here, and the default ones that are not."""
    from ops.models import listing

    found = listing(settings_of(context))
    if as_json:
        print_json(found)
        return
    rows = [
        (m.name, m.kind, size(m.bytes), "yes" if m.present else "no", m.used_for, m.source) for m in found
    ]
    print_table(("model", "kind", "size", "here", "used for", "source"), rows)


@models.command()
def pull(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Models; none takes the default ones.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch models, verify and prepare them; what is here already is left alone."""
    from ops.models import pull as fetch

    with _progress(quiet=as_json) as progress:
        pulled = fetch(settings_of(context), names or [], progress)
    if as_json:
        print_json(pulled)


@models.command()
def add(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A file or a folder with weights.")],
    name: Annotated[str, typer.Option(help="How to call it; by default as the file.")] = "",
    as_json: Json = False,
) -> None:
    """Take in weights that are on this machine; what they are is decided by their content."""
    from ops.models import add as take

    with _progress(quiet=as_json) as progress:
        model = take(settings_of(context), path, name, progress)
    print_json(model) if as_json else typer.echo(f"Added {model.name}.")


@models.command()
def remove(context: typer.Context, name: str, as_json: Json = False) -> None:
    """Delete a model's weights."""
    from ops.models import remove as delete

    delete(settings_of(context), name)
    print_json({"removed": name}) if as_json else typer.echo(f"Removed {name}.")


@models.command()
def verify(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Models; none takes all.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the weights with their recorded SHA-256."""
    from ops.models import verify as compare

    with _progress(quiet=as_json) as progress:
        verified = compare(settings_of(context), names or [], progress)
    print_json(verified) if as_json else typer.echo("All weights are as they were taken in.")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """Yield a function that shows progress: a bar in a terminal, a line a step elsewhere."""
    if quiet or not sys.stderr.isatty():
        shown: set[str] = set()

        def line(what: str, _: int, __: int) -> None:
            if what not in shown and not quiet:
                shown.add(what)
                typer.echo(what, err=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def bar(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield bar
