"""How many answers the clients of the HTTP interfaces wait for at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agents.gateway.codec import NO_BUS
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

if TYPE_CHECKING:
    from bus.connection import Bus

MAX_ANSWERS = 64


class Places:
    """Places for answers that run."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place. Raises KaraisError when there is none, or no bus."""
        if not self._bus.connected:
            raise Unavailable(NO_BUS)
        if self._taken >= MAX_ANSWERS:
            raise KaraisError(f"{MAX_ANSWERS} answers run already: ask again later.", code=Code.BUSY)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
