"""Commands about the storage: status, files, rescan."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands.common import (
    Json,
    Key,
    Url,
    ask_gateway,
    client_of,
    duration,
    print_json,
    print_table,
    run_async,
    size,
)

if TYPE_CHECKING:
    from ops.client import Client
    from schemas.documents import FileEntry, StorageStatus

storage = typer.Typer(help="The folder with your files: how far indexing came.", no_args_is_help=True)
PAGE = 1000
LISTED = 20
"""Files of a state that the status lists."""


@storage.command()
def status(
    context: typer.Context,
    follow: Annotated[
        bool | None,
        typer.Option(help="Go on until everything is indexed; without --json and in a terminal it does."),
    ] = None,
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show how much is indexed, and how long the rest will take."""
    live = sys.stdout.isatty() and not as_json
    going_on = live if follow is None else follow

    async def run() -> None:
        import asyncio

        async with client_of(context, url, key) as client:
            now = await client.storage()
            if live and going_on and _busy(now):
                await _watch(client, now)
                return
            while True:
                print_json(now) if as_json else _print_status(now)
                if not going_on or not _busy(now):
                    break
                await asyncio.sleep(1)
                now = await client.storage()
            if not as_json:
                await _print_left_behind(client, now)

    run_async(run())


@storage.command()
def files(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="waiting, indexed or skipped.")] = "",
    awaits: Annotated[
        str, typer.Option(help="image, scan, audio or video: what waits for other agents.")
    ] = "",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """List the files, and why some were skipped."""
    if state not in ("", "waiting", "indexed", "skipped"):
        raise typer.BadParameter("a file is waiting, indexed or skipped", param_hint="--state")
    if awaits not in ("", "image", "scan", "audio", "video"):
        raise typer.BadParameter("a file may await image, scan, audio or video", param_hint="--awaits")

    async def run() -> list[FileEntry]:
        found: list[FileEntry] = []
        async with client_of(context, url, key) as client:
            while True:
                after = found[-1].path if found else ""
                page = (await client.files(state=state, awaits=awaits, after=after, limit=PAGE)).files
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
    now = ask_gateway(context, url, key, lambda client: client.rescan())
    print_json(now) if as_json else _print_status(now)


def _busy(now: StorageStatus) -> bool:
    return now.scanning or now.waiting > 0


async def _watch(client: Client, now: StorageStatus) -> None:
    """Draw how far reading came until it ends, then list what was left behind."""
    import asyncio

    from rich.live import Live
    from rich.text import Text

    with Live(Text("\n".join(_lines(now, bar=True))), refresh_per_second=4) as shown:
        while _busy(now):
            await asyncio.sleep(0.5)
            now = await client.storage()
            shown.update(Text("\n".join(_lines(now, bar=True))))
    await _print_left_behind(client, now)


async def _print_left_behind(client: Client, now: StorageStatus) -> None:
    """List files that wait for other agents or were skipped, each with its reason."""
    for state, count in (("waiting", now.awaiting), ("skipped", now.skipped)):
        if count:
            found = (await client.files(state=state, limit=LISTED)).files
            rows = [(f.path, f.reason) for f in found if state == "skipped" or f.awaits]
            typer.echo()
            print_table((f"{state} file", "reason"), rows)
            if count > len(rows):
                typer.echo(f"... and {count - len(rows)} more: karais storage files --state {state}")


def _print_status(now: StorageStatus) -> None:
    typer.echo("\n".join(_lines(now, bar=sys.stdout.isatty())))


def _lines(now: StorageStatus, *, bar: bool) -> list[str]:
    if not now.folder:
        return ["KARAIS knows no storage: start it with `karais up --storage /path/to/files`."]
    share = (now.files - now.waiting) / now.files if now.files else 1.0
    full = int(share * 24)
    drawn = f"  {'█' * full}{'░' * (24 - full)}" if bar else ""
    more = f", {now.awaiting} waiting for other agents" if now.awaiting else ""
    lines = [
        f"{now.folder}{drawn}  {share:.0%}",
        f"{now.files} files{' so far' if now.scanning else ''}: {now.indexed} indexed, "
        f"{now.waiting} to be read, {now.skipped} skipped{more}; {now.passages} passages",
    ]
    if now.waiting and now.seconds_left is not None:
        lines.append(
            f"{now.files_per_second:.1f} files and {now.passages_per_second:.0f} passages a second, "
            f"about {duration(now.seconds_left)} left"
        )
    if now.problem:
        lines.append(f"Problem: {now.problem}")
    elif now.polling:
        lines.append(f"Changes are looked for each minute: {now.polling}")
    return lines
