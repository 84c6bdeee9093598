"""Who gets into the gateway: key, cookie, host, origin, and the owner of a loopback connection."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from agents.gateway.access import Access, comes_by_proxy, host_name, is_own_peer, uid_of_socket
from agents.gateway.agent import Gateway
from bus.settings import Settings
from schemas.errors import KaraisError
from tests.peers import PlayedBrain, PlayedLibrarian, PlayedMemory

KEY = "k" * 43


@pytest.fixture
async def gateway(start_bus: Callable[..., Any], settings: Settings) -> AsyncIterator[Gateway]:
    bus = start_bus(Gateway, PlayedBrain, PlayedMemory, PlayedLibrarian)
    await bus.provision()
    gateway = Gateway(settings)
    async with bus.running(gateway, PlayedBrain(settings), PlayedMemory(settings), PlayedLibrarian(settings)):
        yield gateway


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with cookies, as a browser keeps them, and no key."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def test_the_owner_opens_the_page_and_is_in(gateway: Gateway, browser: aiohttp.ClientSession) -> None:
    """Before the page nothing is served; loading it gives a cookie that scripts cannot read."""
    url = gateway.address.url
    async with browser.get(f"{url}/api/v1/storage") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    async with browser.get(url) as response:
        assert response.status == 200
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    async with browser.get(f"{url}/api/v1/storage") as response:
        assert response.status == 200
    async with browser.ws_connect(f"{url}/ws", origin=url) as ws:
        await ws.send_json({"type": "watch"})
        assert (await ws.receive_json())["type"] == "watching"


async def test_a_websocket_without_key_or_cookie_is_refused(gateway: Gateway) -> None:
    """The upgrade itself fails with 401."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{gateway.address.url}/ws")
    assert caught.value.status == 401


@pytest.mark.parametrize("path", ["/", "/ws", "/api/v1/storage", "/static/app.js", "/healthz"])
async def test_a_foreign_host_name_reaches_nothing(
    gateway: Gateway, browser: aiohttp.ClientSession, path: str
) -> None:
    """A name that was rebound to this machine is refused, whatever it asks for."""
    headers = {"Host": f"evil.example:{gateway.address.port}"}
    async with browser.get(gateway.address.url + path, headers=headers) as response:
        assert response.status == 403
        assert "Set-Cookie" not in response.headers
        assert (await response.json())["code"] == "forbidden"


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null", "http://127.0.0.1"])
async def test_a_foreign_page_is_refused_even_with_the_cookie(
    gateway: Gateway, browser: aiohttp.ClientSession, origin: str
) -> None:
    """Another site's, or another local server's, page can neither connect nor post."""
    url = gateway.address.url
    async with browser.get(url):
        pass
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await browser.ws_connect(f"{url}/ws", origin=origin)
    assert caught.value.status == 403
    async with browser.post(f"{url}/api/v1/ask", json={"text": "a"}, headers={"Origin": origin}) as response:
        assert response.status == 403


