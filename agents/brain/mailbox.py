"""What an engine has generated and nobody has taken yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.brain.engine import Piece
from schemas.errors import KaraisError


class Mailbox:
    """The pieces of one generation, for the one who waits for them; used in the event loop alone."""

    __slots__ = ("_pieces", "_waiter", "error")

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._waiter: asyncio.Future[None] | None = None
        self.error: KaraisError | None = None
        """Why nothing more comes; the first reason stays."""

    def put(self, piece: Piece) -> None:
        """Add a piece."""
        self._pieces.append(piece)
        self._wake()

    def fail(self, error: KaraisError) -> None:
        """Have whoever waits fail, once it took what there is."""
        self.error = self.error or error
        self._wake()

    async def take(self) -> Piece:
        """Return what came since the last time, as one piece; wait for it if need be."""
        while not self._pieces:
            if self.error is not None:
                raise self.error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else _merged(pieces)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _merged(pieces: Sequence[Piece]) -> Piece:
    last = pieces[-1]
    return Piece(
        "".join(p.text for p in pieces),
        sum(p.tokens for p in pieces),
        last.finish_reason,
        last.usage,
        tuple(likely for p in pieces for likely in p.logprobs),
    )
