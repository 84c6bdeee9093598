"""A client of the gateway: REST for what is looked up, the WebSocket for answers.

It needs no bus and no server parts, so it works from any machine that reaches
the page. An answer survives a lost connection: the client attaches again
behind the last index that it saw, so no text is lost and none comes twice.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import ClientSession, ClientTimeout, WSMsgType
from yarl import URL

from bus.settings import Settings
from ops import running
from schemas.chat import (
    Accepted,
    Ask,
    Cancel,
    Conversations,
    Delta,
    Done,
    Failed,
    History,
    Sources,
    ToolCalls,
)
from schemas.documents import Files, PassageInContext, Recalled, StorageStatus
from schemas.errors import KaraisError, Refused, TimedOut, Unavailable
from schemas.failure import Code, Failure
from schemas.forgetting import Forgotten
from schemas.memory import Facts, FactWithHistory
from schemas.projects import Project, Projects
from schemas.tools import ToolList, ToolResult
from schemas.web import WEBSOCKET_PATH, Attach, Problem

T = TypeVar("T")
Event = Accepted | Sources | Delta | ToolCalls | Done | Failed

SECONDS = 30.0
"""How long the gateway may take to reply."""
FORGET_SECONDS = 150.0
"""How long it may take to forget: files are written anew."""
PATIENCE_SECONDS = 20.0
"""How long a lost gateway, bus or brain may take to come back before a question fails."""
_FRAME = msgspec.json.Decoder(Accepted | Sources | Delta | ToolCalls | Done | Failed | Problem)
_PASSING = frozenset({Code.UNAVAILABLE, Code.INTERNAL})


def address(settings: Settings, url: str = "") -> str:
    """Return where the gateway is: as told, from KARAIS_URL, as it wrote itself, or by the settings."""
    told = url or os.environ.get("KARAIS_URL", "")
    if told:
        return (told if "://" in told else f"http://{told}").rstrip("/")
    known = running.gateway_address(settings)
    if known and isinstance(known.get("url"), str):
        return str(known["url"]).rstrip("/")
    return f"http://127.0.0.1:{settings.port}"


def access_key(settings: Settings, key: str = "") -> str:
    """Return the key: as told, from KARAIS_KEY, or the local one; empty when there is none."""
    told = key or os.environ.get("KARAIS_KEY", "")
    if told:
        return told
    try:
        return settings.api_key.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Client:
    """Speaks to one gateway. An async context manager."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Client:
        """Open the session; nothing is sent yet."""
        self._session = ClientSession(headers=self._headers, timeout=_within(SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def get(self, path: str, kind: type[T], query: Mapping[str, Any] | None = None) -> T:
        """Return what ``GET path`` replies. Raises Refused, or Unavailable when no gateway answers."""
        return await self._request("GET", path, kind, query)

    async def conversations(self, **query: Any) -> Conversations:
        """Return the list of conversations, newest first."""
        return await self.get("/api/v1/conversations", Conversations, query)

    async def conversation(self, conversation: str, **query: Any) -> History:
        """Return a conversation's turns."""
        return await self.get(f"/api/v1/conversations/{conversation}", History, query)

    async def projects(self) -> Projects:
        """Return all projects."""
        return await self.get("/api/v1/projects", Projects)

    async def project(self, name: str) -> Project:
        """Return one project."""
        return await self.get(f"/api/v1/projects/{_segment(name)}", Project)

    async def add_project(self, body: Mapping[str, Any]) -> Project:
        """Make a project."""
        return await self._request("POST", "/api/v1/projects", Project, body=body)

    async def change_project(self, name: str, body: Mapping[str, Any]) -> Project:
        """Change what is given of a project."""
        return await self._request("PATCH", f"/api/v1/projects/{_segment(name)}", Project, body=body)

    async def remove_project(self, name: str, **query: Any) -> Forgotten:
        """Forget a project for good; with ``dry_run`` only say what would go."""
        path = f"/api/v1/projects/{_segment(name)}"
        return await self._request("DELETE", path, Forgotten, query, seconds=FORGET_SECONDS)

    async def facts(self, **query: Any) -> Facts:
        """Return a page of what is known."""
        return await self.get("/api/v1/facts", Facts, query)

    async def fact(self, fact: str, **query: Any) -> FactWithHistory:
        """Return a fact with its history."""
        return await self.get(f"/api/v1/facts/{_segment(fact)}", FactWithHistory, query)

    async def add_fact(self, body: Mapping[str, Any]) -> FactWithHistory:
        """Remember a fact."""
        return await self._request("POST", "/api/v1/facts", FactWithHistory, body=body)

    async def edit_fact(self, fact: str, body: Mapping[str, Any], **query: Any) -> FactWithHistory:
        """Put a fact right."""
        return await self._request(
            "PATCH", f"/api/v1/facts/{_segment(fact)}", FactWithHistory, query, body=body
        )

    async def forget(self, what: str, name: str, **query: Any) -> Forgotten:
        """Forget one of the ``facts``, ``exchanges`` or ``conversations`` for good."""
        path = f"/api/v1/{what}/{_segment(name)}"
        return await self._request("DELETE", path, Forgotten, query, seconds=FORGET_SECONDS)

    async def search(self, **query: Any) -> Recalled:
        """Search files, conversations and facts."""
        return await self.get("/api/v1/search", Recalled, query)

    async def passage(self, identity: str) -> PassageInContext:
        """Return a passage with the text around it."""
        return await self.get(f"/api/v1/passages/{identity}", PassageInContext)

    async def storage(self) -> StorageStatus:
        """Return how far indexing came."""
        return await self.get("/api/v1/storage", StorageStatus)

    async def files(self, **query: Any) -> Files:
        """Return a page of the list of files."""
        return await self.get("/api/v1/storage/files", Files, query)

    async def rescan(self) -> StorageStatus:
        """Have the storage walked again."""
        return await self._request("POST", "/api/v1/storage/rescan", StorageStatus)

    async def tools(self, **query: Any) -> ToolList:
        """Return the tools and their servers."""
        return await self.get("/api/v1/tools", ToolList, query)

    async def call_tool(self, name: str, body: Mapping[str, Any], *, seconds: float) -> ToolResult:
        """Call a tool and return its result; ``seconds`` is what the tool may take."""
        path = f"/api/v1/tools/{_segment(name)}"
        return await self._request("POST", path, ToolResult, body=body, seconds=seconds + SECONDS)

    async def status(self) -> dict[str, Any]:
        """Return which agents answer the gateway."""
        return await self.get("/api/v1/status", dict[str, Any])

    async def healthy(self) -> bool:
        """Tell whether the gateway answers."""
        try:
            await self.get("/healthz", dict[str, Any])
        except KaraisError:
            return False
        return True

    async def _request(
        self,
        method: str,
        path: str,
        kind: type[T],
        query: Mapping[str, Any] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        seconds: float = SECONDS,
    ) -> T:
        assert self._session, "the client is an async context manager"
        given = {name: _in_query(value) for name, value in (query or {}).items() if value not in (None, "")}
        sent = None if body is None else msgspec.json.encode(body)
        try:
            # The path's segments are quoted already: quoting them again would name something else.
            url = URL(self.url + path, encoded=True).update_query(given)
            requested = self._session.request(method, url, data=sent, timeout=_within(seconds))
            async with requested as response:
                reply = await response.read()
                status = response.status
        except ValueError:  # InvalidURL is one
            raise KaraisError(f"{self.url} is no URL of a KARAIS.", code=Code.INVALID) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from None
        if status >= 400:
            raise self._refusal(status, reply)
        try:
            return msgspec.json.decode(reply, type=kind)
        except msgspec.DecodeError:
            raise Unavailable(f"What answers at {self.url} is no KARAIS.") from None

    def _unreachable(self, error: BaseException) -> KaraisError:
        if isinstance(error, TimeoutError):
            return TimedOut(f"The KARAIS at {self.url} gave no answer in time.")
        return Unavailable(
            f"No KARAIS answers at {self.url}: start it by `karais up`, or name another by --url."
        )

    def _refusal(self, status: int, body: bytes) -> KaraisError:
        if status == 401:
            return KaraisError(
                f"The KARAIS at {self.url} does not accept this key: give its key by --key or KARAIS_KEY"
                " (`karais key` prints it there).",
                code=Code.FORBIDDEN,
            )
        with suppress(msgspec.DecodeError):
            return Refused.of(msgspec.json.decode(body, type=Failure))
        return Unavailable(f"What answers at {self.url} is no KARAIS (HTTP status {status}).")

    async def cancel(self, answer: str) -> None:
        """Stop an answer that ``ask`` is yielding; it then ends with ``cancelled``."""
        if self._socket is not None and not self._socket.closed:
            with suppress(ConnectionError):
                await self._socket.send_str(msgspec.json.encode(Cancel(answer=answer)).decode())

    async def ask(self, ask: Ask) -> AsyncIterator[Event]:
        """Ask and yield Accepted, Sources, every Delta once and in order, and then Done or Failed.

        Raises Refused when the question is not taken, and Unavailable when the
        gateway, the bus or the brain stay away for longer than the patience.
        """
        last, accepted = -1, False
        patience = time.monotonic() + PATIENCE_SECONDS
        problem: KaraisError | None = None
        first = True
        while True:
            try:
                async for frame in self._frames(ask, attach=accepted, again=not first, last=last):
                    if isinstance(frame, Problem):
                        problem = Refused(frame.message, code=frame.code, field=frame.field)
                        if frame.code not in _PASSING:
                            raise problem
                        break
                    if isinstance(frame, Accepted):
                        if not accepted:
                            accepted = True
                            yield frame
                        continue
                    ends = isinstance(frame, (Done, Failed))
                    if frame.index <= last and not ends:
                        continue
                    last = frame.index
                    patience = time.monotonic() + PATIENCE_SECONDS
                    yield frame
                    if ends:
                        return
            except (aiohttp.WSServerHandshakeError, aiohttp.InvalidURL) as error:
                status = getattr(error, "status", 0)
                if status < 500:
                    raise self._refusal(status, b"") from None
                problem = Unavailable(f"The KARAIS at {self.url} fails (HTTP status {status}).")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = self._unreachable(error)
                if first:
                    raise problem from None
            if time.monotonic() > patience:
                raise problem or self._unreachable(ConnectionError())
            first = False
            await asyncio.sleep(0.2)

    async def _frames(
        self, ask: Ask, *, attach: bool, again: bool, last: int
    ) -> AsyncIterator[Event | Problem]:
        """Yield the frames about one answer from a connection of its own, until that ends."""
        assert self._session, "the client is an async context manager"
        continued = Attach(answer=ask.answer, after=last)
        connecting = self._session.ws_connect(self.url + WEBSOCKET_PATH, heartbeat=20, max_msg_size=0)
        async with connecting as socket:
            self._socket = socket
            try:
                await socket.send_str(msgspec.json.encode(continued if attach else ask).decode())
                async for message in socket:
                    if message.type is not WSMsgType.TEXT:
                        continue
                    try:
                        frame = _FRAME.decode(message.data)
                    except msgspec.ValidationError:
                        continue  # A notice, or a type that is newer than this client.
                    about = frame.ref if isinstance(frame, Problem) else frame.answer
                    if about not in ("", ask.answer):
                        continue
                    yield frame
                    if isinstance(frame, Accepted) and again:
                        # It may have been asked before the connection was lost: read from its start.
                        await socket.send_str(msgspec.json.encode(continued).decode())
            finally:
                self._socket = None


def _segment(name: str) -> str:
    """Return a name as one segment of a path, whatever is in it."""
    return quote(name, safe="")


def _within(seconds: float) -> ClientTimeout:
    return ClientTimeout(total=seconds, sock_connect=5)


def _in_query(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
