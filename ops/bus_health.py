"""The watch over the own bus: one that cannot write any more is started again once there is room.

After a full disk a stream of nats-server 2.15 goes on refusing what is
published, without a reply, even when there is room again; only a new process
helps. Its health check tells.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from ops.keeper import Keeper
from ops.supervisor import answers_http

CHECK_SECONDS = 3.0
ROOM_BYTES = 16 * 2**20
"""Less free space than this counts as a full disk."""


async def keep_writing(keeper: Keeper, monitor_url: str, folder: Path) -> None:
    """Look for ever; end the bus, so that it is started again, when it is ill and there is room."""
    address = urlsplit(monitor_url)
    assert address.hostname
    assert address.port
    ill_before = told = False
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        full = shutil.disk_usage(folder).free < ROOM_BYTES
        if full and not told:
            keeper.tell(f"The disk of {folder} is full: free some space; until then nothing can be kept.")
        told = full
        ill = await answers_http(address.hostname, address.port, "/healthz") == 503
        if ill and ill_before and not full and keeper.process is not None:
            keeper.tell("The bus cannot write although there is room again; starting it again.")
            keeper.process.kill()
            ill = False
        ill_before = ill
