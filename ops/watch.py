"""The watch over agents: when they become ready, and whether they still answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from ops.keeper import Keeper
from schemas.health import Heartbeat

if TYPE_CHECKING:
    from bus.connection import Bus

PING_SECONDS = 5.0
MISSED_PINGS = 3


class Watch:
    """Follows heartbeats and pings; entered once the bus is there."""

    def __init__(self, bus: Bus, kinds: Iterable[str]) -> None:
        self.bus = bus
        self.beats: dict[str, Heartbeat] = {}
        self._ready = {kind: asyncio.Event() for kind in kinds}
        self._subscription: Any = None
        self._missed: dict[str, int] = {}

    async def __aenter__(self) -> Watch:
        """Listen to heartbeats."""
        self._subscription = await self.bus.client.subscribe("$KV.nodes.agent.>", cb=self._beat)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        with suppress(Exception):
            await self._subscription.unsubscribe()

    async def ready(self, kind: str) -> None:
        """Wait until an agent has been ready once."""
        await self._ready[kind].wait()

    async def all_ready(self) -> None:
        """Wait until every agent has been ready once."""
        for event in self._ready.values():
            await event.wait()

    async def _beat(self, message: Any) -> None:
        try:
            beat = msgspec.json.decode(message.data, type=Heartbeat)
        except msgspec.DecodeError:
            return
        self.beats[beat.kind] = beat
        if beat.state in ("ready", "degraded") and beat.kind in self._ready:
            self._ready[beat.kind].set()

    async def restart_hung(self, keepers: Iterable[Keeper]) -> None:
        """Ping for ever; end an agent whose event loop gave no answer three times.

        Only one that said it was ready: a model that loads may take its time.
        """
        while True:
            before = time.monotonic()
            try:
                replies = await self.bus.gather("$SRV.PING", wait=PING_SECONDS)
            except Exception:  # noqa: BLE001 - whatever the client raises while the bus is away
                await asyncio.sleep(PING_SECONDS)
                replies = []
            slept = time.monotonic() - before > 3 * PING_SECONDS  # so did the whole machine
            if not replies or not self.bus.connected or slept:
                self._missed.clear()
                continue
            answered = {reply.get("name") for reply in replies}
            for keeper in keepers:
                self._judge(keeper, keeper.unit.name in answered)

    def _judge(self, keeper: Keeper, answered: bool) -> None:
        kind, process = keeper.unit.name, keeper.process
        beat = self.beats.get(kind)
        was_ready = beat is not None and process is not None and beat.pid == process.pid
        if process is None or answered or not was_ready or (beat and beat.state == "starting"):
            self._missed[kind] = 0
            return
        self._missed[kind] = self._missed.get(kind, 0) + 1
        if self._missed[kind] >= MISSED_PINGS:
            self._missed[kind] = 0
            keeper.tell(f"{kind} hangs; starting it again.")
            process.kill()
