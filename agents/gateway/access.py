"""Who may speak to the gateway: the owner of this machine's key, from this machine's own page.

Three things are checked, each against another attack:

- ``Host`` must name this machine, so that a foreign name that was rebound to a
  loopback address reaches nothing.
- ``Origin``, which browsers always send with what can change something and
  with WebSockets, must be the page's own.
- The local key, as a bearer token or as a cookie derived from it. The page of
  the user who runs the gateway gets the cookie by itself: the kernel says who
  owns the other end of a loopback connection.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from schemas.errors import KaraisError
from schemas.failure import Code

_ESTABLISHED = "01"
_KERNEL_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")

Address = tuple[str, int]


class Access:
    """Checks requests; ``key`` is the local key, ``origins`` further places the page may come from."""

    def __init__(self, key: str, *, host: str = "127.0.0.1", origins: Sequence[str] = ()) -> None:
        self._key = key.encode()
        self._session = hmac.new(self._key, b"karais session 1", hashlib.sha256).hexdigest()
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._hosts = {host.strip("[]").lower()} - {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        self._hosts |= {urlsplit(origin).hostname or "" for origin in self._origins} - {""}

    @property
    def session(self) -> str:
        """Value of the session cookie."""
        return self._session

    def check_host(self, host: str, local: str) -> None:
        """Refuse a request whose ``Host`` names another machine; ``local`` is the address it came in on."""
        name = host_name(host)
        if name and (is_loopback(name) or name in self._hosts or name == local.partition("%")[0].lower()):
            return
        raise KaraisError(
            f"The host name {name[:100]!r} is not one of this KARAIS; use its address, "
            "or add the origin to `origins` in karais.toml.",
            code=Code.FORBIDDEN,
        )

    def check_origin(self, origin: str | None, host: str, site: str | None = None) -> None:
        """Refuse what another site's page sends; ``site`` is the browser's ``Sec-Fetch-Site``."""
        if origin is None:
            foreign = site in ("cross-site", "same-site")
        else:
            place = origin.lower()
            own = (f"http://{host.lower()}", f"https://{host.lower()}")
            foreign = place not in own and place not in self._origins
        if foreign:
            raise KaraisError(
                f"Requests from the page {(origin or 'of another site')[:100]!r} are not taken; "
                "add its origin to `origins` in karais.toml if it is yours.",
                code=Code.FORBIDDEN,
            )

    def knows(self, authorization: str | None, cookie: str | None) -> bool:
        """Tell whether a request carries the key or the session cookie."""
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() == "bearer" and self.is_key(token.strip()):
                return True
        return cookie is not None and hmac.compare_digest(cookie.encode(), self._session.encode())

    def is_key(self, candidate: str) -> bool:
        """Compare with the local key, in constant time."""
        return hmac.compare_digest(candidate.encode(), self._key)


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without port and brackets; empty when it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.path or parts.query or parts.fragment or "@" in host:
        return ""
    return (parts.hostname or "").rstrip(".").lower()


def is_loopback(name: str) -> bool:
    """Tell whether a name or address is this machine's loopback."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def comes_by_proxy(headers: Sequence[str]) -> bool:
    """Tell whether a proxy passed the request on, so that its socket says nothing about who asks."""
    present = {name.lower() for name in headers}
    return any(name.lower() in present for name in _PROXY_HEADERS)


def is_own_peer(peer: Address, local: Address, tables: Sequence[str] = _KERNEL_TABLES) -> bool:
    """Tell whether the socket at ``peer`` belongs to this process' user, or to root, on this machine.

    Reads the kernel's socket tables: call it outside the event loop.
    """
    address = _address(peer[0])
    if address is None or not address.is_loopback:
        return False
    uid = uid_of_socket(peer, local, tables)
    return uid is not None and uid in (os.getuid(), 0)


def uid_of_socket(peer: Address, local: Address, tables: Sequence[str] = _KERNEL_TABLES) -> int | None:
    """Return the user id that owns the socket bound to ``peer`` and connected to ``local``."""
    near, far = _kernel_names(peer), _kernel_names(local)
    for table in tables:
        try:
            with open(table, encoding="ascii") as lines:
                for line in lines:
                    columns = line.split()
                    # Only an open connection's entry names its owner: closed ones show user 0.
                    if columns[1] in near and columns[2] in far and columns[3] == _ESTABLISHED:
                        return int(columns[7])
        except (OSError, ValueError, IndexError):
            continue  # no such table: IPv6 is off, or this is no Linux
    return None


def _kernel_names(end: Address) -> set[str]:
    """Return how the kernel's tables may write an address, such as ``0100007F:1F90``."""
    address = _address(end[0])
    if address is None:
        return set()
    forms = [address.packed]
    if address.version == 4:
        forms.append(b"\0" * 10 + b"\xff\xff" + address.packed)
    step = -1 if sys.byteorder == "little" else 1  # each word of 4 bytes stands in the machine's order
    return {
        "".join(raw[i : i + 4][::step].hex() for i in range(0, len(raw), 4)).upper() + f":{end[1]:04X}"
        for raw in forms
    }


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return _plain(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _plain(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address inside an IPv4-mapped one."""
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address
