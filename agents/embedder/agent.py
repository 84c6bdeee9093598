"""The embedder's agent."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

from agents.embedder import model
from agents.embedder.batching import NICE, Batcher
from bus.agent import Agent, answers
from bus.settings import Settings
from schemas.embeddings import Embed, Vectors
from stores.weights import registry


class Embedder(Agent):
    """Turns texts into vectors, in batches, on the best device there is."""

    kind = "embedder"

    async def start(self, resources: AsyncExitStack) -> None:
        """Load the model and start the threads that compute."""
        loaded = await asyncio.to_thread(model.load, weights_folder(self.settings))
        # A query's few rows are computed faster by one thread than by several that wait for each
        # other, above all while the language model has the cores.
        self._queries = Batcher(loaded, "queries")
        self._passages = Batcher(loaded, "passages", threads=max(1, (os.cpu_count() or 1) // 2), nice=NICE)
        resources.callback(self._queries.close)
        resources.callback(self._passages.close)
        self._dimensions = loaded.dimensions
        self.condition.queued = lambda: self._queries.waiting + self._passages.waiting
        await self._queries.embed(("warm up",))

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        """Return the vectors of texts."""
        batcher = self._queries if ask.purpose == "query" else self._passages
        data = await batcher.embed(ask.texts)
        return Vectors(
            model=self.settings.embedding_model,
            rows=len(ask.texts),
            dimensions=self._dimensions,
            data=data,
        )


def weights_folder(settings: Settings) -> Path:
    """Return the Tier-0 folder of the embedding model; raises KaraisError when it is not there."""
    return registry.find(settings.models, settings.embedding_model).folder