async def test_the_page_does_not_let_in_who_comes_by_a_proxy(
    gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    """The socket of a proxy says nothing about who asks."""
    async with browser.get(gateway.address.url, headers={"X-Forwarded-For": "10.0.0.7"}) as response:
        assert response.status == 200
        assert "Set-Cookie" not in response.headers


async def test_the_key_signs_in(gateway: Gateway, browser: aiohttp.ClientSession, settings: Settings) -> None:
    """The form takes the right key alone."""
    url = gateway.address.url
    async with browser.post(f"{url}/session", json={"key": "x" * 43}) as response:
        assert response.status == 403
        assert "Set-Cookie" not in response.headers
    async with browser.post(f"{url}/session", json={"key": settings.api_key.read_text()}) as response:
        assert response.status == 204
    async with browser.get(f"{url}/api/v1/storage") as response:
        assert response.status == 200


async def test_every_reply_forbids_what_the_page_does_not_need(
    gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    """Scripts, styles and connections of this host only; no framing, no sniffing, no referrer."""
    for path in ("/", "/static/app.js", "/api/v1/storage", "/nothing"):
        async with browser.get(gateway.address.url + path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:7878", "localhost"),
        ("[::1]:7878", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("LOCALHOST.", "localhost"),
        ("a@localhost", ""),
        ("localhost/evil.example", ""),
        ("localhost:x", ""),
        ("", ""),
    ],
)
def test_host_headers_are_read_strictly(host: str, name: str) -> None:
    """What is no plain host is no host."""
    assert host_name(host) == name


def test_hosts_that_may_be_named() -> None:
    """Loopback, the bound address, the connection's own address and configured origins; nothing else."""
    access = Access(KEY, host="0.0.0.0", origins=["https://karais.home.example"])
    for host in (
        "127.0.0.9:1",
        "localhost",
        "x.localhost",
        "[::1]",
        "karais.home.example",
        "192.168.1.5:7878",
    ):
        access.check_host(host, "192.168.1.5")
    for host in ("", "example.org", "localhost.evil.example", "192.168.1.6", "0.0.0.0"):
        with pytest.raises(KaraisError):
            access.check_host(host, "192.168.1.5")


def test_origins_that_may_be_used() -> None:
    """The page's own and configured ones; a navigation without Origin is judged by Sec-Fetch-Site."""
    access = Access(KEY, origins=["https://karais.home.example"])
    access.check_origin(None, "localhost:7878")
    access.check_origin(None, "localhost:7878", "same-origin")
    access.check_origin("http://localhost:7878", "localhost:7878")
    access.check_origin("https://karais.home.example", "localhost:7878")
    for origin, site in (("http://localhost:7879", None), (None, "same-site"), (None, "cross-site")):
        with pytest.raises(KaraisError):
            access.check_origin(origin, "localhost:7878", site)


def test_keys_and_cookies() -> None:
    """The key as bearer and the cookie derived from it are known; anything else is not."""
    access = Access(KEY)
    assert access.knows(f"Bearer {KEY}", None)
    assert access.knows(None, access.session)
    for authorization, cookie in (
        (None, None),
        ("Bearer ", ""),
        (f"Basic {KEY}", None),
        (None, KEY),
        ("ü", "ü"),
    ):
        assert not access.knows(authorization, cookie)
    assert KEY not in access.session


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_says_whose_connection_it_is(family: socket.AddressFamily, address: str) -> None:
    """An open loopback connection of this user is recognised, over IPv4 and IPv6."""
    if family == socket.AF_INET6 and not os.path.exists("/proc/net/tcp6"):
        pytest.skip("this machine has no IPv6")
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]) as peer:
            connection, far = server.accept()
            with connection:
                assert uid_of_socket(far[:2], connection.getsockname()[:2]) == os.getuid()
                assert is_own_peer(far[:2], connection.getsockname()[:2])
                assert peer.getsockname()[1] == far[1]


def test_other_users_and_closed_connections_are_strangers(tmp_path: Any) -> None:
    """Only an established connection of this user or root counts; what is closed shows user 0."""
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
    line = "   0: 0100007F:C001 0100007F:1EC6 {state} 00000000:00000000 00:00000000 00000000 {uid} 0 1 1 0\n"
    peer, local = ("127.0.0.1", 0xC001), ("127.0.0.1", 7878)
    table = tmp_path / "tcp"
    for state, uid, own in (("01", os.getuid(), True), ("01", 54321, False), ("06", 0, False)):
        table.write_text(head + line.format(state=state, uid=uid))
        assert is_own_peer(peer, local, [str(table)]) is own
    assert not is_own_peer(("192.168.1.9", 1), local, [str(table)])
    assert not is_own_peer(peer, local, [str(tmp_path / "missing")])


def test_proxies_are_noticed() -> None:
    """Any header that proxies add counts, in any case."""
    assert comes_by_proxy(["host", "x-forwarded-for"])
    assert not comes_by_proxy(["Host", "Accept"])


async def test_websockets_are_not_compressed(gateway: Gateway, settings: Settings) -> None:
    """Tokens must not wait for each other: no permessage-deflate is agreed."""
    key = settings.api_key.read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.ws_connect(f"{gateway.address.url}/ws", compress=15) as ws,
    ):
        assert ws.compress == 0
