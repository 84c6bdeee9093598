"""Commands about weights: list, pull, add, remove, verify."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands.common import Json, print_json, print_table, settings_of, size

if TYPE_CHECKING:
    from ops.models import OnStep, Step
    from stores.weights.registry import Model

models = typer.Typer(help="The models' weights.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(help="Names of models; none takes the default ones.")]
Known = Annotated[list[str] | None, typer.Argument(help="Names of models; none takes all that are here.")]


@models.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the models that are here, and the default ones that are not."""
    from ops.models import listing

    found = listing(settings_of(context))
    if as_json:
        print_json({"models": found})
        return
    rows = [(m.name, m.state, m.kind, size(m.bytes) if m.bytes else "-", m.source, m.detail) for m in found]
    print_table(("model", "state", "kind", "size", "source", "what"), rows)


@models.command()
def pull(
    context: typer.Context,
    names: Names = None,
    quantisation: Annotated[
        str, typer.Option(help="Variant of a hub's model, such as Q4_K_M; by default what fits this machine.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Fetch models, verify and prepare them; what is here already is left alone."""
    from ops.models import pull as fetch

    with _progress(quiet=as_json) as progress:
        pulled = fetch(settings_of(context), names or (), progress, quantisation=quantisation)
    if as_json:
        print_json({"models": [_facts(model) for model in pulled]})
        return
    for model in pulled:
        if model.manifest.chosen:
            typer.echo(f"{model.name}: {model.manifest.chosen}")


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
    if as_json:
        print_json(_facts(model))
    else:
        typer.echo(f"Added {model.name}: use it by `karais up --model {model.name}`.")


@models.command()
def merge(
    context: typer.Context,
    base: Annotated[str, typer.Argument(help="The model.")],
    adapter: Annotated[str, typer.Argument(help="The adapter, as `karais models add` took it.")],
    name: Annotated[str, typer.Option(help="Name of the merged model.")] = "",
    as_json: Json = False,
) -> None:
    """Add an adapter to a model's weights: a model of its own, as fast as the one without."""
    from ops.models import merge as merged

    with _progress(quiet=as_json) as progress:
        model = merged(settings_of(context), base, adapter, name or f"{base}-{adapter}", progress)
    if as_json:
        print_json(_facts(model))
    else:
        typer.echo(f"{model.name} is ready: choose it with the setting `model`.")


@models.command()
def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    as_json: Json = False,
) -> None:
    """Delete a model's weights."""
    from ops.models import remove as delete

    delete(settings_of(context), name)
    if as_json:
        print_json({"removed": name})
    else:
        typer.echo(f"Removed {name}.")


@models.command()
def verify(context: typer.Context, names: Known = None, as_json: Json = False) -> None:
    """Compare weights with their recorded SHA-256. Exits with 1 when one is damaged."""
    from ops.models import verify as compare

    with _progress(quiet=as_json) as progress:
        found = compare(settings_of(context), names or (), progress)
    if as_json:
        print_json({"models": found})
    else:
        for name, damage in found.items():
            typer.echo(f"{name}: {damage or 'whole'}")
        if not found:
            typer.echo("No model is here: `karais models pull` gets the default ones.")
    raise typer.Exit(1 if any(found.values()) else 0)


def _facts(model: Model) -> dict[str, object]:
    return {
        "name": model.name,
        "kind": model.manifest.kind,
        "bytes": model.bytes,
        "path": model.weights,
        "chosen": model.manifest.chosen,
    }


@contextmanager
def _progress(*, quiet: bool) -> Iterator[OnStep | None]:
    """Yield what takes the steps: a bar in a terminal, a line for each stage elsewhere."""
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        shown: set[tuple[str, str]] = set()

        def line(step: Step) -> None:
            if step.stage != "there" and (step.model, step.stage) not in shown:
                shown.add((step.model, step.stage))
                typer.echo(f"{step.model}: {step.stage}", err=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def bar(step: Step) -> None:
            if step.model not in tasks:
                tasks[step.model] = bars.add_task(step.model)
            bars.update(
                tasks[step.model],
                description=f"{step.model}: {step.stage}",
                completed=step.done,
                total=step.total or None,
            )

        yield bar
