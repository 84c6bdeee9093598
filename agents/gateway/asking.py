"""Handing a question over to the brain, the same for every protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.chat import Accepted, Ask

if TYPE_CHECKING:
    from bus.connection import Bus

ACCEPT_SECONDS = 15.0
"""How long the brain may take to write a question to the log; it says why when it cannot."""
RESTART_SECONDS = 10.0
"""How long a question waits for a brain that restarts."""


async def hand_over(bus: Bus, ask: Ask) -> Accepted:
    """Return when the question is in the log. Raises Refused, Unavailable or TimedOut."""
    accepted: Accepted = await bus.call(ask, timeout=ACCEPT_SECONDS, patience=RESTART_SECONDS)
    return accepted
