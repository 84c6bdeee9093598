"""Handing a question or a prompt over to the brain, the same for every protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.chat import Accepted, Ask
from schemas.completion import Complete

if TYPE_CHECKING:
    from bus.connection import Bus

ACCEPT_SECONDS = 15.0
"""How long the brain may take to write a question to the log; it says why when it cannot."""
RESTART_SECONDS = 10.0
"""How long a question waits for a brain that restarts."""


async def hand_over(bus: Bus, ask: Ask | Complete) -> Accepted:
    """Return when the question is in the log, or the prompt taken.

    Raises Refused, Unavailable or TimedOut.
    """
    accepted: Accepted = await bus.call(ask, timeout=ACCEPT_SECONDS, patience=RESTART_SECONDS)
    return accepted
