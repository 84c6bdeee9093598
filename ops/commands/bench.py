"""The command bench: runs one of ``ops/bench``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.common import settings_of


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=passed_on)(bench)


def names() -> list[str]:
    """Return the benchmarks that there are: the modules with a ``main``."""
    folder = Path(__file__).resolve().parent.parent / "bench"
    return sorted(f.stem for f in folder.glob("*.py") if "\ndef main(" in f.read_text("utf-8"))


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The benchmark; none lists them.")] = "",
) -> None:
    """Measure: `karais bench NAME [its options]`; without a name, list what there is."""
    from ops import roster
    from schemas.errors import KaraisError
    from schemas.failure import Code

    known = names()
    if name in ("", "-h", "--help"):
        typer.echo("usage: karais bench NAME [options]\n\n" + "\n".join(known))
        return
    if name not in known:
        raise KaraisError(f"There is no benchmark {name}; there are {', '.join(known)}.", code=Code.NOT_FOUND)
    if (context.obj or {}).get("home"):
        import os

        os.environ["KARAIS_HOME"] = str(settings_of(context).home)
    try:
        module = import_module(f"ops.bench.{name}")
    except ModuleNotFoundError as error:
        raise roster.missing(error) from error
    raise SystemExit(module.main(list(context.args)))
