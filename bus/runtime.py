"""Runs an agent: connects it, feeds its handlers, reports how it is, drains it.

A handler that raises KaraisError answers with that failure; any other
exception is a defect: logged once with its trace, sent as ``internal``
without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import inspect
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import msgspec
from nats.aio.msg import Msg

from bus import codec
from bus.agent import Agent, Answers, Every, Follows, Hears, Works, declarations
from bus.connection import Bus, connect
from bus.follow import follow
from bus.micro import EndpointStats, Service
from bus.subjects import pattern_of, rpc_subject, verb
from bus.tasks import end
from bus.work import Undertaker, Worker
from schemas.base import Message
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code, Failure
from schemas.health import Heartbeat

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
HEARTBEAT_TTL_SECONDS = 25
DRAIN_SECONDS = 8.0
WAITING_LIMIT = 1024
"""Requests that may wait at one endpoint; beyond, they are refused as busy."""
QUEUE_GROUP = "q"


def version() -> str:
    """Return the version of KARAIS that runs."""
    return importlib.metadata.version("karais")


async def serve(agent: Agent, *, stop: asyncio.Event | None = None) -> None:
    """Run an agent until ``stop`` is set, or SIGTERM or SIGINT comes, then drain it.

    Raises Unavailable when the agent gave up.
    """
    stopping = stop or asyncio.Event()
    if stop is None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
    async with connect(agent.settings, agent.kind) as bus:
        agent.bus = bus
        async with AsyncExitStack() as resources:
            running = _Running(agent, bus)
            await running.start(resources, stopping)
            waits = [asyncio.create_task(event.wait()) for event in (stopping, agent.given_up)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await running.drain()
    if agent.given_up.is_set():
        raise Unavailable(f"The agent {agent.kind} gave up: {agent.condition.detail}")


class _Running:
    """One agent at work."""

    def __init__(self, agent: Agent, bus: Bus) -> None:
        self.agent = agent
        self.bus = bus
        self.started = time.time()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.loops: list[asyncio.Task[None]] = []
        self.subscriptions: list[Any] = []
        self.handled = 0
        self.failed = 0
        self.service = Service(
            name=agent.kind,
            id=bus.instance,
            version=version(),
            description=(inspect.getdoc(type(agent)) or agent.kind).split("\n")[0],
            condition=lambda: cast(dict[str, Any], msgspec.to_builtins(self.heartbeat())),
        )

    async def start(self, resources: AsyncExitStack, stopping: asyncio.Event) -> None:
        """Start the agent, then open its endpoints: nobody is answered before it can."""
        self.subscriptions += await self.service.listen(self.bus.client)
        self.loops.append(asyncio.create_task(self._beat()))
        starting = asyncio.create_task(self.agent.start(resources))
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        if stopping.is_set():
            return
        for name, declaration in declarations(self.agent):
            handler: Callable[..., Awaitable[Any]] = getattr(self.agent, name)
            match declaration:
                case Answers(message, slots):
                    await self._open_endpoint(message, handler, slots)
                case Works(message, slots):
                    worker = Worker(self.bus, self.agent.kind, message, handler, self._count)
                    self.loops += [asyncio.create_task(worker.run()) for _ in range(slots)]
                    self.loops.append(
                        asyncio.create_task(Undertaker(self.bus, self.agent.kind, worker).run())
                    )
                case Follows(messages):
                    position = self.agent.followed_until
                    self.loops.append(asyncio.create_task(follow(self.bus, messages, handler, position)))
                case Hears(messages):
                    for subject in sorted({pattern_of(m) for m in messages}):
                        callback = self._hearer(messages, handler)
                        self.subscriptions.append(await self.bus.client.subscribe(subject, cb=callback))
                case Every(seconds):
                    self.loops.append(asyncio.create_task(self._repeat(name, handler, seconds)))
        await self.bus.client.flush()
        if self.agent.condition.state == "starting":
            self.agent.condition.state = "ready"
        await self._send_heartbeat()
        log.info("%s is ready", self.bus.instance)

    async def drain(self) -> None:
        """Take nothing new, let what runs end, at most for DRAIN_SECONDS."""
        self.agent.condition.state = "draining"
        for subscription in self.subscriptions:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
        await end(self.loops)
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.agent.drain()
                if self.tasks:
                    await asyncio.wait(self.tasks)
        except TimeoutError:
            log.warning("%d handlers did not end in time and are cut off", len(self.tasks))
            for handling in self.tasks:
                handling.cancel()

    async def _open_endpoint(
        self, message: type[Message], handler: Callable[..., Awaitable[Any]], slots: int
    ) -> None:
        """Answer requests of one type, to any instance and to this one."""
        stats = EndpointStats(
            name=verb(message),
            subject=rpc_subject(message),
            queue_group=QUEUE_GROUP,
            description=(inspect.getdoc(message) or "").split("\n")[0],
        )
        self.service.endpoints.append(stats)
        endpoint = _Endpoint(self, message, handler, slots, stats)
        client = self.bus.client
        self.subscriptions.append(
            await client.subscribe(stats.subject, queue=QUEUE_GROUP, cb=endpoint.receive)
        )
        direct = rpc_subject(message, self.bus.instance)
        self.subscriptions.append(await client.subscribe(direct, cb=endpoint.receive))

    def _hearer(
        self, messages: tuple[type[Message], ...], handler: Callable[..., Awaitable[Any]]
    ) -> Callable[[Msg], Awaitable[None]]:
        async def hear(message: Msg) -> None:
            try:
                decoded = codec.decode(messages, message.data, message.headers)
            except KaraisError as error:
                self._count(failed=True)
                log.warning("left out a message on %s: %s", message.subject, error)
                return
            self.spawn(_logged(handler(decoded), message.subject))

        return hear

    def spawn(self, work: Awaitable[Any]) -> None:
        """Run a handler as a task that drain waits for."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _count(self, *, failed: bool) -> None:
        self.handled += 1
        self.failed += failed

    async def _repeat(self, name: str, handler: Callable[[], Awaitable[Any]], seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await _logged(handler(), name)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self._send_heartbeat()

    async def _send_heartbeat(self) -> None:
        if not self.bus.connected:
            return
        beat = self.heartbeat()
        with contextlib.suppress(Exception):  # the next beat comes anyway
            await self.bus.client.publish(
                f"$KV.nodes.agent.{beat.kind}.{beat.instance}",
                msgspec.json.encode(beat),
                headers={"Nats-TTL": f"{HEARTBEAT_TTL_SECONDS}s"},
            )

    def heartbeat(self) -> Heartbeat:
        """Return how the agent is now."""
        condition = self.agent.condition
        return Heartbeat(
            kind=self.agent.kind,
            instance=self.bus.instance,
            node=socket.gethostname(),
            version=version(),
            pid=os.getpid(),
            started=self.started,
            at=time.time(),
            state=cast(Any, condition.state),
            detail=condition.detail,
            running=len(self.tasks),
            queued=condition.queued(),
            handled=self.handled,
            failed=self.failed,
            memory_bytes=memory_bytes(),
        )


class _Endpoint:
    """Requests of one type: decoded, handled as bounded tasks, answered."""

    def __init__(
        self,
        running: _Running,
        message: type[Message],
        handler: Callable[..., Awaitable[Any]],
        slots: int,
        stats: EndpointStats,
    ) -> None:
        self.running = running
        self.types = (message,)
        self.handler = handler
        self.slots = asyncio.Semaphore(slots)
        self.limit = slots + WAITING_LIMIT
        self.inside = 0
        self.stats = stats

    async def receive(self, message: Msg) -> None:
        """Take one request from the bus; never blocks the subscription."""
        if self.inside >= self.limit:
            text = f"The agent {self.running.agent.kind} has {self.inside} requests waiting; ask again later."
            await self._refuse(message, Failure(code=Code.BUSY, message=text))
            return
        self.inside += 1
        self.running.spawn(self._handle(message))

    async def _handle(self, message: Msg) -> None:
        try:
            async with self.slots:
                begun = time.perf_counter_ns()
                try:
                    request = codec.decode(self.types, message.data, message.headers)
                    reply = await self.handler(request)
                except KaraisError as error:
                    await self._refuse(message, error.failure())
                except Exception:
                    log.exception("%s failed", message.subject)
                    text = f"{self.stats.subject} failed unexpectedly; its log says why."
                    await self._refuse(message, Failure(code=Code.INTERNAL, message=text))
                else:
                    payload, headers = codec.encode(reply)
                    if message.reply:
                        await self.running.bus.client.publish(message.reply, payload, headers=headers)
                    self.running._count(failed=False)
                    self.stats.num_requests += 1
                self.stats.processing_time += time.perf_counter_ns() - begun
        finally:
            self.inside -= 1

    async def _refuse(self, message: Msg, failure: Failure) -> None:
        self.running._count(failed=True)
        self.stats.num_requests += 1
        self.stats.num_errors += 1
        self.stats.last_error = f"{failure.code.http_status}:{failure.message}"
        if message.reply:
            payload, headers = codec.encode_failure(failure)
            with contextlib.suppress(Exception):  # the asker is gone or the bus is; it will time out
                await self.running.bus.client.publish(message.reply, payload, headers=headers)


async def _logged(work: Awaitable[Any], what: str) -> None:
    try:
        await work
    except KaraisError as error:
        log.warning("%s: %s", what, error)
    except Exception:
        log.exception("%s failed", what)


def memory_bytes() -> int:
    """Return this process's proportional set size in bytes, or its resident size elsewhere."""
    try:
        for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import psutil

    return int(psutil.Process().memory_info().rss)
