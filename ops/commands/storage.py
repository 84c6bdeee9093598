"""Commands about the storage: status, files, rescan."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands.common import Json, Key, Url, client_of, duration, print_json, print_table, run_async, size

if TYPE_CHECKING:
    from schemas.documents import FileEntry, StorageStatus

storage = typer.Typer(help="The folder with your files: how far indexing came.", no_args_is_help=True)
PAGE = 1000


@storage.command()
def status(
    context: typer.Context,
    follow: Annotated[bool, typer.Option(help="Go on until everything is indexed.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show how much is indexed, and how long the rest will take."""

    async def run() -> None:
        import asyncio

        async with client_of(context, url, key) as client:
            while True:
                now = await client.storage()
                print_json(now) if as_json else _print_status(now)
                if not follow or not (now.scanning or now.waiting):
                    return
                await asyncio.sleep(1)

    run_async(run())


@storage.command()
def files(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="waiting, indexed or skipped.")] = "",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """List the files, and why some were skipped."""
    if state not in ("", "waiting", "indexed", "skipped"):
        raise typer.BadParameter("a file is waiting, indexed or skipped", param_hint="--state")

    async def run() -> list[FileEntry]:
        found: list[FileEntry] = []
        async with client_of(context, url, key) as client:
            while True:
                after = found[-1].path if found else ""
                page = (await client.files(state=state, after=after, limit=PAGE)).files
                found += page
                if len(page) < PAGE:
                    return found

    found = run_async(run())
    if as_json:
        print_json(found)
        return
    rows = [(f.path, f.state, size(f.bytes), str(f.passages), f.reason) for f in found]
    print_table(("file", "state", "size", "passages", "reason"), rows)


@storage.command()
def rescan(context: typer.Context, url: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Walk the storage again now."""

    async def run() -> StorageStatus:
        async with client_of(context, url, key) as client:
            return await client.rescan()

    now = run_async(run())
    print_json(now) if as_json else _print_status(now)


def _print_status(now: StorageStatus) -> None:
    if not now.folder:
        typer.echo("KARAIS knows no storage: start it with `karais up --storage /path/to/files`.")
        return
    seen = now.indexed + now.skipped
    share = seen / now.files if now.files else 1.0
    bar = ""
    if sys.stdout.isatty():
        full = int(share * 24)
        bar = f"  {'█' * full}{'░' * (24 - full)}"
    typer.echo(f"{now.folder}{bar}  {share:.0%}")
    typer.echo(
        f"{now.files} files{' so far' if now.scanning else ''}: {now.indexed} indexed, "
        f"{now.waiting} waiting, {now.skipped} skipped; {now.passages} passages"
    )
    if now.waiting and now.seconds_left is not None:
        typer.echo(f"{now.files_per_second:.1f} files a second, about {duration(now.seconds_left)} left")
    if now.problem:
        typer.echo(f"Problem: {now.problem}")
