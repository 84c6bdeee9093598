"""Commands about what KARAIS remembers: list, show, search, add, edit, forget."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands import moments
from ops.commands.common import (
    Json,
    Key,
    ProjectName,
    Url,
    ask_gateway,
    client_of,
    place,
    print_json,
    print_table,
    run_async,
)
from ops.commands.forgetting import DryRun, Yes, confirm, counted, in_backups

if TYPE_CHECKING:
    from schemas.forgetting import Forgotten
    from schemas.memory import Fact, FactWithHistory

memory = typer.Typer(help="What KARAIS remembers: why, since when, and forgetting it.", no_args_is_help=True)
PAGE = 1000
KINDS = ("document", "turn", "fact")

FactId = Annotated[str, typer.Argument(help="Identity of the fact, as `memory list` shows it.")]
WithGlobal = Annotated[bool, typer.Option("--with-global", help="Also what every project may use.")]
Since = Annotated[str, typer.Option(help=f"Since when it holds: {moments.EXAMPLE}.")]
Until = Annotated[str, typer.Option(help="Until when it holds.")]


@memory.command("list")
def list_facts(
    context: typer.Context,
    matching: Annotated[str, typer.Option(help="Only those with these words.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Also what does not hold any more.")] = False,
    as_of: Annotated[str, typer.Option(help=f"What held then: {moments.EXAMPLE}.")] = "",
    with_global: WithGlobal = False,
    project: ProjectName = "home",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """List what is known, latest learned first."""
    if history and as_of:
        raise typer.BadParameter("choose --history or --as-of", param_hint="--history")
    moment = moments.moment_of(as_of, "--as-of", end_of_day=True)

    async def run() -> list[Fact]:
        found: list[Fact] = []
        async with client_of(context, url, key) as client:
            while True:
                page = await client.facts(
                    project=project,
                    matching=matching,
                    history=history,
                    as_of=moment,
                    with_global=with_global,
                    after=found[-1].id if found else "",
                    limit=PAGE,
                )
                found += page.facts
                if not page.more:
                    return found

    found = run_async(run())
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("Nothing is known.", err=True)
        return
    rows = [(fact.text, state(fact, moment), period(fact), fact.id) for fact in found]
    print_table(("fact", "state", "when", "id"), rows)


@memory.command()
def show(
    context: typer.Context,
    fact: FactId,
    with_global: WithGlobal = False,
    project: ProjectName = "home",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show why something is believed: where from, since when, and what it replaced."""
    shown = ask_gateway(
        context, url, key, lambda client: client.fact(fact, project=project, with_global=with_global)
    )
    print_json(shown) if as_json else _print_fact(shown)


@memory.command()
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    kind: Annotated[
        list[str] | None, typer.Option(help="Only document, turn or fact; again for more.")
    ] = None,
    after: Annotated[str, typer.Option(help=f"Only what was said or changed since {moments.EXAMPLE}.")] = "",
    before: Annotated[str, typer.Option(help="Only what was said or changed before.")] = "",
    limit: Annotated[int, typer.Option(help="At most this many.")] = 10,
    with_global: WithGlobal = False,
    project: ProjectName = "home",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Search files, conversations and facts, by meaning and by words."""
    if wrong := set(kind or ()) - set(KINDS):
        raise typer.BadParameter(f"{min(wrong)} is none of {', '.join(KINDS)}", param_hint="--kind")
    since, until = moments.moment_of(after, "--after"), moments.moment_of(before, "--before")
    found = ask_gateway(
        context,
        url,
        key,
        lambda client: client.search(
            query=query,
            kinds=",".join(kind or ()),
            after=since,
            before=until,
            limit=limit,
            with_global=with_global,
            project=project,
        ),
    )
    if as_json:
        print_json(found)
        return
    for number, passage in enumerate(found.passages, start=1):
        typer.echo(f"[{number}] {place(passage)}\n{passage.text}\n")
    if not found.passages:
        typer.echo("Nothing was found.", err=True)
    if found.degraded:
        typer.echo(f"karais: {found.degraded}", err=True)


@memory.command()
def add(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="The fact, in one sentence that can stand alone.")],
    since: Since = "",
    until: Until = "",
    project: ProjectName = "home",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Remember something."""
    body = {
        "text": text,
        "project": project,
        "valid_from": moments.moment_of(since, "--since"),
        "valid_to": moments.moment_of(until, "--until"),
    }

    shown = ask_gateway(context, url, key, lambda client: client.add_fact(body))
    print_json(shown) if as_json else _print_fact(shown)


