"""The command line ``karais``. Commands import what they need when they run, so that help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ops import exits
from ops.commands import bench, lifecycle, mcp, rebuild, state, talk
from ops.commands.bus import bus
from ops.commands.memory import memory
from ops.commands.models import models
from ops.commands.project import project
from ops.commands.storage import storage
from ops.commands.tools import tools

app = typer.Typer(
    name="karais",
    help="A private assistant on your own hardware: agents on a NATS bus.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
lifecycle.register(app)
talk.register(app)
state.register(app)
app.add_typer(models, name="models")
app.add_typer(storage, name="storage")
app.add_typer(memory, name="memory")
app.add_typer(project, name="project")
app.add_typer(tools, name="tools")
mcp.register(app)
app.add_typer(bus, name="bus")
rebuild.register(app)
bench.register(app)


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="The data folder.", envvar="KARAIS_HOME", show_default="~/.karais")
    ] = None,
) -> None:
    """Take the options that every command has."""
    context.obj = {"home": home}


def main() -> None:
    """Run the command line; what is expected to go wrong ends in one sentence and an exit code."""
    from schemas.errors import KaraisError

    try:
        app()
    except KaraisError as error:
        fail(
            str(error), exits.CONFIGURATION if isinstance(error, exits.ConfigurationError) else exits.FAILURE
        )
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(exits.FAILURE) from None
    except OSError as error:
        explained = exits.explained(error)
        fail(str(explained), exits.exit_code(explained))


def fail(sentence: str, code: int) -> None:
    """End with a sentence on the standard error stream."""
    print(f"karais: {sentence}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)


if __name__ == "__main__":
    main()
