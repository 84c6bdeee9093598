"""KARAIS as an MCP server, spoken to by the official client over HTTP and over standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx2
import msgspec
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from agents.gateway import mcp as gateway_mcp
from agents.gateway.agent import Gateway
from agents.tools import Tools
from bus.settings import Settings
from schemas.web import GatewayAddress
from tests.integration.conftest import PLAYED, ROOT, command

NEW, OLD = "auto", "legacy"


class House:
    """A KARAIS of a real gateway and tools agent with played partners."""

    def __init__(self, settings: Settings, running: Any, brain: Any, memory: Any) -> None:
        self.settings = settings
        self.running = running
        self.brain = brain
        self.memory = memory

    @property
    def url(self) -> str:
        file = self.settings.run / "gateway.json"
        return msgspec.json.decode(file.read_bytes(), type=GatewayAddress).url

    @property
    def key(self) -> str:
        return self.settings.api_key.read_text().strip()

    @asynccontextmanager
    async def http(self, mode: Any = NEW, query: str = "") -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{self.url}/mcp{query}", http_client=http), mode=mode) as client,
        ):
            yield client

    @asynccontextmanager
    async def stdio(self, mode: Any = NEW, *options: str) -> AsyncIterator[Client]:
        program = StdioServerParameters(
            command=sys.executable,
            args=["-m", "ops.cli", "mcp", *options],
            cwd=ROOT,
            env={"KARAIS_HOME": str(self.settings.home), "PYTHONPATH": str(ROOT)},
        )
        async with Client(program, mode=mode) as client:
            yield client

    def reached(self, way: str, mode: str) -> Any:
        return self.http(mode) if way == "http" else self.stdio(mode)


@pytest.fixture
async def house(start_bus: Callable[..., Any], settings: Settings) -> AsyncIterator[House]:
    bus = start_bus(*PLAYED, Tools)
    await bus.provision()
    agents = [kind(settings) for kind in (*PLAYED, Tools)]
    async with bus.running(*agents):
        yield House(settings, bus, agents[1], agents[2])


def text_of(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if block.type == "text")


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("mode", [NEW, OLD])
async def test_official_client_uses_all_tools(house: House, way: str, mode: str) -> None:
    """Both eras of the protocol, both ways of carrying it: list, search, recall, remember, ask."""
    async with house.reached(way, mode) as client:
        assert client.session.protocol_version == ("2026-07-28" if mode == NEW else "2025-11-25")
        assert client.session.server_info.name == "karais"
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert sorted(tools) == ["ask", "recall", "remember", "search"]
        assert tools["search"].annotations.read_only_hint
        assert not tools["remember"].annotations.read_only_hint
        found = await client.call_tool("search", {"query": "limits"})
        assert "[1] concepts/streams.md, lines 5-5\nMessages are kept until" in text_of(found)
        assert "Nothing was found" in text_of(await client.call_tool("recall", {"query": "limits"}))
        told = await client.call_tool("remember", {"text": "The boiler leaks."})
        assert not told.is_error
        assert house.memory.facts.list("home", "owner").facts[0].text == "The boiler leaks."
        answer = await client.call_tool("ask", {"question": "What is kept?"})
        text, _, sources = text_of(answer).partition("\n\nSources:\n")
        assert text == "Messages are kept **until** a limit is reached [1]."
        assert sources == "[1] concepts/streams.md, lines 5-5"
        assert answer.structured_content["sources"][0]["place"] == "concepts/streams.md, lines 5-5"
        again = await client.call_tool(
            "ask", {"question": "And?", "conversation": answer.structured_content["conversation"]}
        )
        assert not again.is_error
        assert house.brain.asked[0].conversation == house.brain.asked[1].conversation


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "1999-01-01"])
async def test_earlier_versions_are_agreed_upon(house: House, version: str) -> None:
    """A client gets the version that it asks for, or the latest that begins in the same way."""
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    reply = await _post(house, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    assert reply["result"]["protocolVersion"] == (version if version != "1999-01-01" else "2025-11-25")


@pytest.mark.parametrize("mode", [NEW, OLD])
async def test_what_goes_wrong_is_a_result(house: House, mode: str) -> None:
    """Wrong arguments are named, a failed answer is told; what does not exist is an error of the protocol."""
    async with house.http(mode) as client:
        wrong = await client.call_tool("search", {"query": "x", "limit": 1000})
        assert wrong.is_error
        assert "'limit'" in text_of(wrong)
        missing = await client.call_tool("ask", {})
        assert missing.is_error
        assert "question" in text_of(missing)
        failed = await client.call_tool("ask", {"question": "fail"})
        assert failed.is_error
        assert "The model stopped." in text_of(failed)
        refused = await client.call_tool("ask", {"question": "refuse"})
        assert refused.is_error
        with pytest.raises(MCPError):
            await client.call_tool("launch", {})
        with pytest.raises(MCPError):
            await client.list_prompts()


async def test_project_is_in_the_address(house: House) -> None:
    """Search and answers stay in the project that the address names; one that is not there is told."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {house.key}"}) as session:
        made = await session.post(f"{house.url}/api/v1/projects", json={"project": "boat"})
        assert made.status == 200
    async with house.http(query="?project=boat") as client:
        await client.call_tool("search", {"query": "x"})
        await client.call_tool("ask", {"question": "x"})
    assert house.memory.recalled[-1].project == "boat"
    assert house.brain.asked[-1].project == "boat"
    async with house.stdio(NEW, "--project", "none") as client:
        assert (await client.call_tool("search", {"query": "x"})).is_error


