"""Showing what went into a prompt."""

from __future__ import annotations

import typer

from schemas.chat import Explanation

REASONS = {
    "share": "its share is full",
    "budget": "the context is full",
    "too_old": "newer turns stand there instead",
    "summarised": "a summary stands for it",
    "unanswered": "it has no answer",
}
MOST_PIECES = 8


def print_explanation(explained: Explanation) -> None:
    """Print each part of a prompt with its tokens, and what was left out and why."""
    typer.echo(
        f"\nThe prompt: {explained.prompt_tokens:,} tokens, {explained.cached_tokens:,} of them from the"
        f" cache; {explained.answer_tokens:,} kept free for the answer; the context holds"
        f" {explained.context_tokens:,}."
    )
    typer.echo(f"  {'part':<13} {'tokens':>7} {'cached':>7} {'at most':>8}")
    for part in explained.parts:
        most = f"{part.most:,}" if part.most else "-"
        typer.echo(f"  {part.name:<13} {part.tokens:>7,} {part.cached:>7,} {most:>8}")
        for piece in part.pieces[:MOST_PIECES]:
            typer.echo(f"      {piece}")
        if len(part.pieces) > MOST_PIECES:
            typer.echo(f"      and {len(part.pieces) - MOST_PIECES} more")
    if explained.left_out:
        typer.echo("Left out:")
    for left in explained.left_out:
        cost = f" ({left.tokens:,} tokens)" if left.tokens else ""
        typer.echo(f"  {left.name}: {left.what}{cost}: {REASONS[left.reason]}")
