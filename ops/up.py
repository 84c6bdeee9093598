"""What ``karais up`` runs under its guardian: bus, streams, agents, and the watch over them.

    python -m ops.up [--json] [--stop]

Started by ``ops.guardian`` with the settings in its environment. A supervisor
that is started after another one died adopts what still runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from bus.settings import Settings, environment, load
from ops import exits, launch, light, processes, roster, running
from ops.announce import Announcer
from ops.bus_health import keep_writing
from ops.keeper import Unit
from ops.supervisor import (
    Supervisor,
    answers_http,
    orphans,
    stop_on_signals,
    until,
    watch_guardian,
)
from ops.version import version
from ops.watch import Watch
from schemas.errors import KaraisError, Unavailable

if TYPE_CHECKING:
    from bus.connection import Bus
    from bus.server import Plan

BUS = "bus"
BRAIN_FIRST_SECONDS = 8.0
READY_SECONDS = 120.0
LET_GO_SECONDS = 3.0
BUS_SECONDS = 8.0
RETRY_SECONDS = 1.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class Up:
    """One run of the supervisor over the real roster."""

    def __init__(
        self,
        settings: Settings,
        announcer: Announcer,
        entries: Sequence[roster.Entry] = roster.ROSTER,
        run: Sequence[str] = launch.RUN,
    ) -> None:
        self.settings = settings
        self.announcer = announcer
        self.entries = entries
        self.run_argv = run
        self.supervisor = Supervisor(announcer)
        self.began = time.monotonic()
        self._background: set[asyncio.Task[None]] = set()
        self._succeeds = False
        """Whether it follows a supervisor that died: then it waits for what is late, and gives nothing up."""

    @property
    def kinds(self) -> list[str]:
        """Names of the agents."""
        return [entry.kind for entry in self.entries]

    async def run(self) -> int:
        """Run until stopped; return the exit code."""
        supervisor = self.supervisor
        stop_on_signals(supervisor)
        if guardian := os.environ.get(launch.GUARDIAN):
            watch_guardian(int(guardian), self._guardian_died)
        main = asyncio.create_task(self._main(), name="up")
        stop = asyncio.create_task(supervisor.stopping.wait())
        await asyncio.wait({main, stop}, return_when=asyncio.FIRST_COMPLETED)
        if main.done() and (error := main.exception()):
            if not isinstance(error, KaraisError):
                if not isinstance(error, OSError):
                    raise error
                error = exits.explained(error)
            supervisor.fail(error)
        stop.cancel()
        if supervisor.failure is not None:
            self.announcer.problem(str(supervisor.failure))
        elif not main.done() or supervisor.keepers:
            self.announcer.say("Stopping.")
        main.cancel()
        # Whatever holds the main task up, such as a bus that does not let go: the processes are stopped.
        await asyncio.wait({main, stop}, timeout=LET_GO_SECONDS)
        await supervisor.stop()
        for process in processes.find(self.settings.home):
            if process.name not in ("guardian", "supervisor"):
                processes.end([process], grace=0.0)
        return exits.exit_code(supervisor.failure) if supervisor.failure else exits.OK

    async def _main(self) -> None:
        async with AsyncExitStack() as resources:
            found = await asyncio.to_thread(processes.find, self.settings.home)
            leaders = {process.name: process for process in found if process.leader}
            self._succeeds = bool(leaders.keys() - {"guardian", "supervisor"})
            if not self._succeeds:
                self.settings.card_memory.unlink(missing_ok=True)  # a card may be free again
            stray = orphans(found, [BUS, *self.kinds])
            await asyncio.to_thread(processes.end, stray, 2.0)
            bus = await self._bus(leaders.get(BUS), resources)
            self._address(leaders)
            watch = await resources.enter_async_context(Watch(bus, self.kinds))
            self._start_agents(range(2), leaders)
            self._spawn(self._start_rest(watch, leaders))
            await self._announce(sorted(leaders.keys() & self.supervisor.keepers.keys()))
            agents = [k for name, k in self.supervisor.keepers.items() if name != BUS]
            await watch.restart_hung(agents)

    async def _bus(self, found: processes.Found | None, resources: AsyncExitStack) -> Bus:
        """Start or adopt the own server, connect, and bring streams up to date."""
        from bus.identities import local_key

        await asyncio.to_thread(local_key, self.settings.api_key)
        if not self.settings.nats:
            plan = await asyncio.to_thread(self._plan, found)
            unit = Unit(BUS, plan.argv, self._environ(), self.settings.logs / "bus.log", stage=-1)
            keeper = self.supervisor.add(unit, found)
            self._spawn(keep_writing(keeper, plan.monitor_url, self.settings.bus))
        elif found is not None:
            await asyncio.to_thread(processes.end, [found], 2.0)
        bus = await self._insist(lambda: self._connect(resources))
        await self._insist(lambda: self._provision(bus))
        bus.reconnected.append(lambda: self._spawn(self._provision_again(bus)))
        return bus

    async def _connect(self, resources: AsyncExitStack) -> Bus:
        from bus.connection import connect
        from bus.identities import OPS

        try:
            return await resources.enter_async_context(connect(self.settings, OPS, wait=BUS_SECONDS))
        except Unavailable as error:
            keeper = self.supervisor.keepers.get(BUS)
            if keeper is None:
                raise
            log = keeper.unit.log
            if keeper.process is not None:
                raise Unavailable(f"The bus runs and does not answer: {error} (log: {log})") from None
            raise Unavailable(
                f"The bus did not start: {processes.last_line(log) or error} (log: {log})."
            ) from None

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what an attempt gives. A first start fails with it; a successor tries again for ever."""
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                if not self._succeeds:
                    raise
                self.announcer.say(str(error), style="33")
                await asyncio.sleep(RETRY_SECONDS)

    def _plan(self, found: processes.Found | None) -> Plan:
        from bus import server

        if found is not None:
            # Its ports are taken by itself: choosing them again would move the bus.
            monitor = json.loads((self.settings.bus / "ports.json").read_bytes())[1]
            return server.Plan(
                argv=(str(server.program()), "-c", str(self.settings.bus / "nats-server.conf")),
                url=server.url_of(self.settings),
                monitor_url=f"http://{server.LOOPBACK}:{monitor}",
            )
        return server.prepare(self.settings, roster.load_all(self.entries))

    async def _provision(self, bus: Bus) -> None:
        from nats.errors import Error

        from bus.streams import provision

        try:
            await provision(bus.jetstream, await asyncio.to_thread(roster.load_all, self.entries))
        except (Error, OSError, TimeoutError) as error:
            reason = str(error).strip() or type(error).__name__
            raise Unavailable(f"The bus could not lay out its streams: {reason}.") from error

    async def _provision_again(self, bus: Bus) -> None:
        """Make anew the streams in memory, which a restarted server does not have."""
        while bus.connected:
            try:
                await self._provision(bus)
            except Unavailable as error:
                self.announcer.say(str(error), style="33")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _address(self, leaders: dict[str, processes.Found]) -> None:
        """Choose the gateway's port when any will do, the one that was used before if it can be."""
        from bus.server import is_free

        if self.settings.port == 0:
            from msgspec.structs import replace

            known = running.read(self.settings)
            port = int(known.settings.get("KARAIS_PORT", "0")) if known else 0
            if not port or ("gateway" not in leaders and not is_free(port, self.settings.host)):
                port = _free_port(self.settings.host)
            self.settings = replace(self.settings, port=port)
        running.write(self.settings, version=version(), url=self.url, command=_own_command())

    @property
    def url(self) -> str:
        """Address of the chat page."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.settings.host, self.settings.host)  # noqa: S104
        return f"http://{host}:{self.settings.port}/"

    def _environ(self) -> dict[str, str]:
        facts = {"PYTHONUNBUFFERED": "1", "KARAIS_VERSION": version()}
        # Two pools of the C allocator instead of one a thread: torch's and LanceDB's threads would
        # each keep what they once needed (60 MB in all, measured).
        facts["MALLOC_ARENA_MAX"] = "2"
        return launch.environ(environment(self.settings) | facts)

    def _start_agents(self, stages: range, leaders: dict[str, processes.Found]) -> None:
        environ = self._environ()
        for entry in self.entries:
            if entry.stage in stages:
                argv = (*self.run_argv, entry.kind)
                log = self.settings.logs / f"{entry.kind}.log"
                unit = Unit(entry.kind, argv, environ, log, entry.stage)
                self.supervisor.add(unit, leaders.get(entry.kind))

    async def _start_rest(self, watch: Watch, leaders: dict[str, processes.Found]) -> None:
        """Start what would slow the brain's start down, and wait until everything is ready."""
        with suppress(TimeoutError):
            await asyncio.wait_for(watch.ready("brain"), BRAIN_FIRST_SECONDS)
        self._start_agents(range(2, 99), leaders)
        with suppress(TimeoutError):
            await asyncio.wait_for(watch.all_ready(), READY_SECONDS)
        self.supervisor.starting = False

    async def _announce(self, adopted: Sequence[str]) -> None:
        """Wait for the page and tell where it is."""
        settings = self.settings
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104

        async def healthy() -> bool:
            return await answers_http(host, settings.port, "/healthz") == 200

        async def opened() -> None:
            if not await until(healthy, 60, self.supervisor.stopping):
                raise Unavailable(
                    f"The gateway does not answer at {self.url} after 60 s: "
                    f"see {settings.logs / 'gateway.log'}."
                )

        await self._insist(opened)
        seconds = time.monotonic() - self.began
        if adopted:
            self.announcer.say(f"Took over {len(adopted)} running processes: {', '.join(adopted)}.")
        self.announcer.say(f"KARAIS is up ({seconds:.1f} s): {self.url}", style="1;32")
        self.announcer.fact(
            url=self.url,
            home=str(settings.home),
            storage=str(settings.storage or ""),
            seconds=round(seconds, 2),
        )

    def _guardian_died(self) -> None:
        """Start a new guardian, and leave everything to the supervisor that it starts."""
        if self.supervisor.stopping.is_set():
            return
        self.announcer.say("The guardian was killed; a new one takes over.", style="33")
        launch.start_guardian(self.settings.run, _own_command(), {})
        os._exit(exits.OK)


