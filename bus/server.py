"""The own nats-server: its configuration from the identities, its address, its program.

Loopback only, JetStream synced to disk at each write, one user with its own
nkey and permissions an agent. ``ops`` starts and supervises the process.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bus.agent import Agent
from bus.identities import Permissions, identities, public_key, seed
from bus.settings import Settings
from schemas.errors import KaraisError
from schemas.failure import Code

LOOPBACK = "127.0.0.1"
MAX_PAYLOAD = 8 * 2**20


@dataclass(frozen=True)
class Plan:
    """How to start the server and where it will be."""

    argv: tuple[str, ...]
    url: str
    monitor_url: str


def prepare(settings: Settings, agents: Iterable[type[Agent]]) -> Plan:
    """Write the server's configuration and return how to start it.

    The ports are chosen once and kept, so that agents find a restarted server
    where it was. Raises KaraisError when there is no program or no port.
    """
    settings.bus.mkdir(parents=True, exist_ok=True, mode=0o700)
    port, monitor = _ports(settings)
    users = {
        name: (public_key(seed(settings.keys, name)), allowed) for name, allowed in identities(agents).items()
    }
    file = settings.bus / "nats-server.conf"
    file.write_text(_configuration(settings, port, monitor, users), "utf-8")
    return Plan(
        argv=(str(program()), "-c", str(file)),
        url=f"nats://{LOOPBACK}:{port}",
        monitor_url=f"http://{LOOPBACK}:{monitor}",
    )


def url_of(settings: Settings) -> str:
    """Return the URL of the bus: the owner's choice, or the own server as it was last prepared."""
    if settings.nats:
        return settings.nats
    try:
        port, _ = json.loads((settings.bus / "ports.json").read_text("ascii"))
    except (OSError, ValueError):
        raise KaraisError(
            f"No bus is known in {settings.home}: start KARAIS by `karais up`, or name a server by --nats.",
            code=Code.UNAVAILABLE,
        ) from None
    return f"nats://{LOOPBACK}:{port}"


def program() -> Path:
    """Return the path of nats-server: the one installed beside this Python, else the one in PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise KaraisError(
            "The program nats-server is not installed: install `karais[server]`, or name a running "
            "server by --nats.",
            code=Code.UNAVAILABLE,
        )
    return Path(found)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a TCP port can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _ports(settings: Settings) -> tuple[int, int]:
    """Return the client and the monitoring port, the ones used before if they are still free."""
    file = settings.bus / "ports.json"
    if settings.bus_port:
        if not is_free(settings.bus_port):
            raise KaraisError(
                f"Port {settings.bus_port} for the bus is in use: choose another by bus_port in "
                f"{settings.home / 'karais.toml'}.",
                code=Code.UNAVAILABLE,
            )
        ports = (settings.bus_port, _free_port())
    else:
        try:
            known = json.loads(file.read_text("ascii"))
            ports = (int(known[0]), int(known[1]))
        except (OSError, ValueError, IndexError, TypeError):
            ports = (0, 0)
        ports = tuple(port if port and is_free(port) else _free_port() for port in ports)  # type: ignore[assignment]
    file.write_text(json.dumps(ports), "ascii")
    return ports


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def _configuration(
    settings: Settings, port: int, monitor: int, users: dict[str, tuple[str, Permissions]]
) -> str:
    """Return the server's configuration. Strings are JSON, which its format contains."""
    lines = [
        f"server_name: {json.dumps(_server_name(settings))}",
        f"listen: {json.dumps(f'{LOOPBACK}:{port}')}",
        f"http: {json.dumps(f'{LOOPBACK}:{monitor}')}",
        f"max_payload: {MAX_PAYLOAD}",
        "jetstream {",
        f"  store_dir: {json.dumps(str(settings.bus))}",
        "  sync_interval: always",
        "}",
        "authorization {",
        "  users = [",
    ]
    for name, (key, allowed) in users.items():
        rules = [f"publish: {{allow: {json.dumps(allowed.publish)}}}"]
        rules.append(f"subscribe: {{allow: {json.dumps(allowed.subscribe)}}}")
        if allowed.responses:
            # A handler may take long and answer late; one reply to each request.
            rules.append('allow_responses: {max: 1, expires: "10m"}')
        lines.append(f"    # {name}")
        lines.append(f"    {{nkey: {key}, permissions: {{{', '.join(rules)}}}}}")
    lines += ["  ]", "}", ""]
    return "\n".join(lines)


def _server_name(settings: Settings) -> str:
    """Return a name that stays the same over restarts, as JetStream needs it."""
    return f"karais-{socket.gethostname()}"
