"""Commands about projects: list, show, add, change, remove."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.commands.common import Json, Key, Url, ask_gateway, print_json, print_table
from ops.commands.forgetting import DryRun, Yes, confirm, counted, in_backups

if TYPE_CHECKING:
    from schemas.projects import Project

project = typer.Typer(
    help="Projects: each with its own instructions, files, conversations and memory.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Its identity, such as boat.", metavar="PROJECT")]
Called = Annotated[str | None, typer.Option("--name", help="What people call it.")]
Instructions = Annotated[
    str | None, typer.Option(help="What every answer keeps to; @FILE reads it from a file.")
]
Folder = Annotated[str | None, typer.Option(help="Folder of the storage that is its own; '' for none.")]
Global = Annotated[bool | None, typer.Option("--global/--no-global", help="May use what is global.")]
Adapter = Annotated[str | None, typer.Option(help="Adapter (LoRA) for its answers; '' for none.")]


@project.command("list")
def list_projects(context: typer.Context, url: Url = "", key: Key = "", as_json: Json = False) -> None:
    """List the projects."""
    found = ask_gateway(context, url, key, lambda client: client.projects()).projects
    if as_json:
        print_json(found)
        return
    rows = [(one.project, one.name, one.folder, "yes" if one.uses_global else "") for one in found]
    print_table(("project", "name", "folder", "uses global"), rows)


@project.command()
def show(context: typer.Context, name: Name, url: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Show a project."""
    _print(ask_gateway(context, url, key, lambda client: client.project(name)), as_json)


@project.command()
def add(
    context: typer.Context,
    name: Name,
    called: Called = None,
    instructions: Instructions = None,
    folder: Folder = None,
    uses_global: Global = None,
    adapter: Adapter = None,
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Make a project."""
    body = {"project": name, **_given(called, instructions, folder, uses_global, adapter)}

    _print(ask_gateway(context, url, key, lambda client: client.add_project(body)), as_json)


@project.command()
def change(
    context: typer.Context,
    name: Name,
    called: Called = None,
    instructions: Instructions = None,
    folder: Folder = None,
    uses_global: Global = None,
    adapter: Adapter = None,
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Change what is given of a project."""
    body = _given(called, instructions, folder, uses_global, adapter)
    if not body:
        raise typer.BadParameter("say what to change, such as --name", param_hint="PROJECT")

    _print(ask_gateway(context, url, key, lambda client: client.change_project(name, body)), as_json)


@project.command()
def remove(
    context: typer.Context,
    name: Name,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Forget a project with its conversations and memories, for good; its files stay."""
    called = ask_gateway(context, url, key, lambda client: client.project(name)).name
    gone = ask_gateway(context, url, key, lambda client: client.remove_project(name, dry_run=True))
    if not dry_run:
        confirm(f"“{called}” goes for good, with {counted(gone)}. {in_backups(gone)}\nForget it?", yes)
        gone = ask_gateway(context, url, key, lambda client: client.remove_project(name))
    if as_json:
        print_json(gone)
    else:
        said = "This would go for good" if dry_run else "Forgotten for good"
        typer.echo(f"{said}: {counted(gone)}. {in_backups(gone)}")


def _given(
    called: str | None,
    instructions: str | None,
    folder: str | None,
    uses_global: bool | None,
    adapter: str | None,
) -> dict[str, Any]:
    """Return what was given, with instructions from a file read."""
    if instructions and instructions.startswith("@"):
        try:
            instructions = Path(instructions[1:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise typer.BadParameter(
                f"{instructions[1:]} cannot be read: {reason}", param_hint="--instructions"
            ) from None
    values = {"name": called, "instructions": instructions, "folder": folder, "uses_global": uses_global,
              "adapter": adapter}  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def _print(one: Project, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    typer.echo(f"{one.name} ({one.project})")
    typer.echo(f"  folder        {one.folder or 'none'}")
    typer.echo(f"  uses global   {'yes' if one.uses_global else 'no'}")
    typer.echo(f"  adapter       {one.adapter or 'none'}")
    for number, line in enumerate(one.instructions.splitlines()):
        typer.echo(f"  {'' if number else 'instructions':<12}  {line}")
