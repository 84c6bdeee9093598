"""The supervisor: keeps the bus and every agent running, adopts what runs already, stops all in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

from bus.tasks import end
from ops import processes
from ops.announce import Announcer
from ops.keeper import Keeper, Unit
from schemas.errors import KaraisError

STOP_SECONDS = 9.0
"""In which everything has ended after ``stop``, by SIGKILL if need be."""


class Supervisor:
    """Keeps units running, in stages. ``run`` returns when ``stop`` was called or nothing can run."""

    def __init__(self, announcer: Announcer) -> None:
        self.announcer = announcer
        self.keepers: dict[str, Keeper] = {}
        self.starting = True
        """Until everything ran once, a unit that cannot run ends the whole start."""
        self.failure: KaraisError | None = None
        self.stopping = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(
        self, unit: Unit, found: processes.Found | None = None, started: Callable[[], None] = lambda: None
    ) -> Keeper:
        """Keep a unit running from now on; a process that runs already is adopted if it fits, else ended."""
        keeper = Keeper(unit, self._tell, started)
        if not keeper.adopt(found) and found is not None:
            processes.end([found], grace=5.0)
        self.keepers[unit.name] = keeper
        self._tasks[unit.name] = asyncio.create_task(self._keep(keeper), name=f"keep {unit.name}")
        return keeper

    async def _keep(self, keeper: Keeper) -> None:
        try:
            await keeper.keep()
        except OSError as error:
            from ops.exits import explained

            keeper.gave_up = str(explained(error))
            self._tell(f"{keeper.unit.name} cannot run: {keeper.gave_up}")
        if keeper.gave_up and self.starting:
            from ops.exits import ConfigurationError

            self.fail(ConfigurationError(keeper.gave_up))

    def fail(self, error: KaraisError) -> None:
        """End everything because of this error."""
        if self.failure is None and not self.stopping.is_set():
            self.failure = error
        self.stopping.set()

    def _tell(self, sentence: str) -> None:
        if not self.stopping.is_set():
            self.announcer.say(sentence, style="33")

    async def stop(self) -> None:
        """End every process, last stage first, within ``STOP_SECONDS``."""
        self.stopping.set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_SECONDS
        stages = sorted({keeper.unit.stage for keeper in self.keepers.values()}, reverse=True)
        for number, stage in enumerate(stages):
            grace = max(0.2, deadline - loop.time()) / (len(stages) - number)
            members = [keeper for keeper in self.keepers.values() if keeper.unit.stage == stage]
            await asyncio.gather(*(keeper.stop(grace) for keeper in members))
        await end(self._tasks.values())


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, stop: asyncio.Event) -> bool:
    """Try a condition until it holds; return False after ``seconds`` or when ``stop`` is set."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not stop.is_set():
        if await condition():
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.05)
    return False


def stop_on_signals(supervisor: Supervisor) -> None:
    """Let SIGTERM, SIGINT and SIGHUP stop everything."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stopping.set)


def watch_guardian(guardian: int, gone: Callable[[], None]) -> None:
    """Call ``gone`` when the guardian, our parent, dies."""
    try:
        descriptor = os.pidfd_open(guardian)
        if os.getppid() != guardian:
            os.close(descriptor)
            raise ProcessLookupError
    except ProcessLookupError:
        asyncio.get_running_loop().call_soon(gone)
        return
    loop = asyncio.get_running_loop()

    def readable() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        gone()

    loop.add_reader(descriptor, readable)


async def answers_http(host: str, port: int, path: str, seconds: float = 2.0) -> int:
    """Return the status of a GET request, 0 when nothing answers. Spares the supervisor an HTTP library."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                await writer.drain()
                status = (await reader.readline()).split()
                return int(status[1]) if len(status) > 1 and status[1].isdigit() else 0
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0


def orphans(found: Sequence[processes.Found], wanted: Sequence[str]) -> list[processes.Found]:
    """Return helpers whose agent died, and processes that this version does not know any more."""
    living = {process.pid for process in found}
    keep = {"guardian", "supervisor"}
    return [
        process
        for process in found
        if process.name not in keep
        and (process.name not in wanted if process.leader else process.owner not in living)
    ]
