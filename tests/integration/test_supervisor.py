"""What `karais up` does with processes, tried with real ones: agents without models, a real nats-server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus.connection import connect
from bus.identities import OPERATOR
from bus.settings import load
from ops import down, processes, running
from ops.supervisor import answers_http
from schemas.errors import KaraisError
from schemas.health import DescribeEngine

SMALL = [sys.executable, str(Path(__file__).with_name("small_karais.py"))]
ALL = {"bus", "gateway", "memory", "brain", "embedder"}
PATIENCE = 40.0
"""Seconds; how quickly things heal is measured by `karais bench soak`, on a quiet machine."""


def heed_signals() -> None:
    """Take back what a shell told us to ignore, as one does of jobs in its background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Small:
    """A KARAIS of small agents."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {**os.environ, "KARAIS_HOME": str(home), "KARAIS_PORT": "0"}
        self.environ.pop("KARAIS_PROCESS", None)
        self.settings = load({"home": home})
        self.started: list[subprocess.Popen[str]] = []

    def up(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*SMALL, "up", "--json"],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heed_signals,
        )
        self.started.append(process)
        return process

    def up_and_ready(self) -> subprocess.Popen[str]:
        process = self.up()
        assert process.stdout
        line = process.stdout.readline()
        assert "url" in json.loads(line or "{}"), process.stderr and process.stderr.read()
        self.until(lambda: self.pids().keys() >= ALL)
        return process

    def pids(self) -> dict[str, int]:
        return {name: found.pid for name, found in processes.leaders(self.home).items()}

    def guardian(self) -> int:
        return next((p.pid for p in processes.find(self.home) if p.name == "guardian"), 0)

    def serves(self) -> bool:
        record = running.read(self.settings)
        assert record
        port = int(record.settings["KARAIS_PORT"])
        return asyncio.run(answers_http("127.0.0.1", port, "/healthz")) == 200 and self.describes()

    def describes(self) -> bool:
        async def ask() -> bool:
            async with connect(self.settings, OPERATOR, wait=0.5) as bus:
                try:
                    await bus.call(DescribeEngine(), timeout=1)
                except KaraisError:
                    return False
                return True

        try:
            return asyncio.run(ask())
        except KaraisError:
            return False

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            logs = "".join(f"{p.name}: {p.read_text()}" for p in self.settings.logs.glob("*.log"))
            assert time.monotonic() < deadline, f"{self.pids()}\n{logs}"
            time.sleep(0.05)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    karais = Small(tmp_path / "home")
    karais.home.mkdir()
    yield karais
    down.down(karais.settings)
    for process in karais.started:
        process.wait(PATIENCE)
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stderr.close()
    assert processes.find(karais.home) == []


def test_any_killed_process_comes_back(small: Small) -> None:
    """Kill -9 of the bus, of each agent, of the supervisor and of the guardian: each time it heals."""
    small.up_and_ready()
    small.until(small.serves)
    for name in ("bus", "gateway", "brain", "memory", "embedder", "supervisor", "guardian"):
        pid = small.guardian() if name == "guardian" else small.pids()[name]
        os.kill(pid, signal.SIGKILL)

        def healed(name: str = name, pid: int = pid) -> bool:
            now = small.guardian() if name == "guardian" else small.pids().get(name, 0)
            return now not in (0, pid) and small.serves()

        small.until(healed)
        small.until(lambda: small.pids().keys() >= ALL | {"supervisor"})


def test_a_new_supervisor_adopts_what_runs(small: Small) -> None:
    """Killing the supervisor, or its guardian, leaves every agent's process as it is."""
    small.up_and_ready()
    before = small.pids()
    os.kill(before["supervisor"], signal.SIGKILL)
    small.until(lambda: small.pids().get("supervisor", before["supervisor"]) != before["supervisor"])
    small.until(small.serves)
    second = small.pids()
    guardian = small.guardian()
    os.kill(guardian, signal.SIGKILL)
    small.until(lambda: small.guardian() not in (0, guardian))
    small.until(lambda: small.pids().get("supervisor", second["supervisor"]) != second["supervisor"])
    small.until(small.serves)
    third = small.pids()
    assert {name: before[name] for name in ALL} == {name: third[name] for name in ALL}
    # An adopted process is watched like a child.
    os.kill(third["memory"], signal.SIGKILL)
    small.until(lambda: small.pids().get("memory", third["memory"]) != third["memory"])


