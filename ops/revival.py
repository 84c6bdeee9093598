"""What an agent does when both that keep it running were killed: it starts a guardian again.

Supervisor and guardian bring each other back. Killed within the same second
or two, while one of them starts, neither can; whoever of the household is
left does it then. Several may try: a lock lets one guardian run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bus.settings import Settings
from bus.tasks import end
from ops import launch, processes, running

log = logging.getLogger("karais")

GRACE_SECONDS = 8.0
"""Longer than the pause that a guardian makes before it starts a supervisor that ends again and again."""
CHIEFS = ("guardian", "supervisor")


@asynccontextmanager
async def reviving(settings: Settings) -> AsyncIterator[None]:
    """Watch over guardian and supervisor while the block runs, in a process that a supervisor started."""
    if launch.NAME not in os.environ:  # such as systemd's, which watches itself
        yield
        return
    task = asyncio.create_task(_watch(settings))
    try:
        yield
    finally:
        await end([task])


async def _watch(settings: Settings) -> None:
    while True:
        # After one of them ended, they have this time to mend it, and so has another agent.
        await asyncio.sleep(GRACE_SECONDS * (1 + random.random()))  # noqa: S311  # no secret
        with contextlib.ExitStack() as opened:
            if chiefs := await asyncio.to_thread(_chiefs, settings, opened):
                await _any_ended(chiefs)
            else:
                await asyncio.to_thread(_revive, settings)


async def _any_ended(descriptors: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for descriptor in descriptors:
        loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


def _chiefs(settings: Settings, opened: contextlib.ExitStack) -> list[int]:
    """Return descriptors of the guardian and the supervisor, as far as they run."""
    descriptors = []
    for process in processes.find(settings.home):
        if process.leader and process.name in CHIEFS:
            with contextlib.suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(process.pid))
                opened.callback(os.close, descriptors[-1])
    return descriptors


def _revive(settings: Settings) -> None:
    record = running.read(settings)
    if record is None or not record.command:
        return
    log.warning("Guardian and supervisor were killed; starting them again.")
    launch.start_guardian(settings.run, record.command, record.settings)
