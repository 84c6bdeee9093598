"""The gateway: where the page, the command line and other programs reach KARAIS over HTTP."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import msgspec
from aiohttp import web

from agents.gateway.access import Access
from agents.gateway.app import Site
from agents.gateway.live import HEARD, Live
from agents.gateway.models import ServedModels
from agents.gateway.rest import Rest
from bus.agent import Agent
from bus.identities import local_key
from schemas.chat import (
    Ask,
    Cancel,
    Delta,
    Done,
    Failed,
    ListConversations,
    ReadConversation,
    Sources,
    Titled,
    ToolCalls,
)
from schemas.completion import Complete
from schemas.documents import GetStorageStatus, ListFiles, OpenPassage, Recall, Rescan
from schemas.embeddings import Embed
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.forgetting import Forget
from schemas.health import DescribeEngine
from schemas.memory import AddFact, EditFact, ListFacts, ShowFact
from schemas.projects import ChangeProject, ListProjects, ReadProject, RemoveProject
from schemas.tools import CallTool, ListTools
from schemas.web import GatewayAddress

log = logging.getLogger(__name__)

ADDRESS_FILE = "gateway.json"
BACKLOG = 128


class Gateway(Agent):
    """Passes messages between HTTP clients and the bus; keeps nothing."""

    kind = "gateway"
    calls = (
        Ask,
        ListConversations,
        ReadConversation,
        OpenPassage,
        GetStorageStatus,
        ListFiles,
        Rescan,
        Recall,
        ListFacts,
        ShowFact,
        AddFact,
        EditFact,
        Forget,
        ListProjects,
        ReadProject,
        ChangeProject,
        RemoveProject,
        DescribeEngine,
        ListTools,
        CallTool,
        Complete,
        Embed,
    )
    publishes = (Cancel, Titled)
    subscribes = (Sources, Delta, ToolCalls, Done, Failed, *HEARD)
    streams = ("ANSWER", "KV_nodes")

    address: GatewayAddress

    async def start(self, resources: AsyncExitStack) -> None:
        """Listen; raises KaraisError in one sentence when the port cannot be had."""
        settings = self.settings
        key = await asyncio.to_thread(local_key, settings.api_key)
        file = settings.run / ADDRESS_FILE
        listening = _listen(settings.host, settings.port, await asyncio.to_thread(_last_port, file))
        resources.callback(listening.close)
        host, port = listening.getsockname()[:2]

        live = Live(self.bus)
        models = ServedModels(self.bus, settings.model, settings.embedding_model)
        access = Access(key, host=settings.host, origins=settings.origins)
        # Cookies do not tell ports apart: two KARAIS on one machine need two names.
        self._site = Site(Rest(self.bus, models), live, access, cookie=f"karais-{port}")
        runner = web.AppRunner(self._site.application(), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        resources.push_async_callback(runner.cleanup)
        for watching in (live.run(), models.run()):
            resources.push_async_callback(_stop, asyncio.create_task(watching))
        await web.SockSite(runner, listening, backlog=BACKLOG).start()

        self.address = GatewayAddress(url=_url(host, port), host=host, port=port, pid=os.getpid())
        await asyncio.to_thread(_write_address, file, self.address)
        log.info("The page is at %s", self.address.url)

    async def drain(self) -> None:
        """Ask every page to come back; they attach again to the gateway that follows."""
        await self._site.close()


def _listen(host: str, port: int, last_port: int) -> socket.socket:
    """Return a listening socket; a free port is the one of the last time, if it can be had."""
    if port == 0 and last_port:
        with suppress(KaraisError):
            return _listen(host, last_port, 0)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Unavailable(
            f"The gateway cannot listen on the address {host}: {error.strerror}; set `host` to an address "
            "of this machine."
        ) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise KaraisError(
                f"Port {port} on {host} is in use by another program: stop it, or choose another port "
                "with `--port N` or `port` in karais.toml.",
                code=Code.CONFLICT,
            ) from None
        if error.errno == errno.EACCES:
            raise KaraisError(
                f"Port {port} on {host} may not be used by this user: choose one above 1023 with `--port N`.",
                code=Code.FORBIDDEN,
            ) from None
        raise Unavailable(
            f"The gateway cannot listen on {host} port {port}: {error.strerror}; set `host` to an address "
            "of this machine."
        ) from None
    return listening


def _url(host: str, port: int) -> str:
    """Return the address of the page for a browser on this machine."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if address.version == 6 else f"http://{host}:{port}"


def _last_port(file: Path) -> int:
    try:
        return msgspec.json.decode(file.read_bytes(), type=GatewayAddress).port
    except (OSError, msgspec.MsgspecError):
        return 0


def _write_address(file: Path, address: GatewayAddress) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(address) + b"\n")
    draft.replace(file)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
