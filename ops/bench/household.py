"""A KARAIS of a benchmark's own, in a folder of its own, and what its processes cost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bus.settings import Settings, environment, load
from ops import processes
from schemas.errors import KaraisError, Unavailable

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Household:
    """A KARAIS that runs for a benchmark."""

    url: str
    key: str
    settings: Settings
    begun: float
    """When its start was ordered (``time.monotonic``)."""

    def pids(self) -> list[int]:
        """Return the ids of all its processes, helpers included."""
        return sorted({process.pid for process in processes.find(self.settings.home)})

    def leaders(self) -> dict[str, int]:
        """Return the process ids of the bus, each agent, the supervisor and the guardian, by name."""
        return {name: process.pid for name, process in processes.leaders(self.settings.home).items()}


@contextlib.contextmanager
def household(models: Path, **chosen: object) -> Iterator[Household]:
    """Start a KARAIS by `karais up` in an empty data folder, and stop it at the end.

    ``models`` is the Tier-0 folder that it uses; ``chosen`` are further settings.
    """
    folder = Path(tempfile.mkdtemp(prefix="karais-bench-"))
    settings = load({"home": folder / "home", "port": 0, **chosen}, environ={})
    settings.home.mkdir()
    settings.models.symlink_to(models)
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.cli", "up", "--json"],
        env=os.environ | environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        url = _await_gateway(settings, process)
        key = settings.api_key.read_text("ascii").strip()
        yield Household(url, key, settings, begun)
    finally:
        # Not by a signal to the process begun here: a guardian that was killed has a successor.
        down = [sys.executable, "-m", "ops.cli", "down"]
        subprocess.run(down, env=os.environ | environment(settings), stdout=subprocess.DEVNULL, check=False)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _await_gateway(settings: Settings, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read().decode("utf-8", "replace").strip() if process.stderr else ""
            raise KaraisError(f"`karais up` ended with status {process.returncode}: {said[-500:]}")
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads((settings.run / "gateway.json").read_text("utf-8"))["url"]).rstrip("/")
        time.sleep(0.02)
    raise Unavailable("`karais up` did not open its gateway within 60 s.")


def memory_mb(pids: list[int]) -> float:
    """Return the proportional set size of processes together, in MB (10^6 bytes)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total / 1e6


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that processes used so far, in seconds."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / CLOCK_TICKS


def written_bytes(pids: list[int]) -> int:
    """Return what processes caused to be written to storage so far, in bytes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/io").read_text("ascii").splitlines():
                if line.startswith("write_bytes:"):
                    total += int(line.split()[1])
    return total