def test_a_new_supervisor_waits_for_a_bus_that_hangs(small: Small) -> None:
    """A supervisor that follows one that died does not end the household because the bus is late."""
    small.up_and_ready()
    before = small.pids()
    guardian = small.guardian()
    os.kill(before["bus"], signal.SIGSTOP)
    try:
        os.kill(before["supervisor"], signal.SIGKILL)
        log = small.settings.logs / "supervisor.log"
        small.until(lambda: "The bus runs and does not answer" in log.read_text())
    finally:
        os.kill(before["bus"], signal.SIGCONT)
    small.until(lambda: "Took over" in log.read_text())
    small.until(lambda: small.pids().keys() >= ALL | {"supervisor"} and small.serves())
    assert (small.pids()["bus"], small.guardian()) == (before["bus"], guardian)


def test_up_adopts_after_guardian_and_supervisor_died_together(small: Small) -> None:
    """`karais up` takes over agents that lost both."""
    small.up_and_ready()
    before = small.pids()
    guardian = small.guardian()
    os.kill(guardian, signal.SIGSTOP)
    os.kill(before["supervisor"], signal.SIGKILL)
    os.kill(guardian, signal.SIGKILL)
    small.until(lambda: not running.is_up(small.settings))
    small.up_and_ready()
    after = small.pids()
    assert {name: before[name] for name in ALL} == {name: after[name] for name in ALL}


def test_agents_bring_guardian_and_supervisor_back_when_both_were_killed(small: Small) -> None:
    """Neither is left to start the other; the agents that run are taken over as they are."""
    small.up_and_ready()
    before = small.pids()
    os.kill(small.guardian(), signal.SIGSTOP)  # so that it does not start another supervisor first
    os.kill(before["supervisor"], signal.SIGKILL)
    os.kill(small.guardian(), signal.SIGKILL)
    small.until(lambda: small.pids().keys() >= {"guardian", "supervisor"})
    small.until(small.serves)
    after = small.pids()
    assert {name: before[name] for name in ALL} == {name: after[name] for name in ALL}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_guardian_stops_everything(small: Small, number: signal.Signals) -> None:
    """Ctrl-C, `kill` and a closed terminal end every process with exit code 0."""
    process = small.up_and_ready()
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert processes.find(small.home) == []


def test_down_stops_what_the_guardian_left(small: Small) -> None:
    """`karais down` ends everything in any state, a hanging supervisor and orphans included."""
    small.up_and_ready()
    os.kill(small.guardian(), signal.SIGSTOP)
    os.kill(small.pids()["supervisor"], signal.SIGKILL)
    assert down.down(small.settings) >= len(ALL)
    assert processes.find(small.home) == []
    assert down.down(small.settings) == 0


def test_a_second_up_says_where_the_first_is(small: Small) -> None:
    """`karais up` twice on one data folder ends with a sentence that names the page and `karais down`."""
    small.up_and_ready()
    second = small.up()
    assert second.wait(PATIENCE) == 1
    assert second.stderr
    sentence = second.stderr.read()
    record = running.read(small.settings)
    assert record
    assert record.url in sentence
    assert "karais down" in sentence


def test_what_only_a_person_can_mend_ends_the_start(small: Small) -> None:
    """An agent that exits with 78 while KARAIS starts: its sentence, exit code 78, nothing left running."""
    (small.home / "no-weights").touch()
    process = small.up()
    assert process.wait(PATIENCE) == 78
    assert process.stderr
    assert "karais: The weights in" in process.stderr.read()
    assert processes.find(small.home) == []


def test_an_agent_without_hope_is_not_started_for_ever(small: Small) -> None:
    """An agent that exits with 78 later stays down, its reason is told, and the others go on."""
    small.up_and_ready()
    small.until(small.serves)
    time.sleep(1)  # Until everything has been ready once.
    (small.home / "no-weights").touch()
    os.kill(small.pids()["brain"], signal.SIGKILL)
    log = small.settings.logs / "supervisor.log"
    small.until(lambda: "brain cannot run: The weights in" in log.read_text())
    time.sleep(1)
    assert "brain" not in small.pids()
    assert small.pids().keys() >= ALL - {"brain"}


def test_a_hung_agent_is_started_again(small: Small) -> None:
    """An agent whose event loop stands still answers no ping and is replaced."""
    small.up_and_ready()
    small.until(small.serves)
    before = small.pids()["brain"]
    (small.home / "hang").touch()
    assert not small.describes()
    small.until(lambda: small.pids().get("brain", before) != before, seconds=90)
    small.until(small.serves)


def test_stale_files_do_not_confuse(small: Small) -> None:
    """After a power cut: truncated records and old locks are no reason not to start."""
    small.settings.run.mkdir(parents=True)
    (small.settings.run / "karais.json").write_bytes(b"")
    (small.settings.run / "lock").touch()
    (small.settings.run / "guardian.lock").touch()
    small.up_and_ready()
    small.until(small.serves)
