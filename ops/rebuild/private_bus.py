"""What runs beside the KARAIS in use while memory is rebuilt: a bus of its own, and stand-ins for agents."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from agents.embedder import Embedder
from bus import server
from bus.agent import Agent, answers
from bus.connection import Bus
from bus.runtime import serve
from bus.settings import Settings
from schemas.embeddings import Embed, Vectors
from schemas.projects import ListProjects, Projects
from stores.passages import PassagesReader, text_hash
from stores.projects import ProjectBook


@asynccontextmanager
async def run_server(settings: Settings, agents: tuple[type[Agent], ...]) -> AsyncIterator[None]:
    """Run the bus of a data folder while the block runs."""
    plan = server.prepare(settings, agents)
    null = subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*plan.argv, stdin=null, stdout=null, stderr=null)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def served(agent: Agent) -> AsyncIterator[None]:
    """Run an agent in this process while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(agent, stop=stop))
    try:
        while agent.condition.state == "starting":
            if task.done():
                task.result()
            await asyncio.sleep(0.02)
        yield
    finally:
        stop.set()
        await task


class ReusingEmbedder(Agent):
    """The private bus's embedder: takes vectors from the memory in use, and asks the real one for others."""

    kind = "embedder"

    def __init__(self, settings: Settings, known: tuple[PassagesReader, ...], ask: RealEmbedder) -> None:
        super().__init__(settings)
        self._known = known
        self._ask = ask
        self.reused = 0
        self.embedded = 0

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        """Return the vectors of texts."""
        hashes = [text_hash(text) for text in ask.texts]
        found: dict[str, bytes] = {}
        for table in self._known:
            if table.model == self.settings.embedding_model:
                found |= await table.vectors_of(set(hashes) - found.keys())
        missing = [text for text, name in zip(ask.texts, hashes, strict=True) if name not in found]
        self.reused += len(ask.texts) - len(missing)
        self.embedded += len(missing)
        if missing:
            width = 4 * (reply := await self._ask(tuple(missing))).dimensions
            for n, text in enumerate(missing):
                found[text_hash(text)] = bytes(reply.data[n * width : (n + 1) * width])
        data = b"".join(found[name] for name in hashes)
        return Vectors(
            model=self.settings.embedding_model,
            rows=len(hashes),
            dimensions=len(data) // len(hashes) // 4,
            data=data,
        )


class RebuiltProjects(Agent):
    """Stands for memory on the private bus, as far as the librarian asks it."""

    kind = "memory"

    def __init__(self, settings: Settings, projects: ProjectBook) -> None:
        super().__init__(settings)
        self._projects = projects

    @answers(ListProjects)
    async def list_projects(self, ask: ListProjects) -> Projects:
        """Return all projects."""
        return Projects(projects=await asyncio.to_thread(self._projects.all))


class RealEmbedder:
    """The real embedder: the one that runs, else one in this process, started when it is needed."""

    def __init__(self, bus: Bus, settings: Settings, resources: AsyncExitStack, is_up: bool) -> None:
        self._bus = bus
        self._settings = settings
        self._resources = resources
        self._started = is_up
        self._starting = asyncio.Lock()

    async def __call__(self, texts: tuple[str, ...]) -> Vectors:
        """Return the vectors of texts; float32, a row a text."""
        async with self._starting:
            if not self._started:
                await self._resources.enter_async_context(served(Embedder(self._settings)))
                self._started = True
        vectors: Vectors = await self._bus.call(Embed(texts=texts), timeout=120.0, patience=60.0)
        return vectors
