"""A model that is there while it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from agents.embedder import computing
from agents.embedder.model import EmbeddingModel

IDLE_SECONDS = 60.0
"""After so long without work it is let go: a second model of the default's size holds 80 MB."""


class OnDemand:
    """Loads a model at its first use and lets it go when it was not used for a while."""

    def __init__(
        self,
        load: Callable[[], EmbeddingModel],
        thread: ThreadPoolExecutor,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._load = load
        self._thread = thread
        self._idle_seconds = idle_seconds
        self._model: EmbeddingModel | None = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def loaded(self) -> bool:
        """Whether the model is there."""
        return self._model is not None

    async def compute(self, texts: list[str]) -> bytes:
        """Return the texts' vectors, row by row; raises what loading raises."""
        loop = asyncio.get_running_loop()
        self.close()
        try:
            return await loop.run_in_executor(self._thread, self._compute, texts)
        finally:
            self._idle = loop.call_later(self._idle_seconds, self._let_go)

    def close(self) -> None:
        """Wait no longer for the moment to let it go."""
        if self._idle is not None:
            self._idle.cancel()

    def _compute(self, texts: list[str]) -> bytes:
        model = self._model
        if model is None:
            model = self._model = self._load()
        return computing.compute(model, texts)

    def _let_go(self) -> None:
        self._model = None