def _own_command() -> list[str]:
    return [sys.executable, *(argument for argument in sys.orig_argv[1:] if argument != "--stop")]


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


async def _to_the_end(up: Up) -> NoReturn:
    """Run, then leave at once: every process has ended, and no task or thread of ours may delay that."""
    code = await up.run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(
    options: list[str], entries: Sequence[roster.Entry] = roster.ROSTER, run: Sequence[str] = launch.RUN
) -> int:
    """Run the supervisor; return the exit code."""
    settings = load()
    announcer = Announcer(settings.logs / "supervisor.log", as_json="--json" in options)
    lock = running.supervisor_lock(settings)
    deadline = time.monotonic() + 5
    while not lock.take():
        if time.monotonic() > deadline:
            announcer.problem(running.already_up(settings))
            return exits.FAILURE
        time.sleep(0.02)
    if "--stop" in options:
        everything = processes.find(settings.home)
        processes.end([p for p in everything if p.name not in ("guardian", "supervisor")], grace=5.0)
        return exits.OK
    logging.basicConfig(level=logging.CRITICAL)
    light.import_nats(settings.nats)
    try:
        return asyncio.run(_to_the_end(Up(settings, announcer, entries, run)))
    except Exception:
        log.critical("The supervisor failed", exc_info=True)
        return exits.DEFECT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
