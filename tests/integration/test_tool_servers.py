"""Servers of tools: good ones are used, and whatever a bad one does hurts nobody else."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web

from schemas.tools import ToolEntry, ToolServer
from tests.tool_house import House

SERVER = Path(__file__).with_name("tool_server.py")


def program(character: str, **more: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(SERVER), character], **more}


def configure(house: House, **servers: Any) -> None:
    file = house.tools.settings.mcp
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"mcpServers": servers}))
    draft.chmod(0o600)
    draft.replace(file)


async def use(house: House, seconds: float = 30.0, **servers: Any) -> None:
    """Configure servers and wait until each is there or has failed."""
    configure(house, **servers)
    await house.tools.look_at_configuration()
    async with asyncio.timeout(seconds):
        while any(server.state == "starting" for server in (await house.listed()).servers):
            await asyncio.sleep(0.05)


async def states(house: House) -> dict[str, ToolServer]:
    return {server.name: server for server in (await house.listed()).servers}


async def until(house: House, name: str, state: str, seconds: float = 15.0) -> ToolServer:
    async with asyncio.timeout(seconds):
        while (found := (await states(house))[name]).state != state:
            await asyncio.sleep(0.05)
    return found


async def tools(house: House) -> dict[str, ToolEntry]:
    return {tool.name: tool for tool in (await house.listed()).tools if tool.source != "built-in"}


async def works(house: House, server: str = "good") -> bool:
    return (await house.call(f"{server}__echo", arguments={"text": "still here"})).text == "still here"


@contextmanager
def http_server(character: str) -> Iterator[str]:
    """Run the small server over HTTP; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(SERVER), character, str(port)])
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_tools_of_a_program_are_used(house: House) -> None:
    """They are named after the server, change something unless the file says otherwise, and are untrusted."""
    await use(house, good=program("good", reads=["echo"]))
    found = await tools(house)
    assert found["good__echo"].effect == "reads"
    assert found["good__switch"].effect == "changes"
    assert found["good__echo"].untrusted
    assert found["good__echo"].sends
    said = await house.call("good__echo", arguments={"text": "hello"})
    assert (said.outcome, said.text, said.untrusted) == ("done", "hello", True)
    assert (await house.call("good__switch", arguments={"text": "on"})).outcome == "unapproved"
    assert (await house.call("good__switch", arguments={"text": "on"}, approved=True)).text == "on"
    wrong = await house.call("good__echo", arguments={"text": 7})
    assert (wrong.outcome, wrong.field) == ("invalid", "text")
    missing = await house.call("good__echo")
    assert (missing.outcome, missing.field) == ("invalid", "text")
    failed = await house.call("good__fail", approved=True)
    assert (failed.outcome, failed.text) == ("failed", "The lamp is broken.")
    picture = await house.call("good__picture", approved=True)
    assert picture.text == "[image/png, 3 bytes, not shown]\na lamp"
    assert house.tools.condition.state == "ready"


async def test_annotations_count_only_where_they_are_trusted(house: House) -> None:
    """A server's own word that a tool only reads counts where the administrator said so; lists win."""
    await use(
        house,
        plain=program("good"),
        trusted=program("good", trust_annotations=True),
        strict=program("good", trust_annotations=True, changes="all"),
    )
    effects = {name: tool.effect for name, tool in (await tools(house)).items()}
    assert effects["plain__echo"] == "changes"
    assert effects["trusted__echo"] == "reads"
    assert effects["trusted__switch"] == "changes"
    assert effects["strict__echo"] == "changes"


