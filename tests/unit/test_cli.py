"""The command line: what it prints, with which code it ends, and that it starts quickly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ops import exits
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

ROOT = Path(__file__).resolve().parents[2]


def karais(home: Path, *arguments: str, given: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KARAIS_")}
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=ROOT,
        env={**inherited, "KARAIS_HOME": str(home), **environ},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    """`karais --help` lists the commands."""
    said = karais(tmp_path, "--help")
    assert said.returncode == 0
    for command in (
        "up",
        "down",
        "run",
        "chat",
        "ask",
        "status",
        "models",
        "storage",
        "memory",
        "project",
        "bus",
        "doctor",
        "bench",
    ):
        assert f"  {command} " in said.stdout


def test_weights_on_this_machine_are_added(tmp_path: Path) -> None:
    """`karais models add FILE` takes weights in and lists them."""
    weights = tmp_path / "tiny.safetensors"
    weights.write_bytes((2).to_bytes(8, "little") + b"{}")
    added = karais(tmp_path / "home", "models", "add", str(weights), "--name", "tiny")
    assert (added.returncode, added.stdout) == (0, "Added tiny: use it by `karais up --model tiny`.\n")
    assert "tiny" in karais(tmp_path / "home", "models", "list").stdout


def test_help_needs_no_heavy_package(tmp_path: Path) -> None:
    """The command line imports neither the bus client nor anything of the server before it is needed."""
    code = "import sys, ops.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "nats",
        "aiohttp",
        "asyncio",
        "rich",
        "torch",
        "lancedb",
        "numpy",
        "psutil",
        "xllamacpp",
        "nkeys",
    }
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["up", "--port", "many"], ["ask", " "], ["storage", "files", "--state", "x"]]
)
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    """What is typed wrongly ends with code 2."""
    assert karais(tmp_path, *arguments).returncode == exits.USAGE


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    """A setting that does not fit ends with 78 and a sentence that names it and its place."""
    said = karais(tmp_path, "status", KARAIS_PORT="99999")
    assert said.returncode == exits.CONFIGURATION
    assert "KARAIS_PORT" in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1


def test_a_storage_that_is_not_there_is_named(tmp_path: Path) -> None:
    """`karais up --storage` with a wrong folder names it."""
    said = karais(tmp_path, "up", "--storage", "/nowhere/at/all")
    assert said.returncode == exits.CONFIGURATION
    assert "/nowhere/at/all" in said.stderr
    assert "--storage" in said.stderr


def test_missing_weights_are_named_with_the_command_that_gets_them(tmp_path: Path) -> None:
    """`karais up` without weights says `karais models pull`."""
    said = karais(tmp_path, "up")
    assert said.returncode == exits.CONFIGURATION
    assert "karais models pull" in said.stderr


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """A file where the data folder should be ends `karais up` with a sentence."""
    (tmp_path / "home").write_text("x")
    said = karais(tmp_path / "home", "up")
    assert said.returncode == exits.CONFIGURATION
    assert str(tmp_path / "home") in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """`karais up` on a full disk names the folder and what to do."""
    said = exits.explained(OSError(28, "No space left on device", str(tmp_path / "log")))
    assert exits.exit_code(said) == exits.CONFIGURATION
    assert str(tmp_path / "log") in str(said)
    assert "free some space" in str(said)


def test_a_port_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that another program has is refused with its number and `--port`."""
    from bus.settings import Settings
    from ops import preflight

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(exits.ConfigurationError, match=rf"{port}.*--port"):
            preflight.port(Settings(home=tmp_path, port=port))


def test_asking_without_a_karais_says_how_to_start_one(tmp_path: Path) -> None:
    """`karais ask` with nothing there ends with 1 and names the address."""
    said = karais(tmp_path, "ask", "Hello?", "--url", "http://127.0.0.1:9")
    assert said.returncode == exits.FAILURE
    assert said.stdout == ""
    assert "http://127.0.0.1:9" in said.stderr
    assert "karais up" in said.stderr


def test_status_of_nothing(tmp_path: Path) -> None:
    """`karais status` with nothing running says so, exits with 1, and is valid JSON when asked."""
    said = karais(tmp_path, "status")
    assert said.returncode == 1
    assert "Nothing runs" in said.stderr
    facts = json.loads(karais(tmp_path, "status", "--json").stdout)
    assert facts["up"] is False
    assert facts["well"] is False
    assert {agent["health"] for agent in facts["agents"]} == {"missing"}


def test_doctor_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path) -> None:
    """Every finding that is wrong comes with a remedy; loose keys are found."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "api.key").write_text("secret")
    (keys / "api.key").chmod(0o644)
    said = karais(tmp_path, "doctor", "--json")
    assert said.returncode == 1
    wrong = [finding for finding in json.loads(said.stdout)["findings"] if not finding["ok"]]
    assert all(finding["mend"] for finding in wrong)
    assert any("api.key" in finding["text"] and "chmod 600" in finding["mend"].lower() for finding in wrong)


def test_doctor_tells_what_another_card_would_do(tmp_path: Path) -> None:
    """`karais doctor --cards FILE` judges the described cards alone; a wrong file is named."""
    file = tmp_path / "cards.json"
    file.write_text('{"cards": [{"name": "RTX 3090", "compute_capability": [8, 6]}]}')
    findings = json.loads(karais(tmp_path, "doctor", "--json", "--cards", str(file)).stdout)["findings"]
    assert "RTX 3090" in findings[0]["text"]
    assert {finding["check"].partition(" ")[0] for finding in findings} <= {"gpu", "engine"}
    file.write_text('{"cards": [{"name": "RTX 3090"}]}')
    said = karais(tmp_path, "doctor", "--cards", str(file))
    assert said.returncode == exits.FAILURE
    assert "compute_capability" in said.stderr


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    """`karais key` prints one key, kept with mode 0600."""
    first = karais(tmp_path, "key").stdout.strip()
    assert len(first) >= 43
    assert karais(tmp_path, "key").stdout.strip() == first
    assert (tmp_path / "keys" / "api.key").stat().st_mode & 0o777 == 0o600


def test_a_bench_that_is_not_there(tmp_path: Path) -> None:
    """`karais bench` lists what there is, and names what is not."""
    assert "chat" in karais(tmp_path, "bench").stdout
    said = karais(tmp_path, "bench", "nosuch")
    assert said.returncode == exits.FAILURE
    assert "nosuch" in said.stderr


def test_exit_codes_tell_whether_trying_again_helps() -> None:
    """What a person must mend is 78, what may mend itself is 1."""
    assert exits.exit_code(KaraisError("x", code=Code.NOT_FOUND)) == exits.CONFIGURATION
    assert exits.exit_code(Unavailable("x")) == exits.FAILURE


def test_a_bus_that_is_down_is_named_in_time(tmp_path: Path) -> None:
    """`karais bus streams` and `karais status` end soon when nobody listens where the bus should be."""
    said = karais(tmp_path, "bus", "streams", KARAIS_NATS="nats://127.0.0.1:9")
    assert said.returncode == exits.FAILURE
    assert "nats://127.0.0.1:9" in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1
    assert karais(tmp_path, "status", KARAIS_NATS="nats://127.0.0.1:9").returncode == 1
    said = karais(tmp_path, "run", "gateway", KARAIS_NATS="nats://127.0.0.1:9")
    assert said.returncode == exits.FAILURE
    assert "nats://127.0.0.1:9" in said.stderr.strip().splitlines()[-1]
