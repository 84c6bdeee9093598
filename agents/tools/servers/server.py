"""One server: connected, listed, called; connected again when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.tools.servers.configuration import ServerConfig
from agents.tools.tool import Given, NotDoneError, Tool, Work, cleaned, shortened
from bus.tasks import end
from schemas.errors import KaraisError
from schemas.tools import CallTool, ToolServer

if TYPE_CHECKING:
    from agents.tools.servers.session import Session

log = logging.getLogger(__name__)

START_SECONDS = 30.0
"""In which a server has to answer and to list its tools."""
LOOK_SECONDS = 300.0
"""After so long its tools are listed again, which shows too whether it is still there."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
SOUND_SECONDS = 60.0
"""A connection that held so long begins anew with short pauses."""
CHANGE_SECONDS = 5.0
"""A server that says that its tools changed is listed again after so long, at the earliest."""
CLOSE_SECONDS = 5.0
TIMEOUTS = 3
"""Calls in a row that got no answer, after which the connection is made anew."""


class Server:
    """A server of tools, kept connected until ``close``."""

    def __init__(self, name: str, config: ServerConfig, log_file: Path, changed: Callable[[], None]) -> None:
        self.name = name
        self.config = config
        self.tools: dict[str, Tool] = {}
        self._log_file = log_file
        self._changed = changed
        self._session: Session | None = None
        self._state = ToolServer(name=name, state="starting")
        self._wake = asyncio.Event()
        """The server is lost, or says that its tools changed."""
        self._lost = ""
        self._timeouts = 0
        self._closing = False
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it connected."""
        self._keeping = asyncio.create_task(self._keep(), name=f"server {self.name}")

    async def close(self) -> None:
        """End the connection, and the program if it was started."""
        if self._keeping:
            self._closing = True
            self._keeping.cancel()
            # Once: a program that is being ended needs its time, and a second order would cut that short.
            await asyncio.wait([self._keeping], timeout=CLOSE_SECONDS)
            await end([self._keeping])

    def state(self) -> ToolServer:
        """Return how it is."""
        return self._state

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while not self._closing:
            begun = loop.time()
            try:
                await self._serve()
                reason = self._lost or "it ended the connection"
            except KaraisError as error:
                reason = str(error).rstrip(".")
            except TimeoutError:
                reason = f"it did not answer within {START_SECONDS:g} s"
            except Exception as error:  # noqa: BLE001 - whatever a server does wrong, it is tried again
                reason = _leaf(error)
            self._session, self.tools, self._lost = None, {}, ""
            if self._closing:
                break
            self._become(ToolServer(name=self.name, state="failed", detail=f"{reason}."))
            log.warning("the server %s is not there: %s", self.name, reason)
            if loop.time() - begun > SOUND_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause * random.uniform(1.0, 1.2))  # noqa: S311 - spreads tries, no secret
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _serve(self) -> None:
        """Connect and stay connected; returns or raises when the connection is lost."""
        self._wake.clear()
        self._timeouts = 0
        # It brings the MCP library, 45 MB and 0.7 s: not before there is a server, and beside the loop.
        module: Any = await asyncio.to_thread(importlib.import_module, "agents.tools.servers.session")
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(START_SECONDS):
                session: Session = await stack.enter_async_context(
                    module.connected(self.name, self.config, self._log_file, self._lose, self._wake.set)
                )
                await self._list(session)
            self._session = session
            log.info("the server %s offers %d tools", self.name, len(self.tools))
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)
                if self._lost:
                    return
                if self._wake.is_set():
                    await asyncio.sleep(CHANGE_SECONDS)
                self._wake.clear()
                async with asyncio.timeout(START_SECONDS):
                    await self._list(session)

    async def _list(self, session: Session) -> None:
        listed, note = await session.tools()
        self.tools = {
            item.entry.name: Tool(item.entry, self._preparing(item.original, item.check)) for item in listed
        }
        self._become(ToolServer(name=self.name, state="ready", tools=len(listed), detail=note))

    def _preparing(self, original: str, check: Callable[[str], dict[str, Any]]) -> Callable[[CallTool], Work]:
        def prepare(ask: CallTool) -> Work:
            if self._session is None:
                raise NotDoneError(
                    "unavailable", f"The server {self.name} is not there: {self._state.detail}"
                )
            arguments = check(ask.arguments or "{}")
            return lambda: self._call(original, arguments, ask.seconds)

        return prepare

    async def _call(self, original: str, arguments: dict[str, Any], seconds: float) -> Given:
        session = self._session
        if session is None:
            raise NotDoneError("unavailable", f"The server {self.name} is not there: {self._state.detail}")
        try:
            given = await session.call(original, arguments, seconds)
        except asyncio.CancelledError:
            self._timeouts += 1
            if self._timeouts >= TIMEOUTS:
                self._lose(f"{TIMEOUTS} calls in a row got no answer")
            raise
        except NotDoneError:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            # What a server says went wrong is text from outside.
            text = f"The server {self.name} failed: {_leaf(error)}."
            raise NotDoneError("failed", text, untrusted=True) from None
        self._timeouts = 0
        return given

    def _lose(self, reason: str) -> None:
        """Have the connection made anew."""
        self._lost = self._lost or reason
        self._wake.set()

    def _become(self, state: ToolServer) -> None:
        self._state = state
        self._changed()


def _leaf(error: BaseException) -> str:
    """Return the reason in a group of errors, short and without what cannot be seen."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(cleaned(str(error)).split())
    return shortened(text, 300).rstrip(".") or type(error).__name__