async def test_tools_over_http_are_used(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server at a URL works as a program does; when it goes, its tools go, and others stay."""
    with http_server("good") as url:
        await use(house, far={"url": url, "reads": "all"}, good=program("good", reads="all"))
        assert await works(house, "far")
        flood = await house.call("far__flood")
        assert flood.outcome == "failed"
        assert await works(house, "far")
    assert (await house.call("far__echo", arguments={"text": "x"})).outcome in ("failed", "unavailable")
    await until(house, "far", "failed")
    assert await works(house)


async def test_server_that_is_not_there_hurts_no_other(house: House, tmp_path: Path) -> None:
    """No program, nobody at the address, a silent one, a name that is not allowed: each says why."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        await use(
            house,
            45,
            good=program("good", reads="all"),
            none={"command": "no-such-program"},
            nobody={"url": "http://127.0.0.1:9/mcp"},
            mute={"url": f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"},
            noise=program("noise"),
            hangs=program("silent"),
            ends={"command": "false"},
            both={"command": "x", "url": "http://x"},
            secret={"url": "http://127.0.0.1:9/mcp", "headers": {"A": "${env:NOT_THERE}"}},
            **{"a__b": {"command": "x"}, "built-in": {"command": "x"}},
        )
    found = await states(house)
    assert found.pop("good").state == "ready"
    assert {server.state for server in found.values()} == {"failed"}
    assert "no-such-program" in found["none"].detail
    assert "within 30 s" in found["mute"].detail
    assert "within 30 s" in found["hangs"].detail
    assert "NOT_THERE" in found["secret"].detail
    assert "either a url or a command" in found["both"].detail
    assert all(server.detail for server in found.values())
    assert await works(house)
    assert house.tools.condition.state == "degraded"
    configure(house, good=program("good", reads="all"))
    await house.tools.look_at_configuration()
    assert house.tools.condition.state == "ready"
    assert await works(house)


async def test_tool_that_hangs_is_given_up_and_others_answer(house: House) -> None:
    """Calls to a hanging server end in time and take no more than their places; it is connected anew."""
    await use(house, good=program("good", reads="all"), other=program("good", reads="all"))
    hanging = [asyncio.create_task(house.call("good__hang", seconds=2.0)) for _ in range(20)]
    await asyncio.sleep(0.3)
    begun = time.monotonic()
    assert await works(house, "other")
    assert time.monotonic() - begun < 1
    outcomes = [result.outcome for result in await asyncio.gather(*hanging)]
    assert outcomes.count("timed_out") == 8
    assert outcomes.count("busy") == 12
    await until(house, "good", "failed")
    await until(house, "good", "ready")
    assert await works(house)


async def test_server_that_dies_in_a_call_is_started_again(house: House) -> None:
    """The call fails at once, other servers do not notice, and a little later it is there again."""
    await use(house, good=program("good", reads="all"), other=program("good", reads="all"))
    begun = time.monotonic()
    died = await house.call("good__die")
    assert died.outcome == "failed"
    assert time.monotonic() - begun < 5
    assert await works(house, "other")
    await until(house, "good", "failed")
    await until(house, "good", "ready")
    assert await works(house)


async def test_50_megabytes_are_not_taken(house: House) -> None:
    """The call fails with a sentence, the server stays, and the memory of the agent does not grow by it."""
    await use(house, good=program("good", reads="all"))
    process = psutil.Process()
    before = process.memory_info().rss
    for _ in range(2):
        flood = await house.call("good__flood")
        assert flood.outcome == "failed"
        assert "are taken" in flood.text
    assert process.memory_info().rss - before < 40 * 2**20
    assert await works(house)


async def test_poisoned_descriptions_are_cleaned_cut_and_marked(house: House) -> None:
    """No hidden characters, no length, no collision, no schema that takes for ever or fetches anything."""
    await use(house, bad=program("poisoned", reads="all"))
    found = await tools(house)
    weather = found["bad__weather"]
    assert weather.untrusted
    assert len(weather.description) <= 1000
    assert weather.description.isascii() or "…" in weather.description
    assert "\u202e" not in weather.description
    assert len(weather.parameters["properties"]["place"]["description"]) <= 300
    assert sum(name.startswith("bad__a_b") for name in found) == 1
    assert all(len(name) <= 64 for name in found)
    assert "bad__broken" not in found
    assert not any("huge" in name for name in found)
    note = (await states(house))["bad"].detail
    assert "a_b" in note
    assert "broken" in note
    begun = time.monotonic()
    assert (await house.call("bad__evil", arguments={"t": "a" * 40 + "!"})).outcome == "done"
    assert (await house.call("bad__laughs", arguments={"t": "x"})).outcome == "invalid"
    assert (await house.call("bad__far", arguments={"t": "x"})).outcome == "invalid"
    assert time.monotonic() - begun < 5


async def test_first_of_ten_thousand_tools_are_used(house: House) -> None:
    """A server that lists without end is used within bounds, and says so."""
    await use(house, many=program("many"))
    assert len(await tools(house)) == 128
    assert "first 128" in (await states(house))["many"].detail


async def test_program_gets_its_own_environment_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees what was configured, not the agent's secrets."""
    monkeypatch.setenv("KARAIS_KEY", "secret")
    monkeypatch.setenv("FILES_TOKEN", "t0ken")
    await use(house, good=program("good", reads="all", env={"TOKEN": "${env:FILES_TOKEN}"}))
    names = (await house.call("good__environment")).text.split()
    assert "TOKEN" in names
    assert not {"KARAIS_KEY", "FILES_TOKEN"} & set(names)


async def test_program_ends_with_all_that_it_started(house: House, tmp_path: Path) -> None:
    """One that ignores SIGTERM and has a child of its own is gone when it is taken out of the file."""
    file = tmp_path / "pid"
    await use(house, bad=program("stubborn", reads="all"), good=program("good", reads="all"))
    assert (await house.call("bad__child", arguments={"text": str(file)})).outcome == "done"
    child = int(file.read_text())
    parent = psutil.Process(child).ppid()
    configure(house, good=program("good", reads="all"))
    await house.tools.look_at_configuration()
    assert not any(map(lives, (child, parent)))
    assert await works(house)


async def test_file_that_others_may_write_is_not_used(house: House) -> None:
    """It names programs that are started; one that is broken changes nothing either."""
    await use(house, good=program("good", reads="all"))
    file = house.tools.settings.mcp
    file.chmod(0o666)
    await house.tools.look_at_configuration()
    assert "Others can write" in house.tools.condition.detail
    assert await works(house)
    file.chmod(0o600)
    file.write_text("{nonsense")
    await house.tools.look_at_configuration()
    assert house.tools.condition.state == "degraded"
    assert await works(house)


async def test_redirect_to_another_host_is_not_followed(house: House) -> None:
    """The headers, tokens among them, go to the configured server alone."""
    reached: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        reached.append(request.headers.get("Authorization", ""))
        return web.Response(status=404)

    other, other_url = await _site(elsewhere)

    async def redirect(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t0ken"
        return web.Response(status=307, headers={"Location": other_url})

    first, url = await _site(redirect)
    try:
        token = house.tools.settings.home / "token"
        token.write_text("t0ken\n")
        await use(house, far={"url": url, "headers": {"Authorization": f"Bearer ${{file:{token}}}"}})
        assert (await states(house))["far"].state == "failed"
        assert not reached
    finally:
        await first.cleanup()
        await other.cleanup()


class Earlier:
    """A server of an earlier revision with sessions, as many that are in use: initialize, then streams."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        asked = await request.json()
        if asked["method"] == "initialize":
            name = f"s{time.monotonic_ns()}"
            self.sessions.add(name)
            result: Any = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "earlier", "version": "1"},
            }
            return web.json_response(_reply(asked, result), headers={"Mcp-Session-Id": name})
        if request.headers.get("Mcp-Session-Id") not in self.sessions:
            return web.Response(status=404 if "Mcp-Session-Id" in request.headers else 400)
        if "id" not in asked:
            return web.Response(status=202)
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        result = {"tools": [{"name": "echo", "inputSchema": schema}]}
        if asked["method"] == "tools/call":
            result = {"content": [{"type": "text", "text": asked["params"]["arguments"]["text"]}]}
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: message\ndata: " + json.dumps(_reply(asked, result)).encode() + b"\n\n")
        return response


def _reply(asked: Any, result: Any) -> Any:
    return {"jsonrpc": "2.0", "id": asked["id"], "result": result}


async def test_server_of_an_earlier_revision_is_used(house: House) -> None:
    """It is spoken to in its own way; when it forgets the session, a new one is begun."""
    earlier = Earlier()
    runner, url = await _site(earlier.answer)
    try:
        await use(house, old={"url": url, "reads": "all"})
        assert await works(house, "old")
        earlier.sessions.clear()
        assert (await house.call("old__echo", arguments={"text": "x"})).outcome == "failed"
        await until(house, "old", "failed")
        await until(house, "old", "ready")
        assert await works(house, "old")
    finally:
        await runner.cleanup()


async def _site(handler: Callable[[web.Request], Any]) -> tuple[web.AppRunner, str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}/mcp"
