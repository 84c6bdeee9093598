"""What commands share that forget for good: saying what would go, asking, saying what went."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands import moments

if TYPE_CHECKING:
    from schemas.forgetting import Forgotten

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(question: str, yes: bool) -> None:
    """Ask on a terminal; elsewhere ``--yes`` must have been given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("this cannot be undone: give --yes where nobody can be asked")
    typer.confirm(question, abort=True, err=True)


def counted(gone: Forgotten) -> str:
    """Return what goes, or went, in words."""
    parts = (
        (gone.turns, "question or answer", "questions and answers"),
        (gone.facts, "fact", "facts"),
    )
    named = [f"{number} {one if number == 1 else many}" for number, one, many in parts if number]
    return " and ".join(named) or "nothing but itself"


def in_backups(gone: Forgotten) -> str:
    """Return until when copies outside of the memory hold it."""
    if gone.kept_in_backups_until:
        return f"Your backups and snapshots keep it until {moments.day(gone.kept_in_backups_until)}."
    return "KARAIS keeps no backup of it; snapshots made elsewhere keep it until you remove them."
