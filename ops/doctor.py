"""What can be wrong with a KARAIS, each check with what it found and how to mend it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents.common.cards import builds
from agents.common.cards.cards import described
from bus.settings import Settings
from ops import preflight, processes, running
from ops.doctor_gpu import gpu, judged
from ops.findings import Finding, fine, wrong
from schemas.errors import KaraisError

NATS_SERVER = (2, 12)
"""Oldest server that knows per-message TTL, atomic batches and schedules."""
NEEDED_MEMORY = 2 * 2**30


async def examine(settings: Settings) -> list[Finding]:
    """Run every check; none of them changes anything."""
    settings = await asyncio.to_thread(running.effective, settings)
    findings: list[Finding] = []
    for check in (
        python,
        packages,
        memory,
        disk,
        folder,
        keys,
        weights,
        server_program,
        port,
        storage,
        clock,
        gpu,
    ):
        findings += await asyncio.to_thread(_guarded, check, settings)
    return findings + await _bus(settings)


def examine_cards(settings: Settings, file: Path) -> list[Finding]:
    """Say what the cards that a file describes would do here. Raises KaraisError for a wrong file."""
    return list(judged(settings, described(file), builds.read()))


def _guarded(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> list[Finding]:
    try:
        return list(check(settings))
    except KaraisError as error:
        text, _, mend = str(error).rpartition(": ")
        return [wrong(check.__name__, text, mend or "See the message.")]
    except OSError as error:
        return [wrong(check.__name__, str(error), "Mend the permissions or the disk.")]


def python(_: Settings) -> Iterator[Finding]:
    """Python's version and the machine."""
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if platform.system() != "Linux":
        yield wrong("python", text, "KARAIS's server runs on Linux; use this machine as a client.")
    else:
        yield fine("python", text)


def packages(_: Settings) -> Iterator[Finding]:
    """Whether the server parts are installed."""
    from importlib.util import find_spec

    missing = [name for name in preflight.SERVER_PARTS if find_spec(name) is None]
    if missing:
        yield wrong("packages", f"not installed: {', '.join(missing)}", "pip install 'karais[server]'.")
    else:
        yield fine("packages", "all parts of the server are installed")


def memory(_: Settings) -> Iterator[Finding]:
    """Main memory."""
    import psutil

    whole = psutil.virtual_memory()
    text = f"{whole.available / 2**30:.1f} GiB of {whole.total / 2**30:.1f} GiB available"
    if whole.total < NEEDED_MEMORY:
        yield wrong("memory", text, "2 GiB are needed: choose a smaller model, or another machine.")
    else:
        yield fine("memory", text)


def disk(settings: Settings) -> Iterator[Finding]:
    """Free space for the data folder."""
    folder = next(f for f in (settings.home, *settings.home.parents) if f.exists())
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / 2**30:.1f} GiB of {usage.total / 2**30:.1f} GiB free at {folder}"
    inodes = os.statvfs(folder)
    if usage.free < 2**30:
        yield wrong("disk", text, "free at least 1 GiB, or move the data folder (KARAIS_HOME).")
    elif inodes.f_files and not inodes.f_favail:
        yield wrong("disk", f"no file can be made at {folder}: no inodes are left", "remove some files.")
    else:
        yield fine("disk", text)


def folder(settings: Settings) -> Iterator[Finding]:
    """Owner and mode of the data folder."""
    home = settings.home
    if not home.exists():
        yield fine("data folder", f"{home} does not exist yet; `karais up` makes it")
        return
    info = home.stat()
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        yield wrong("data folder", f"{home} cannot be written", f"chown -R {os.getuid()} {home}")
    elif info.st_uid != os.getuid():
        yield wrong("data folder", f"{home} belongs to user {info.st_uid}", f"chown -R {os.getuid()} {home}")
    elif info.st_mode & 0o022:
        yield wrong("data folder", f"others can write in {home}", f"chmod go-w {home}")
    else:
        yield fine("data folder", f"{home}")


def keys(settings: Settings) -> Iterator[Finding]:
    """Modes of the secrets."""
    if not settings.keys.exists():
        yield fine("keys", "none yet; `karais up` makes them")
        return
    found = [settings.keys, *sorted(settings.keys.iterdir())]
    loose = [file for file in found if stat.S_IMODE(file.stat().st_mode) & 0o077]
    for file in loose:
        mode = stat.S_IMODE(file.stat().st_mode)
        wanted = "700" if file.is_dir() else "600"
        yield wrong("keys", f"{file} has mode {mode:o}: others can read it", f"chmod {wanted} {file}")
    empty = [file for file in found if file.is_file() and not file.stat().st_size]
    for file in empty:
        yield wrong("keys", f"{file} is empty", f"rm {file}; `karais up` makes a new one.")
    if not loose and not empty:
        yield fine("keys", f"{len(found) - 1} keys in {settings.keys}, readable by their owner alone")