async def test_long_answer_is_kept_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that takes its time comes as a stream with signs of life; the client gets it whole."""
    monkeypatch.setattr(gateway_mcp, "QUIET_SECONDS", 0.1)
    house.brain.pause = 0.1
    for way in ("http", "stdio"):
        async with house.reached(way, NEW) as client:
            answer = await client.call_tool("ask", {"question": "What is kept?"})
            assert text_of(answer).startswith("Messages are kept")


async def test_answer_ends_when_its_client_goes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the connection is how a call is cancelled: the brain is told."""
    monkeypatch.setattr(gateway_mcp, "QUIET_SECONDS", 0.1)
    house.brain.pause = 0.5
    async with house.http() as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):
                await client.call_tool("ask", {"question": "What is kept?"})
    async with asyncio.timeout(3):
        while not house.brain.cancelled:
            await asyncio.sleep(0.02)


async def test_key_host_and_origin_are_checked(house: House) -> None:
    """As everywhere: without the key nothing is served, and no page of another site may speak to it."""
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with aiohttp.ClientSession() as session:
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": f"Bearer {house.key}", "Origin": "http://evil.example"}, 403),
            ({"Authorization": f"Bearer {house.key}", "Host": "evil.example"}, 403),
            ({"Authorization": f"Bearer {house.key}"}, 200),
        ):
            async with session.post(f"{house.url}/mcp", json=ping, headers=headers) as response:
                assert response.status == status
        async with session.get(f"{house.url}/mcp", headers={"Authorization": f"Bearer {house.key}"}) as got:
            assert got.status == 405


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{nonsense", {}, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + b"[" * 100_000, {}, -32700),
        (b"[]", {}, -32600),
        (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', {}, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}', {}, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', {"MCP-Protocol-Version": "2026-07-28"}, -32602),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{'
            b'"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
            b'"io.modelcontextprotocol/clientCapabilities":{}}}}',
            {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "ping"},
            -32020,
        ),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{'
            b'"io.modelcontextprotocol/protocolVersion":"2099-01-01",'
            b'"io.modelcontextprotocol/clientCapabilities":{}}}}',
            {"MCP-Protocol-Version": "2099-01-01", "Mcp-Method": "ping"},
            -32022,
        ),
    ],
)
async def test_bad_messages_are_refused(
    house: House, body: bytes, headers: dict[str, str], code: int
) -> None:
    """Each with the protocol's code for what is wrong."""
    reply = await _post(house, body, headers)
    assert reply["error"]["code"] == code


async def test_tools_are_listed_while_all_else_is_dead(
    start_bus: Callable[..., Any], settings: Settings
) -> None:
    """The gateway alone lists them; a call says which agent is not there."""
    bus = start_bus(*PLAYED, Tools)
    await bus.provision()
    async with bus.running(Gateway(settings)):
        house = House(settings, bus, None, None)
        async with house.http() as client:
            assert len((await client.list_tools()).tools) == 4
            dead = await client.call_tool("search", {"query": "x"})
            assert dead.is_error
            assert "tools" in text_of(dead)


async def test_stdio_says_when_there_is_no_karais(settings: Settings) -> None:
    """Without a gateway each request is refused in one sentence, with a wrong key too."""
    settings.home.mkdir()
    line = '{"jsonrpc":"2.0","id":7,"method":"ping"}\n{nonsense\n'
    code, out, _ = await command(settings, "mcp", "--url", "http://127.0.0.1:9", given=line)
    replies = {reply["id"]: reply for reply in map(msgspec.json.decode, out.splitlines())}
    assert code == 0
    assert "No KARAIS answers" in replies[7]["error"]["message"]
    assert replies[None]["error"]["code"] == -32700


async def test_tools_on_the_command_line(house: House) -> None:
    """They are listed and called; what changes something wants a yes."""
    code, out, _ = await command(house.settings, "tools", "list", "--json")
    assert code == 0
    assert "calculator" in {tool["name"] for tool in msgspec.json.decode(out)["tools"]}
    code, out, _ = await command(house.settings, "tools", "call", "calculator", '{"expression": "6 * 7"}')
    assert (code, out.strip()) == (0, "6 * 7 = 42")
    fact = '{"text": "The boiler leaks."}'
    code, out, err = await command(house.settings, "tools", "call", "remember", fact)
    assert code == 2
    assert "--yes" in err
    code, out, _ = await command(house.settings, "tools", "call", "remember", fact, "--yes")
    assert (code, out.strip()) == (0, "Remembered: The boiler leaks.")
    code, _, err = await command(house.settings, "tools", "call", "nothing")
    assert code == 1
    assert "no tool" in err


async def _post(house: House, body: Any, headers: dict[str, str] | None = None) -> Any:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {house.key}"}) as session,
        session.post(f"{house.url}/mcp", data=data, headers=headers) as response,
    ):
        return await response.json()
