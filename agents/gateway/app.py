"""The gateway's aiohttp application: routes, and what holds for every request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, web

from agents.gateway.access import Access
from agents.gateway.completing import ClientGoneError
from agents.gateway.failures import failure_response
from agents.gateway.live import Live
from agents.gateway.mcp import Mcp
from agents.gateway.mcp_tools import McpTools
from agents.gateway.page import Page
from agents.gateway.rest import Rest
from agents.gateway.websocket import Socket
from schemas.errors import KaraisError
from schemas.failure import Code, Failure
from schemas.web import WEBSOCKET_PATH

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES = 512 * 1024
"""Of a body, unless it is a prompt that its client keeps: see ``codec.MAX_PROMPT_BYTES``."""
MAX_SOCKETS = 512
OPEN_PATHS = ("/healthz", "/api/v1/healthz", "/session")
"""What needs no key, beside the page's own files."""


class Site:
    """The application and the sockets that are open in it."""

    def __init__(self, rest: Rest, live: Live, access: Access, cookie: str) -> None:
        self._rest = rest
        self._live = live
        self._access = access
        self._cookie = cookie
        self._sockets: set[Socket] = set()

    def application(self) -> web.Application:
        """Assemble the application."""
        app = web.Application(middlewares=[self._finish, self._admit], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_secure)
        app.add_routes([web.get(WEBSOCKET_PATH, self._websocket)])
        app.add_routes(Page(self._access, self._cookie).routes())
        app.add_routes(self._rest.routes())
        app.add_routes(Mcp(McpTools(self._rest)).routes())
        return app

    async def close(self) -> None:
        """Ask every page to come back later."""
        for socket in tuple(self._sockets):
            await socket.close(WSCloseCode.GOING_AWAY, "KARAIS stops or restarts.")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= MAX_SOCKETS:
            raise KaraisError(f"{MAX_SOCKETS} connections are open: close some.", code=Code.BUSY)
        socket = Socket(self._rest.bus, self._live)
        self._sockets.add(socket)
        try:
            return await socket.run(request)
        finally:
            self._sockets.discard(socket)

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        local = request.transport.get_extra_info("sockname")[0] if request.transport else ""
        self._access.check_host(host, local)
        public = request.path == "/" or request.path.startswith("/static/")
        site = None if public else request.headers.get("Sec-Fetch-Site")
        self._access.check_origin(request.headers.get("Origin"), host, site)
        if not public and request.path not in OPEN_PATHS:
            authorization = request.headers.get("Authorization")
            if not self._access.knows(authorization, request.cookies.get(self._cookie)):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="KARAIS"'})
        return await handler(request)

    @web.middleware
    async def _finish(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except KaraisError as error:
            response = failure_response(error.failure(), request.path)
        except web.HTTPException as error:
            response = failure_response(_of_http(error), request.path, error.status)
            for name in ("WWW-Authenticate", "Allow"):
                if name in error.headers:
                    response.headers[name] = error.headers[name]
        except ClientGoneError:
            response = web.Response(status=499)  # nobody reads it
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            failure = Failure(code=Code.INTERNAL, message="The gateway failed; its log says why.")
            response = failure_response(failure, request.path)
        return response


def _of_http(error: web.HTTPException) -> Failure:
    match error.status:
        case 401:
            code, message = (
                Code.FORBIDDEN,
                "The local key is missing or wrong: send `Authorization: Bearer KEY` "
                "with the key from `keys/api.key` of KARAIS' data folder.",
            )
        case 404:
            code, message = Code.NOT_FOUND, "There is nothing at this path; /api/v1/openapi.json lists all."
        case 413:
            code, message = Code.TOO_LARGE, f"The body may have {MAX_BODY_BYTES} bytes: send less."
        case _:
            code, message = Code.INVALID, f"{error.reason}."
    return Failure(code=code, message=message)


async def _secure(request: web.Request, response: web.StreamResponse) -> None:
    """Add to every response, streamed ones too, what browsers shall forbid."""
    response.headers.update(_security_headers(request.headers.get("Host", "")))


def _security_headers(host: str) -> dict[str, str]:
    # Older Safaris do not count ws: as 'self', so the socket's address is named.
    # A host that was refused never gets here unquoted: it is only echoed when it is plain.
    plain = host if host and all(c.isalnum() or c in ".-:[]" for c in host) else ""
    sockets = f" ws://{plain} wss://{plain}" if plain else ""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{sockets}; font-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), payment=(), usb=()",
        "X-Frame-Options": "DENY",
        "Server": "KARAIS",
    }