def weights(settings: Settings) -> Iterator[Finding]:
    """Presence and SHA-256 of the models that the settings name."""
    from stores.weights.registry import find, verify

    for name in preflight.models_needed(settings):
        try:
            verify(find(settings.models, name))
        except KaraisError as error:
            text, _, mend = str(error).rpartition(": ")
            yield wrong("weights", text, mend or "karais models pull")
        else:
            yield fine("weights", f"{name} is whole")


def server_program(settings: Settings) -> Iterator[Finding]:
    """Version of nats-server."""
    if settings.nats:
        yield fine("nats-server", f"the one at {settings.nats.rpartition('@')[2]} is used")
        return
    from bus.server import program

    found = program()
    said = subprocess.run([str(found), "--version"], capture_output=True, text=True, timeout=10, check=False)
    version = said.stdout.strip().rpartition("v")[2]
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < NATS_SERVER:
        wanted = ".".join(map(str, NATS_SERVER))
        mend = f"install {wanted} or newer: pip install 'karais[server]'"
        yield wrong("nats-server", f"{found} is {version or 'broken'}", mend)
    else:
        yield fine("nats-server", f"{version} ({found})")


def port(settings: Settings) -> Iterator[Finding]:
    """Whether the gateway has its port, or could have it."""
    preflight.port(settings)
    state = "serves" if "gateway" in processes.leaders(settings.home) else "is free"
    yield fine("port", f"{settings.port} on {settings.host} {state}")


def storage(settings: Settings) -> Iterator[Finding]:
    """Whether the storage can be read."""
    preflight.storage(settings)
    if settings.storage is None:
        yield fine("storage", "none is chosen; `karais up --storage PATH` names one")
    else:
        yield fine("storage", f"{settings.storage} can be read")


def clock(settings: Settings) -> Iterator[Finding]:
    """Whether the clock runs ahead of or behind what was written before."""
    newest = 0.0
    for file in (Path(__file__), *settings.run.glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # an agent that ends takes its file along
            newest = max(newest, file.stat().st_mtime)
    now = time.time()
    if now < newest - 60:
        text = f"the clock shows {time.strftime('%Y-%m-%d %H:%M', time.gmtime(now))} UTC, before files here"
        yield wrong("clock", text, "set it: timedatectl set-ntp true")
    else:
        yield fine("clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


async def _bus(settings: Settings) -> list[Finding]:
    """Ask the bus, the streams and every agent."""
    from ops.status import status

    up = await asyncio.to_thread(running.is_up, settings)
    now = await status(settings)
    if not up and not now.bus:
        return [wrong("running", f"nothing runs for {settings.home}", "start it: karais up")]
    findings = []
    if not up:
        findings.append(wrong("supervisor", "agents run without a supervisor", "karais up"))
    if not now.bus:
        log = settings.logs / "bus.log"
        return [*findings, wrong("bus", now.problem or "it cannot be reached", f"see {log}")]
    findings.append(fine("bus", f"reached at {now.bus}"))
    findings += await _streams(settings)
    for agent in now.agents:
        if agent.health in ("ready", "up"):
            findings.append(fine(agent.name, f"{agent.health}, pid {agent.pid}"))
            if agent.detail:
                text, _, mend = agent.detail.partition(". ")
                findings.append(wrong(agent.name, text, mend or f"see {settings.logs / f'{agent.name}.log'}"))
        elif agent.health == "starting":
            findings.append(fine(agent.name, f"starting for {agent.uptime_seconds:.0f} s"))
        else:
            log = settings.logs / f"{agent.name}.log"
            reason = processes.last_line(log) if agent.health == "missing" else agent.detail
            text = f"{agent.health}: {reason}" if reason else agent.health
            findings.append(wrong(agent.name, text, f"see {log}"))
    return findings


async def _streams(settings: Settings) -> list[Finding]:
    from nats.errors import Error

    from bus.connection import connect
    from bus.identities import INSPECTOR
    from bus.streams import STREAMS

    try:
        async with connect(settings, INSPECTOR, wait=1.0) as bus:
            there: Any = {info.config.name for info in await bus.jetstream.streams_info()}
    except (KaraisError, Error, TimeoutError) as error:
        return [wrong("streams", f"they cannot be listed: {error}", f"see {settings.logs / 'bus.log'}")]
    missing = [stream.name for stream in STREAMS if stream.name not in there]
    if missing:
        return [wrong("streams", f"missing: {', '.join(map(str, missing))}", "karais down; karais up")]
    return [fine("streams", f"all {len(STREAMS)} are there")]
