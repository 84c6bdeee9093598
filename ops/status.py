"""How everything is: read from the bus itself and from the processes, so that no gateway is needed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from bus.settings import Settings
from ops import processes, roster, running
from schemas.errors import KaraisError, Unavailable
from schemas.health import Heartbeat

if TYPE_CHECKING:
    from bus.connection import Bus


class AgentStatus(Struct, frozen=True, kw_only=True):
    """One agent, or the bus, or what keeps them running."""

    name: str
    health: str
    """``ready``, ``starting``, ``degraded``, ``draining``; ``silent`` when a process gives no answer,
    ``missing`` when there is none."""
    detail: str = ""
    version: str = ""
    instance: str = ""
    node: str = ""
    pid: int = 0
    queued: int = 0
    """Messages that wait: in the agent and in its durable queue."""
    running: int = 0
    handled: int = 0
    failed: int = 0
    memory_bytes: int = 0
    """Proportional set size."""
    uptime_seconds: float = 0.0

    @property
    def well(self) -> bool:
        """Whether it does its work."""
        return self.health in ("ready", "up", "starting", "degraded", "draining")


class Status(Struct, frozen=True, kw_only=True):
    """Everything that ``karais status`` shows."""

    up: bool
    """``karais up`` keeps it running."""
    home: str
    url: str
    """Address of the page; empty when it was never started."""
    bus: str
    """Address of the bus; empty when it cannot be reached."""
    problem: str
    agents: tuple[AgentStatus, ...]


async def status(settings: Settings) -> Status:
    """Return how the KARAIS of this data folder is; never raises for what is down."""
    from bus.connection import connect
    from bus.identities import INSPECTOR
    from bus.server import url_of

    up = await asyncio.to_thread(running.is_up, settings)
    settings = await asyncio.to_thread(running.effective, settings)
    found = await asyncio.to_thread(processes.find, settings.home)
    record = running.read(settings)
    agents: list[AgentStatus] = [_process(p) for p in sorted(found, key=lambda p: p.name) if _keeps(p)]
    bus_url, problem = "", ""
    beats: dict[str, list[Heartbeat]] = {}
    answering: set[str] = set()
    waiting: dict[str, int] = {}
    try:
        if not settings.nats and not settings.keys.is_dir():
            raise Unavailable(f"No KARAIS was ever started in {settings.home}: start it by `karais up`.")
        async with connect(settings, INSPECTOR, wait=1.0) as bus:
            beats, answering, waiting = await _ask(bus)
            bus_url = _public(url_of(settings))
    except KaraisError as error:
        problem = str(error) if found or up else f"Nothing runs for {settings.home}: start it by `karais up`."
    leaders = {process.name: process for process in found if process.leader}
    known = list(roster.kinds()) + sorted(beats.keys() - set(roster.kinds()))
    for kind in known:
        alive = [_agent(beat, answering, waiting.get(kind, 0)) for beat in beats.get(kind, [])]
        agents += alive
        if not alive:
            process = leaders.get(kind)
            agents.append(_process(process) if process else AgentStatus(name=kind, health="missing"))
    return Status(
        up=up,
        home=str(settings.home),
        url=record.url if record and up else "",
        bus=bus_url,
        problem=problem,
        agents=tuple(agents),
    )


async def _ask(bus: Bus) -> tuple[dict[str, list[Heartbeat]], set[str], dict[str, int]]:
    """Return the heartbeats by kind, the instances that answer, and what waits in the queues."""
    from nats.errors import Error

    pings = asyncio.create_task(bus.gather("$SRV.PING", wait=0.5))
    beats: dict[str, list[Heartbeat]] = {}
    waiting: dict[str, int] = {}
    try:
        bucket = await bus.jetstream.key_value("nodes")
        for key in await bucket.keys():
            beat = msgspec.json.decode((await bucket.get(key)).value or b"", type=Heartbeat)
            beats.setdefault(beat.kind, []).append(beat)
    except (Error, msgspec.DecodeError, TimeoutError):
        pass  # No agent ever beat, or the bus laid out nothing yet: they are shown as missing.
    try:
        for consumer in await bus.jetstream.consumers_info("JOBS"):
            waiting[consumer.name] = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    except (Error, TimeoutError):
        pass
    answering = {str(reply.get("id", "")) for reply in await pings}
    return beats, answering, waiting


def _agent(beat: Heartbeat, answering: set[str], waiting: int) -> AgentStatus:
    silent = beat.instance not in answering
    return AgentStatus(
        name=beat.kind,
        health="silent" if silent else beat.state,
        detail=f"no answer; last heard {time.time() - beat.at:.0f} s ago" if silent else beat.detail,
        version=beat.version,
        instance=beat.instance,
        node=beat.node,
        pid=beat.pid,
        queued=beat.queued + waiting,
        running=beat.running,
        handled=beat.handled,
        failed=beat.failed,
        memory_bytes=beat.memory_bytes,
        uptime_seconds=max(0.0, time.time() - beat.started),
    )


def _keeps(process: processes.Found) -> bool:
    return process.name in ("guardian", "supervisor", "bus") and process.leader


def _process(process: processes.Found) -> AgentStatus:
    """Return what can be seen of a process from outside."""
    agent = process.name not in ("guardian", "supervisor", "bus")
    return AgentStatus(
        name=process.name,
        health="starting" if agent else "up",
        detail="no heartbeat yet" if agent else "",
        pid=process.pid,
        memory_bytes=memory_of(process.pid),
        uptime_seconds=processes.age(process.pid),
    )


def memory_of(pid: int) -> int:
    """Return a process's proportional set size in bytes; 0 when it is gone or another's."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def remote(answer: dict[str, Any]) -> tuple[AgentStatus, ...]:
    """Return the agents as a gateway elsewhere reports them."""
    found = []
    for service in answer.get("agents", ()):
        data = next((e.get("data") for e in service.get("endpoints", ()) if e.get("data")), None)
        if data:
            found.append(_agent(msgspec.convert(data, Heartbeat), {service.get("id", "")}, 0))
        else:
            version, instance = service.get("version", ""), service.get("id", "")
            found.append(
                AgentStatus(name=service.get("name", ""), health="ready", version=version, instance=instance)
            )
    missing = [kind for kind in roster.kinds() if kind not in {agent.name for agent in found}]
    return (*found, *(AgentStatus(name=kind, health="missing") for kind in missing))


def _public(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