@memory.command()
def edit(
    context: typer.Context,
    fact: FactId,
    text: Annotated[str, typer.Argument(help="The fact as it is right, in one sentence.")],
    since: Since = "",
    until: Until = "",
    project: ProjectName = "home",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Put a fact right; the version that was wrong stays in the history."""
    body = {
        "text": text,
        "valid_from": moments.moment_of(since, "--since"),
        "valid_to": moments.moment_of(until, "--until"),
    }

    shown = ask_gateway(context, url, key, lambda client: client.edit_fact(fact, body, project=project))
    print_json(shown) if as_json else _print_fact(shown)


@memory.command()
def forget(
    context: typer.Context,
    fact: Annotated[str, typer.Option(help="A fact, with the exchanges that it came from.")] = "",
    answer: Annotated[str, typer.Option(help="A question and its answer.")] = "",
    conversation: Annotated[str, typer.Option(help="A whole conversation.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    project: ProjectName = "home",
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Forget something for good, with what was learned from it."""
    chosen = [(what, name) for what, name in _choices(fact, answer, conversation) if name]
    if len(chosen) != 1:
        raise typer.BadParameter("name one of --fact, --answer and --conversation", param_hint="--fact")
    ((what, name),) = chosen

    def forget_it(*, really: bool) -> Forgotten:
        return ask_gateway(
            context, url, key, lambda client: client.forget(what, name, project=project, dry_run=not really)
        )

    gone = forget_it(really=False)
    if not dry_run:
        confirm(f"This goes for good: {counted(gone)}. {in_backups(gone)}\nForget it?", yes)
        gone = forget_it(really=True)
    if as_json:
        print_json(gone)
    else:
        said = "This would go for good" if dry_run else "Forgotten for good"
        typer.echo(f"{said}: {counted(gone)}. {in_backups(gone)}")


def _choices(fact: str, answer: str, conversation: str) -> list[tuple[str, str]]:
    return [("facts", fact), ("exchanges", answer), ("conversations", conversation)]


def state(fact: Fact, moment: float | None = None) -> str:
    """Return whether a fact holds, now or at a moment: holds, replaced, ended, or not yet."""
    now = time.time() if moment is None else moment
    ended = fact.effect == "ends" or (fact.valid_to is not None and fact.valid_to <= now)
    if fact.superseded_by and (ended or moment is None):
        return "replaced"
    if ended:
        return "ended"
    return "not yet" if fact.valid_from > now else "holds"


def period(fact: Fact) -> str:
    """Return since and until when a fact holds, in local dates."""
    since = f"since {moments.day(fact.valid_from)}" if fact.valid_from else ""
    until = f"until {moments.day(fact.valid_to)}" if fact.valid_to is not None else ""
    return " ".join(filter(None, (since, until))) or "always"


def _print_fact(shown: FactWithHistory) -> None:
    fact = shown.fact
    typer.echo(fact.text)
    lines = [("state", f"{state(fact)}, {period(fact)}")]
    if fact.origin == "user":
        lines.append(("because", f"you wrote it down on {moments.minute(fact.at)}"))
    else:
        lines.append(("because", f"you said on {moments.minute(fact.at)}: “{fact.quote}”"))
        lines.append(("sure", f"{fact.confidence:.0%}"))
    if fact.conversation:
        lines.append(("conversation", fact.conversation))
    lines += [("before", f"{one.text} ({state(one)}, {period(one)})") for one in shown.earlier]
    lines += [("after", f"{one.text} ({state(one)}, {period(one)})") for one in shown.later]
    lines += [("project", fact.project), ("id", fact.id)]
    for name, value in lines:
        typer.echo(f"  {name:<13}{value}")
