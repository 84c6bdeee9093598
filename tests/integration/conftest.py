"""A client of a real gateway over a real bus, with played partners behind it."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from agents.brain.agent import Brain
from agents.gateway.agent import Gateway
from agents.tools import Tools
from bus.settings import Settings
from schemas.web import GatewayAddress
from tests.peers import PlayedBrain, PlayedEmbedder, PlayedLibrarian, PlayedMemory
from tests.tool_house import House, Librarian, Memory

ROOT = Path(__file__).resolve().parents[2]
PLAYED = (Gateway, PlayedBrain, PlayedMemory, PlayedLibrarian)


class Client:
    """A client of one gateway, with its key."""

    def __init__(self, bus: Any, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.bus = bus
        self.settings = settings
        self.session = session

    @property
    def url(self) -> str:
        """Return where the gateway listens now."""
        file = self.settings.run / "gateway.json"
        return msgspec.json.decode(file.read_bytes(), type=GatewayAddress).url

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket."""
        async with self.session.ws_connect(f"{self.url}/ws", **options) as ws:
            yield ws

    async def get(self, path: str, status: int = 200) -> Any:
        """GET JSON."""
        async with self.session.get(self.url + path) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Send JSON and return what is replied."""
        async with self.session.request(method, self.url + path, json=body) as response:
            assert response.status == status, await response.text()
            return await response.json()


@pytest.fixture
async def client(start_bus: Callable[..., Any], settings: Settings) -> AsyncIterator[Client]:
    bus = start_bus(*PLAYED)
    await bus.provision()
    async with AsyncExitStack() as stack:
        peers = [kind(settings) for kind in PLAYED[1:]]
        gateway = Gateway(settings)
        await stack.enter_async_context(bus.running(*peers, gateway))
        key = settings.api_key.read_text().strip()
        session = await stack.enter_async_context(
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"})
        )
        client = Client(bus, settings, session)
        client.brain, client.memory = peers[0], peers[1]  # type: ignore[attr-defined]
        client.gateway = gateway  # type: ignore[attr-defined]
        yield client


@pytest.fixture
async def assistant(start_bus: Callable[..., Any], settings: Settings) -> AsyncIterator[Client]:
    """A gateway and the real brain with the scripted engine, memory and embedder played."""
    settings = msgspec.structs.replace(settings, engine="scripted")
    kinds = (Gateway, Brain, PlayedMemory, PlayedEmbedder)
    bus = start_bus(*kinds)
    await bus.provision()
    agents = {kind.kind: kind(settings) for kind in kinds}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus.running(*agents.values()))
        key = settings.api_key.read_text().strip()
        session = await stack.enter_async_context(
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"})
        )
        client = Client(bus, settings, session)
        client.agents = agents  # type: ignore[attr-defined]
        client.key = key  # type: ignore[attr-defined]
        yield client


def question(text: str = "What is kept?", **more: Any) -> dict[str, Any]:
    return {
        "type": "ask",
        "answer": secrets.token_hex(16),
        "conversation": secrets.token_hex(16),
        "text": text,
        **more,
    }


async def events(
    ws: aiohttp.ClientWebSocketResponse, until: tuple[str, ...] = ("done", "failed")
) -> list[Any]:
    """Read frames up to one of the given types."""
    frames = []
    async with asyncio.timeout(15):
        while not frames or frames[-1]["type"] not in until:
            frames.append(await ws.receive_json())
    return frames


def text_of(frames: list[Any]) -> str:
    return "".join(frame["text"] for frame in frames if frame["type"] == "delta")


@pytest.fixture
async def karais(start_bus: Callable[..., object], settings: Settings) -> AsyncIterator[Settings]:
    """A bus, a gateway and its partners."""
    bus = start_bus(*PLAYED)
    await bus.provision()  # type: ignore[attr-defined]
    agents = [kind(settings) for kind in PLAYED]
    async with bus.running(*agents):  # type: ignore[attr-defined]
        yield settings


@pytest.fixture
async def house(start_bus: Callable[..., Any], settings: Settings) -> AsyncIterator[House]:
    bus = start_bus(Tools, Memory, Librarian)
    await bus.provision()
    memory, librarian, tools = Memory(settings), Librarian(settings), Tools(settings)
    async with bus.running(memory, librarian, tools), bus.connected() as connection:
        yield House(connection, bus, memory, librarian, tools)


async def command(settings: Settings, *arguments: str, given: str = "") -> tuple[int, str, str]:
    """Run the command line in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ops.cli",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "KARAIS_HOME": str(settings.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(given.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
