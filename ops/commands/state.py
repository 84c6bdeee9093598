"""Commands that look: status and doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands.common import (
    Json,
    Key,
    Url,
    client_of,
    duration,
    print_json,
    print_table,
    run_async,
    settings_of,
    size,
)

if TYPE_CHECKING:
    from ops.status import AgentStatus, Status

Cards = Annotated[
    Path | None,
    typer.Option(
        help="Ask only what other GPUs would do here, described in a JSON file:"
        ' {"cards": [{"name": "RTX 3090", "compute_capability": [8, 6]}]}',
        metavar="FILE",
    ),
]
COLUMNS = ("agent", "health", "version", "instance", "pid", "queue", "handled", "failed", "memory", "uptime")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(status)
    app.command()(doctor)


def status(context: typer.Context, url: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Show each agent: its health, version, queue, memory. Exits with 1 when one is missing or silent."""
    now = run_async(_remote(context, url, key) if url else _local(context))
    well = bool(now.agents) and not now.problem and all(agent.well for agent in now.agents)
    if as_json:
        print_json({"well": well, **_builtins(now)})
    else:
        _print(now)
    raise typer.Exit(0 if well else 1)


async def _local(context: typer.Context) -> Status:
    from ops.status import status as look

    return await look(settings_of(context))


async def _remote(context: typer.Context, url: str, key: str) -> Status:
    from ops.status import Status, remote

    async with client_of(context, url, key) as client:
        answer = await client.status()
        reached = bool(answer.get("bus"))
        problem = "" if reached else "The gateway cannot reach the bus."
        return Status(
            up=True, home="", url=client.url, bus="reached" if reached else "", problem=problem,
            agents=remote(answer),
        )  # fmt: skip


def doctor(context: typer.Context, as_json: Json = False, cards: Cards = None) -> None:
    """Say what is wrong, where, and how to mend it. Exits with 1 when something is."""
    from ops.doctor import examine, examine_cards

    settings = settings_of(context)
    findings = examine_cards(settings, cards) if cards else run_async(examine(settings))
    wrong = [finding for finding in findings if not finding.ok]
    if as_json:
        print_json({"well": not wrong, "findings": findings})
    else:
        for finding in findings:
            mark = (
                typer.style("ok   ", fg="green") if finding.ok else typer.style("WRONG", fg="red", bold=True)
            )
            typer.echo(f"{mark}  {finding.check}: {finding.text}")
            if finding.mend:
                typer.echo(f"       {finding.mend}")
        typer.echo("Nothing is wrong." if not wrong else f"{len(wrong)} of {len(findings)} checks failed.")
    raise typer.Exit(1 if wrong else 0)


def _builtins(now: Status) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(now)
    return plain


def _print(now: Status) -> None:
    if now.problem and not any(agent.pid for agent in now.agents):
        typer.echo(now.problem, err=True)
        return
    print_table(COLUMNS, [_row(agent) for agent in now.agents], [_style(agent) for agent in now.agents])
    for agent in now.agents:
        if agent.detail:
            typer.echo(f"{agent.name}: {agent.detail}")
    if now.problem:
        typer.echo(now.problem, err=True)
    if now.url:
        typer.echo(f"Page: {now.url}   bus: {now.bus or 'not reached'}   data: {now.home or 'elsewhere'}")
    if not now.up:
        typer.echo("These processes run without a supervisor: `karais up` takes them over.", err=True)


def _row(agent: AgentStatus) -> tuple[str, ...]:
    counted = agent.instance != ""
    return (
        agent.name,
        agent.health,
        agent.version or "-",
        agent.instance or "-",
        str(agent.pid or "-"),
        str(agent.queued) if counted else "-",
        str(agent.handled) if counted else "-",
        str(agent.failed) if counted else "-",
        size(agent.memory_bytes) if agent.memory_bytes else "-",
        duration(agent.uptime_seconds) if agent.uptime_seconds else "-",
    )


def _style(agent: AgentStatus) -> str:
    if not sys.stdout.isatty() or agent.health in ("ready", "up"):
        return ""
    return "yellow" if agent.well else "red"
