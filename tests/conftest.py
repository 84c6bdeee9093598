"""Fixtures that many tests share: settings in an own folder, a real bus."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from bus import server
from bus.agent import Agent
from bus.connection import Bus, connect
from bus.identities import OPS
from bus.runtime import serve
from bus.settings import Settings
from bus.streams import provision

STOP_SECONDS = 60.0

StartBus = Callable[..., "RunningBus"]

# How fast an example runs says more of what else the machine does than of the code.
hypothesis_settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any-machine")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data folder is this test's own."""
    return Settings(home=tmp_path / "home", storage=tmp_path / "storage", port=0)


@pytest.fixture(scope="session")
def models() -> Path:
    """The Tier-0 folder that `make test` filled, or this machine's own."""
    folder = Path(os.environ.get("KARAIS_TEST_MODELS") or "~/.karais/models").expanduser()
    if not (folder / "all-minilm-l6-v2").exists():
        pytest.skip(f"the embedding model is not in {folder}: `make test` fetches it")
    return folder.resolve()


class RunningBus:
    """A real nats-server for the given agents, which a test may kill and start again."""

    def __init__(self, settings: Settings, agents: tuple[type[Agent], ...]) -> None:
        self.settings = settings
        self.agents = agents
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server with the configuration that the agents need."""
        plan = server.prepare(self.settings, self.agents)
        self.process = subprocess.Popen(plan.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """End the server without any chance to clean up."""
        assert self.process
        self.process.kill()
        self.process.wait()
        self.process = None

    async def provision(self) -> None:
        """Create the streams, as the supervisor does after each start."""
        async with connect(self.settings, OPS) as bus:
            await provision(bus.jetstream, self.agents)

    @asynccontextmanager
    async def connected(self, identity: str = OPS) -> AsyncIterator[Bus]:
        """Yield a connection as ``identity``."""
        async with connect(self.settings, identity) as bus:
            yield bus

    @asynccontextmanager
    async def running(self, *agents: Agent) -> AsyncIterator[None]:
        """Run agents in this process until the block ends, then drain them."""
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            tasks = [asyncio.create_task(serve(agent, stop=stop)) for agent in agents]
            stack.callback(stop.set)
            async with asyncio.timeout(60):
                while not all(a.condition.state in ("ready", "degraded") for a in agents):
                    for task in tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.01)
            try:
                yield
            finally:
                stop.set()
                _, hanging = await asyncio.wait(tasks, timeout=STOP_SECONDS)
                if hanging:
                    for task in asyncio.all_tasks():
                        task.print_stack()
                    pytest.fail(f"An agent did not stop within {STOP_SECONDS:g} s; see the tasks above.")
                await asyncio.gather(*tasks)


@pytest.fixture
def start_bus(settings: Settings) -> Iterator[Callable[..., RunningBus]]:
    """Return a function that starts a real nats-server for some agents and provisions it."""
    started: list[RunningBus] = []

    def start(*agents: type[Agent]) -> RunningBus:
        running = RunningBus(settings, agents)
        running.start()
        started.append(running)
        return running

    yield start
    for running in started:
        if running.process:
            running.process.terminate()
            running.process.wait()
