"""Embedding in batches over concurrent requests.

Queries and passages have a ``Batcher`` each, so that a query never waits for
a batch of passages. Where the processor computes, passages are computed in a
process of their own (``agents.embedder.bulk``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from schemas.errors import KaraisError
from schemas.failure import Code

log = logging.getLogger(__name__)

MAX_WAITING = 4096
"""Texts; beyond, requests are refused as busy."""

FEWEST = 16
"""Texts computed at a time, if so many wait."""

Compute = Callable[[list[str]], Awaitable[bytes]]
"""From texts to their vectors, row by row."""


class Batcher:
    """One queue, and the task that computes what waits in it, about ``gathered`` texts at a time."""

    def __init__(self, compute: Compute, *, gathered: int = 64) -> None:
        self._compute = compute
        self._gathered = gathered
        self._requests: deque[tuple[tuple[str, ...], asyncio.Future[bytes]]] = deque()
        self._working: asyncio.Task[None] | None = None
        self.waiting = 0
        """Texts that wait or are being computed."""

    async def embed(self, texts: tuple[str, ...]) -> bytes:
        """Return the texts' vectors, row by row; raises what computing them raises."""
        if self.waiting + len(texts) > MAX_WAITING:
            raise KaraisError(
                f"The embedder has {self.waiting} texts waiting; ask again later.", code=Code.BUSY
            )
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._requests.append((texts, done))
        self.waiting += len(texts)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await done

    async def close(self) -> None:
        """End after the batch that is being computed has been given up."""
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working

    async def _work(self) -> None:
        while self._requests:
            taken = self._take()
            # Who no longer waits for an answer gets none.
            wanted = [(texts, done) for texts, done in taken if not done.done()]
            try:
                if wanted:
                    await self._answer(wanted)
            except Exception as error:
                if not isinstance(error, KaraisError):
                    log.exception("a batch of %d requests failed", len(wanted))
                for _, done in wanted:
                    if not done.done():
                        done.set_exception(error)
            finally:
                self.waiting -= sum(len(texts) for texts, _ in taken)

    def _take(self) -> list[tuple[tuple[str, ...], asyncio.Future[bytes]]]:
        """Return the oldest requests: about as many texts as are gathered, but no more than half.

        Who gets vectors comes with new texts when those are written; meanwhile
        the other half is computed. Taken all at once, they would come all at
        once, and nothing would be there to compute in between.
        """
        most = min(self._gathered, max(FEWEST, self.waiting // 2))
        taken = [self._requests.popleft()]
        count = len(taken[0][0])
        while self._requests and count + len(self._requests[0][0]) <= most:
            taken.append(self._requests.popleft())
            count += len(taken[-1][0])
        return taken

    async def _answer(self, requests: Sequence[tuple[tuple[str, ...], asyncio.Future[bytes]]]) -> None:
        texts = [text for request, _ in requests for text in request]
        vectors = await self._compute(texts)
        width = len(vectors) // len(texts)
        start = 0
        for request, done in requests:
            end = start + width * len(request)
            if not done.done():
                done.set_result(vectors[start:end])
            start = end
