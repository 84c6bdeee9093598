"""A double of a model hub, for tests: what ``huggingface_hub`` asks for, and ways to go wrong."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """The files of one repository, and how the hub behaves; a test changes it while it runs."""

    repository: str
    revision: str = "main"
    files: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    cut_after: int = 0
    """Bytes after which each connection is cut."""
    status: int = 0
    """Answer everything with this status."""
    error_code: str = ""
    """The header ``X-Error-Code`` of that."""
    etag: str = ""
    """Say this SHA-256 instead of the right one."""
    spoil: bool = False
    """Send other bytes than those of the SHA-256."""
    token: str = ""
    """Ask for this token."""
    elsewhere: bool = False
    """Files lie on another host, to which a redirect leads."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of what was asked."""

    def ranges(self) -> list[str]:
        """Return the ranges that were asked for, in order; "" for a whole file."""
        return [headers.get("Range", "") for method, _, headers in self.requests if method == "GET"]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.headers)))
        if self.status:
            return web.Response(status=self.status, headers={"X-Error-Code": self.error_code})
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given != self.token and not request.path.startswith("/elsewhere/"):
            return web.Response(status=401, headers={"X-Error-Code": "GatedRepo"})
        if request.path.startswith("/api/models/"):
            return self._info(request)
        if request.path.startswith("/elsewhere/"):
            return await self._file(request, request.path.removeprefix("/elsewhere/"))
        start = f"/{self.repository}/resolve/"
        if not request.path.startswith(start):
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        revision, name = request.path.removeprefix(start).split("/", 1)
        if revision not in (self.revision, COMMIT):
            return web.Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        if name not in self.files:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        if self.elsewhere:
            host = self.url.replace("127.0.0.1", "localhost")
            return web.Response(
                status=302, headers={**self._about(name), "Location": f"{host}/elsewhere/{name}"}
            )
        return await self._file(request, name)

    def _about(self, name: str) -> dict[str, str]:
        data = self.files[name]
        digest = self.etag or hashlib.sha256(data).hexdigest()
        return {
            "ETag": '"of-the-pointer"',
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }

    async def _file(self, request: web.Request, name: str) -> web.StreamResponse:
        data = self.files[name]
        if request.method == "HEAD":
            return web.Response(headers={**self._about(name), "Content-Length": str(len(data))})
        if self.spoil:
            data = data[:-9] + bytes(9)
        start = request.http_range.start or 0
        status = 206 if "Range" in request.headers else 200
        response = web.StreamResponse(status=status, headers=self._about(name))
        response.content_length = len(data) - start
        if status == 206:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        body = data[start:]
        if self.cut_after and len(body) > self.cut_after:
            await response.write(body[: self.cut_after])
            await asyncio.sleep(0.05)
            assert request.transport
            request.transport.abort()
            return response
        await response.write(body)
        return response

    def _info(self, request: web.Request) -> web.Response:
        if self.repository not in request.path:
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        siblings: list[dict[str, Any]] = []
        for name, data in self.files.items():
            digest = hashlib.sha256(data).hexdigest()
            lfs = {"sha256": digest, "size": len(data), "pointerSize": 135}
            siblings.append({"rfilename": name, "size": len(data), "blobId": digest[:40], "lfs": lfs})
        return web.json_response({"id": self.repository, "sha": COMMIT, "siblings": siblings})


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on a free port, in a thread of its own, for pulling blocks."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", hub._answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield hub
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
