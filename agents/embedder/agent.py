"""The embedder's agent."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from agents.common.giving_way import GivingWay
from agents.embedder import adapters, computing, model
from agents.embedder.batching import Batcher
from agents.embedder.bulk import BulkProcess, cores
from agents.embedder.on_demand import OnDemand
from bus.agent import Agent, answers, hears
from bus.settings import Settings
from schemas.chat import Answering
from schemas.embeddings import Embed, Vectors
from stores.weights import registry

FEW = 2
"""Passages that are embedded at once, as long as there are no more."""


class Embedder(Agent):
    """Turns texts into vectors, in batches, on the best device there is."""

    kind = "embedder"

    async def start(self, resources: AsyncExitStack) -> None:
        """Load the model and start what computes."""
        folder = weights_folder(self.settings)
        loaded = await asyncio.to_thread(model.load, folder)
        on_processor = await asyncio.to_thread(model.best_device) == "cpu"

        def thread(name: str) -> ThreadPoolExecutor:
            # A query's few rows are computed faster by one thread than by several that wait for
            # each other, above all while the language model has the cores.
            return resources.enter_context(
                ThreadPoolExecutor(1, name, initializer=one_thread if on_processor else None)
            )

        def batcher(name: str) -> Batcher:
            own = thread(name)

            async def compute(texts: list[str]) -> bytes:
                return await asyncio.get_running_loop().run_in_executor(own, computing.compute, loaded, texts)

            return Batcher(compute)

        self._queries = batcher("queries")
        self._passages = batcher("passages")
        judging = OnDemand(lambda: model.load(folder, adapters.load("statement")), thread("statements"))
        resources.callback(judging.close)
        self._statements = Batcher(judging.compute)
        self._bulk = BulkProcess(folder) if on_processor else None
        batchers = [self._queries, self._passages, self._statements]
        if self._bulk is not None:
            resources.push_async_callback(self._bulk.close)
            self._way = GivingWay(self._bulk.hold)
            resources.callback(self._way.close)
            self._many = Batcher(self._bulk.compute, gathered=64 * cores())
            batchers.append(self._many)
        for each in batchers:
            resources.push_async_callback(each.close)
        self._dimensions = loaded.dimensions
        self.condition.queued = lambda: sum(each.waiting for each in batchers)
        await self._queries.embed(("warm up",))

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        """Return the vectors of texts."""
        data = await self._batcher(ask).embed(ask.texts)
        return Vectors(
            model=self.settings.embedding_model,
            rows=len(ask.texts),
            dimensions=self._dimensions,
            data=data,
        )

    @hears(Answering)
    async def give_way(self, said: Answering) -> None:
        """Compute no passages while an answer runs."""
        if self._bulk is not None:
            self._way.heard(said)

    def _batcher(self, ask: Embed) -> Batcher:
        if ask.purpose == "query":
            return self._queries
        if ask.purpose == "statement":
            return self._statements
        if self._bulk is None:
            return self._passages
        # A turn of a conversation or a note that was saved is not worth a process of its own.
        few = len(ask.texts) <= FEW and not self._passages.waiting and not self._bulk.running
        return self._passages if few and not self._many.waiting else self._many


def one_thread() -> None:
    """Let torch compute in the calling thread alone."""
    import torch

    torch.set_num_threads(1)


def weights_folder(settings: Settings) -> Path:
    """Return the Tier-0 folder of the embedding model; raises KaraisError when it is not there."""
    return registry.find(settings.models, settings.embedding_model).folder
