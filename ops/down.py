"""Stopping everything, in whatever state it is."""

from __future__ import annotations

import os
import signal
import time

from bus.settings import Settings
from ops import processes

PATIENCE_SECONDS = 12.0


def down(settings: Settings) -> int:
    """Stop every process of the KARAIS in this data folder; return how many there were. Blocks.

    A supervisor stops the others in order. Where it or its guardian is gone,
    or hangs, what is left is ended directly.
    """
    found = processes.find(settings.home)
    own = {os.getpid(), os.getppid()}
    found = [process for process in found if process.pid not in own]
    chiefs = [process for process in found if process.name in ("guardian", "supervisor")]
    descriptors = []
    for process in sorted(chiefs, key=lambda p: p.name):  # The guardian first: it must not start another.
        try:
            descriptor = os.pidfd_open(process.pid)
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        except ProcessLookupError:
            continue
        descriptors.append(descriptor)
    patience = PATIENCE_SECONDS if any(p.name == "supervisor" for p in chiefs) else 3.0
    for descriptor in processes.wait(descriptors, patience):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
    deadline = time.monotonic() + 5
    while left := [p for p in processes.find(settings.home) if p.pid not in own]:
        bus = [process for process in left if process.name == "bus"]
        processes.end([process for process in left if process not in bus], grace=3.0)
        processes.end(bus, grace=3.0)
        if time.monotonic() > deadline:
            break
    return len([process for process in found if process.leader])
