"""Embedding in batches over concurrent requests, queries ahead of passages.

Queries and passages have a thread each. A query so never waits for a batch of
passages (a second on a slow core), and the thread of the passages runs at low
priority: indexing takes what chat leaves over.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.embedder.model import EmbeddingModel
from schemas.errors import KaraisError
from schemas.failure import Code

log = logging.getLogger(__name__)

MAX_WAITING = 4096
"""Texts; beyond, requests are refused as busy."""
MICRO_BATCH_TOKENS = 1024
"""Tokens computed at a time, about. More is no faster on a CPU and needs more memory."""
GATHERED = 64
"""Texts that are sorted by length together, so that a micro-batch has little padding."""
NICE = 15
"""Priority of the passages' thread."""


@dataclass
class _Request:
    texts: tuple[str, ...]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[bytes]


class Batcher:
    """One queue and its thread."""

    def __init__(self, model: EmbeddingModel, name: str, *, threads: int = 1, nice: int = 0) -> None:
        self._model = model
        self._threads = threads
        self._nice = nice
        self._requests: deque[_Request] = deque()
        self._arrived = threading.Condition()
        self._closed = False
        self.waiting = 0
        """Texts that wait or are being computed."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def embed(self, texts: tuple[str, ...]) -> bytes:
        """Return the texts' vectors, row by row."""
        if self.waiting + len(texts) > MAX_WAITING:
            raise KaraisError(
                f"The embedder has {self.waiting} texts waiting; ask again later.", code=Code.BUSY
            )
        loop = asyncio.get_running_loop()
        request = _Request(texts, loop, loop.create_future())
        with self._arrived:
            self._requests.append(request)
            self.waiting += len(texts)
            self._arrived.notify()
        return await request.done

    def close(self) -> None:
        """End the thread after the batch that it computes."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        self._thread.join(10)

    def _run(self) -> None:
        import torch

        torch.set_num_threads(self._threads)
        if self._nice:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while (requests := self._take()) is not None:
            try:
                self._answer([request for request in requests if not request.done.cancelled()])
            except Exception as error:
                log.exception("a batch of %d requests failed", len(requests))
                for request in requests:
                    _resolve(request, error)
            finally:
                with self._arrived:
                    self.waiting -= sum(len(request.texts) for request in requests)
            if not self.waiting and self._nice:
                _give_back_memory()

    def _take(self) -> list[_Request] | None:
        """Wait for requests and return the oldest, about GATHERED texts; None at the end."""
        with self._arrived:
            while not self._requests and not self._closed:
                self._arrived.wait()
            if self._closed:
                return None
            taken = [self._requests.popleft()]
            count = len(taken[0].texts)
            while self._requests and count + len(self._requests[0].texts) <= GATHERED:
                taken.append(self._requests.popleft())
                count += len(taken[-1].texts)
        return taken

    def _answer(self, requests: Sequence[_Request]) -> None:
        items, sizes = self._model.prepare([text for request in requests for text in request.texts])
        width = 4 * self._model.dimensions
        vectors = bytearray(width * len(items))
        for batch in _batches(sizes):
            rows = self._model.embed([items[at] for at in batch])
            for place, at in enumerate(batch):
                vectors[at * width : (at + 1) * width] = rows[place * width : (place + 1) * width]
        start = 0
        for request in requests:
            end = start + width * len(request.texts)
            _resolve(request, bytes(vectors[start:end]))
            start = end


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of texts of alike lengths that together have about MICRO_BATCH_TOKENS."""
    batch: list[int] = []
    total = 0
    for at in sorted(range(len(sizes)), key=sizes.__getitem__):
        if batch and total + sizes[at] > MICRO_BATCH_TOKENS:
            yield batch
            batch, total = [], 0
        batch.append(at)
        total += sizes[at]
    if batch:
        yield batch


def _give_back_memory() -> None:
    """Return what the batches needed to the system: the allocator would keep it for the next ones."""
    with contextlib.suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)


def _resolve(request: _Request, result: bytes | Exception) -> None:
    def resolve() -> None:
        if request.done.done():
            return  # the asker has gone
        if isinstance(result, bytes):
            request.done.set_result(result)
        else:
            request.done.set_exception(result)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        request.loop.call_soon_threadsafe(resolve)
