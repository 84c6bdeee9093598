"""All servers together: started, ended and found by the administrator's file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from agents.tools.servers.configuration import Configuration, ServerConfig, read, stamp
from agents.tools.servers.server import Server
from agents.tools.tool import Tool
from schemas.errors import KaraisError
from schemas.tools import ToolServer

log = logging.getLogger(__name__)


class Servers:
    """The servers that the file names. One that is not there hurts no other."""

    def __init__(self, path: Path, logs: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._logs = logs
        self._tell = tell
        self._stamp: tuple[int, ...] = ()
        self._servers: dict[str, Server] = {}
        self._problems: dict[str, str] = {}
        self._problem = ""
        self._changing = asyncio.Lock()

    async def look(self) -> None:
        """Take in the file if it changed; a file that cannot be used leaves the servers as they are."""
        async with self._changing:
            now = await asyncio.to_thread(stamp, self._path)
            if now == self._stamp:
                return
            self._stamp = now
            try:
                configuration = await asyncio.to_thread(read, self._path)
            except KaraisError as error:
                log.warning("%s", error)
                self._problem = str(error)
            else:
                self._problem = ""
                await self._take(configuration)
            self._report()

    async def _take(self, configuration: Configuration) -> None:
        self._problems = configuration.problems
        wanted = configuration.servers
        ended = [name for name, server in self._servers.items() if wanted.get(name) != server.config]
        await asyncio.gather(*(self._servers.pop(name).close() for name in ended))
        for name, config in wanted.items():
            if name not in self._servers:
                self._servers[name] = self._start(name, config)

    def _start(self, name: str, config: ServerConfig) -> Server:
        log.info("the server %s is used", name)
        server = Server(name, config, self._logs / f"mcp-{name}.log", self._report)
        server.start()
        return server

    def tools(self) -> list[Tool]:
        """Return the tools of the servers that are there now, by server."""
        return [tool for server in self._servers.values() for tool in server.tools.values()]

    def tool(self, name: str) -> Tool | None:
        """Return a tool by its whole name, ``server__tool``."""
        server = self._servers.get(name.partition("__")[0])
        return server.tools.get(name) if server else None

    def states(self) -> tuple[ToolServer, ...]:
        """Return how each server is, those with wrong entries too."""
        wrong = [ToolServer(name=name, state="failed", detail=text) for name, text in self._problems.items()]
        return (*(server.state() for server in self._servers.values()), *wrong)

    def _report(self) -> None:
        """Tell in one sentence what is wrong; with a server that starts nothing is wrong yet."""
        problems = [self._problem] if self._problem else []
        problems += [
            f"The server {state.name}: {state.detail}" for state in self.states() if state.state == "failed"
        ]
        self._tell(" ".join(problems)[:500])

    async def close(self) -> None:
        """End all servers that were started, and all connections."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))
