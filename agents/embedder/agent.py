"""The embedder's agent."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from agents.embedder import computing, model
from agents.embedder.batching import Batcher
from agents.embedder.bulk import BulkProcess, cores
from bus.agent import Agent, answers
from bus.settings import Settings
from schemas.embeddings import Embed, Vectors
from stores.weights import registry


class Embedder(Agent):
    """Turns texts into vectors, in batches, on the best device there is."""

    kind = "embedder"

    async def start(self, resources: AsyncExitStack) -> None:
        """Load the model and start what computes."""
        folder = weights_folder(self.settings)
        loaded = await asyncio.to_thread(model.load, folder)
        on_processor = await asyncio.to_thread(model.best_device) == "cpu"

        def batcher(name: str) -> Batcher:
            # A query's few rows are computed faster by one thread than by several that wait for
            # each other, above all while the language model has the cores.
            thread = resources.enter_context(
                ThreadPoolExecutor(1, name, initializer=one_thread if on_processor else None)
            )

            async def compute(texts: list[str]) -> bytes:
                return await asyncio.get_running_loop().run_in_executor(
                    thread, computing.compute, loaded, texts
                )

            return Batcher(compute)

        self._queries = batcher("queries")
        if on_processor:
            bulk = BulkProcess(folder)
            resources.push_async_callback(bulk.close)
            self._passages = Batcher(bulk.compute, gathered=64 * cores())
        else:
            self._passages = batcher("passages")
        resources.push_async_callback(self._queries.close)
        resources.push_async_callback(self._passages.close)
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


def one_thread() -> None:
    """Let torch compute in the calling thread alone."""
    import torch

    torch.set_num_threads(1)


def weights_folder(settings: Settings) -> Path:
    """Return the Tier-0 folder of the embedding model; raises KaraisError when it is not there."""
    return registry.find(settings.models, settings.embedding_model).folder
