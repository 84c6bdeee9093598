"""How agents and nodes are."""

from __future__ import annotations

from typing import Literal

from schemas.base import Message, Token


class Heartbeat(Message, frozen=True, kw_only=True):
    """An agent lives; kept in the KV bucket ``nodes`` under ``agent.<kind>.<instance>``."""

    kind: Token
    instance: Token
    node: str
    """Host name."""
    version: str
    pid: int
    started: float
    """Seconds since the epoch."""
    at: float
    state: Literal["starting", "ready", "degraded", "draining"] = "ready"
    detail: str = ""
    """Why it is not ready, in one sentence."""
    running: int = 0
    """Handlers at work now."""
    queued: int = 0
    """Messages waiting in the agent's own queues."""
    handled: int = 0
    """Messages handled since the start."""
    failed: int = 0
    """Messages that ended in a failure since the start."""
    memory_bytes: int = 0
    """Proportional set size (``Pss`` of smaps_rollup), or resident size elsewhere."""


class DescribeEngine(Message, frozen=True, kw_only=True):
    """Ask a brain what it runs."""


class EngineDescription(Message, frozen=True, kw_only=True):
    """Reply to DescribeEngine."""

    engine: str
    """Name of the engine, such as ``llamacpp``."""
    model: str
    context_tokens: int
    """Tokens of context that one conversation can use."""
    slots: int
    """Answers generated at a time."""
    threads: int
    device: str
    """``cpu`` or the name of the card."""
    reason: str = ""
    """Why this engine and device were chosen."""
    alert: str = ""
    """What the owner should know and mend, such as too little memory on a card; empty when all is well."""


class DeadLetter(Message, frozen=True, kw_only=True):
    """A job that could not be done, with the reason."""

    subject: str
    stream: str
    sequence: int
    deliveries: int
    reason: str
    payload: str
    """The message as it was, decoded as UTF-8 with replacement."""
    at: float
