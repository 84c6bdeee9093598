"""The page: its files, read once and served from memory, and the cookie that lets it in."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from agents.gateway.access import Access, comes_by_proxy, host_name, is_loopback, is_own_peer
from agents.gateway.codec import decode_body
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.web import SignIn

FOLDER = Path(__file__).parent / "static"

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    body: bytes
    content_type: str
    etag: str


def load_assets(folder: Path = FOLDER) -> dict[str, Asset]:
    """Return the page's files by name."""
    assets = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            assets[path.name] = Asset(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32])
    return assets


class Page:
    """Serves the page and signs its user in."""

    def __init__(self, access: Access, cookie: str) -> None:
        self._access = access
        self._cookie = cookie
        self._assets = load_assets()

    def routes(self) -> list[web.RouteDef]:
        """Return the page's routes."""
        return [
            web.get("/", self.index),
            web.get("/static/{name}", self.asset),
            web.post("/session", self.sign_in),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """Serve the page; the gateway's own user, on this machine, is signed in by it."""
        response = self._response(self._assets["index.html"])
        if not self._access.knows(None, request.cookies.get(self._cookie)) and await self._is_owner(request):
            self._let_in(request, response)
        return response

    async def asset(self, request: web.Request) -> web.Response:
        """Serve a file of the page."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise KaraisError("The page has no such file.", code=Code.NOT_FOUND)
        if request.headers.get("If-None-Match") == f'"{asset.etag}"':
            return web.Response(status=304, headers={"ETag": f'"{asset.etag}"', "Cache-Control": "no-cache"})
        return self._response(asset)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Give the cookie to whoever has the key."""
        given = decode_body(SignIn, await request.read())
        if not self._access.is_key(given.key.strip()):
            raise KaraisError(
                "This is not the key; it stands in `keys/api.key` of KARAIS' data folder.",
                code=Code.FORBIDDEN,
                field="$.key",
            )
        response = web.Response(status=204)
        self._let_in(request, response)
        return response

    async def _is_owner(self, request: web.Request) -> bool:
        if request.transport is None or not is_loopback(host_name(request.headers.get("Host", ""))):
            return False
        if comes_by_proxy(tuple(request.headers)):
            return False
        peer = request.transport.get_extra_info("peername")
        local = request.transport.get_extra_info("sockname")
        return await asyncio.to_thread(is_own_peer, peer[:2], local[:2])

    def _let_in(self, request: web.Request, response: web.Response) -> None:
        response.set_cookie(
            self._cookie,
            self._access.session,
            max_age=400 * 86400,
            httponly=True,
            samesite="Strict",
            secure=request.headers.get("Origin", "").startswith("https:"),
            path="/",
        )

    def _response(self, asset: Asset) -> web.Response:
        return web.Response(
            body=asset.body,
            content_type=asset.content_type,
            charset="utf-8",
            headers={"ETag": f'"{asset.etag}"', "Cache-Control": "no-cache"},
        )
