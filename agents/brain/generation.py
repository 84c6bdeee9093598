"""A generation that begins before anyone waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Self

from agents.brain.engine import Piece


class Generation:
    """Starts the engine at once and hands its pieces on; an async context manager that closes it.

    The brain starts reading the prompt while the question is still being
    written to the log: both take their time, and the answer waits for both.
    """

    def __init__(self, pieces: AsyncGenerator[Piece, None]) -> None:
        self._pieces = pieces
        self._begun = time.perf_counter()
        self._first = asyncio.ensure_future(anext(pieces, None))
        self._first.add_done_callback(self._arrived)
        self.seconds_to_first = 0.0
        """From handing the prompt to the engine until its first piece; 0 before."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._first.done():
            self._first.cancel()
            await asyncio.wait([self._first])
        elif not self._first.cancelled():
            self._first.exception()  # seen: nobody else may have looked
        await self._pieces.aclose()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        piece = await self._first
        while piece is not None:
            yield piece
            piece = await anext(self._pieces, None)

    def _arrived(self, _: asyncio.Future[Piece | None]) -> None:
        self.seconds_to_first = time.perf_counter() - self._begun
