"""Forgetting: what is removed for good, from every log, table and index.

A marker without any text goes into the log first, so that a forgetting that
is interrupted is completed later and a rebuilt memory does not bring back
what was forgotten.

Where several servers keep a stream, the text leaves the stream's own files at
once; each server's raft log drops it when it is next compacted, which takes up
to three minutes (measured with nats-server 2.15).
"""

from __future__ import annotations

from schemas.base import Acting, Message, OptionalToken, Token


class Forget(Acting, frozen=True, kw_only=True):
    """Ask memory to forget one thing, for good: exactly one of the fields is given."""

    fact: OptionalToken = ""
    """A fact, with every version of it and the exchanges that it came from or was used in."""
    answer: OptionalToken = ""
    """A question with its answer, and what was learned from it."""
    conversation: OptionalToken = ""
    """A whole conversation, and what was learned from it."""
    dry_run: bool = False
    """Only say what would go."""


class Forgotten(Message, frozen=True, kw_only=True):
    """Reply to Forget and RemoveProject: what is gone from logs, tables and indexes."""

    turns: int = 0
    """Questions and answers that were erased from the log."""
    facts: int = 0
    passages: int = 0
    """Rows that were removed from tables and their files."""
    kept_in_backups_until: float | None = None
    """When the last backup that holds it is rotated out, in seconds since the epoch; None without any."""


class TurnsForgotten(Acting, frozen=True, kw_only=True):
    """Log: these entries of the log CHAT are erased, and nothing may bring them back."""

    conversation: Token
    answers: tuple[str, ...]
    """Identities of the exchanges."""
    at: float
