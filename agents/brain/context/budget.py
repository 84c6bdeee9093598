"""Who of a prompt's parts gets how many tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.chat import PartName


class Share(NamedTuple):
    """What a part may have, as shares of the model's context."""

    least: float
    """It gets so much, if it wants it, before others get more than theirs."""
    most: float
    cap: int = 0
    """Tokens that it never exceeds; 0 for none."""

    def tokens(self, context: int) -> int:
        """Return how many tokens it may have at most."""
        return min(int(self.most * context), self.cap or context)


SHARES: dict[PartName, Share] = {
    "tools": Share(0.1, 0.25),
    "instructions": Share(0.1, 0.25),
    "summary": Share(0.03, 0.1, cap=600),
    "memory": Share(0.03, 0.2, cap=300),
    "passages": Share(0.05, 0.4, cap=700),
    "history": Share(0.1, 0.45),
}
"""The first are the last to go short. The question and the system text always go in whole. The caps of what
is found are for machines without a GPU, where each hundred tokens of prompt cost a fraction of a second;
what is said often comes from the engine's cache instead."""


def granted(room: int, context: int, wanted: Mapping[PartName, int]) -> dict[PartName, int]:
    """Return how many tokens each part gets of the ``room`` that the whole parts leave.

    None gets more than it wants or may have; together they get no more than
    there is. A part may get less than a piece of it needs: then it does
    without. ``wanted`` parts have a share each.
    """
    limits = {name: min(wanted.get(name, 0), share.tokens(context)) for name, share in SHARES.items()}
    left = max(0, room)
    found: dict[PartName, int] = {}
    for name, share in SHARES.items():
        found[name] = min(limits[name], int(share.least * context), left)
        left -= found[name]
    for name in SHARES:
        more = min(limits[name] - found[name], left)
        found[name] += more
        left -= more
    return found
