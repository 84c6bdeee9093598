"""The commands that ``karais up`` is made of, and how processes are marked. Standard library alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the packages."""
NAME = "KARAIS_PROCESS"
"""Environment variable with a process's name."""
HOME = "KARAIS_HOME"
FINGERPRINT = "KARAIS_FINGERPRINT"
"""Environment variable with what a process was started with."""
GUARDIAN = "KARAIS_GUARDIAN"
"""Environment variable with the guardian's process id, for its supervisor."""
PID = "KARAIS_PID"
"""Environment variable with a process's own id; a helper that it starts inherits it and so differs."""
RUN = (sys.executable, "-P", "-m", "ops.cli", "run")
"""Command that runs an agent, without the agent's kind. ``-P`` keeps folders that happen to be
called like ours out of the way, wherever KARAIS is started."""


def marked(argv: Sequence[str]) -> list[str]:
    """Return a command that runs ``argv`` in a process that carries its own id in its environment."""
    return ["/bin/sh", "-c", f'export {PID}=$$; exec "$@"', "karais", *argv]


def guardian(run: Path, supervisor: Sequence[str]) -> list[str]:
    """Return the command that starts a guardian over a supervisor's command."""
    script = str(ROOT / "ops" / "guardian.py")
    return marked([sys.executable, "-I", "-S", "-B", script, str(run / "guardian.lock"), *supervisor])


def start_guardian(run: Path, supervisor: Sequence[str], settings: Mapping[str, str]) -> None:
    """Start a guardian over a supervisor's command in a session of its own, and do not wait for it."""
    subprocess.Popen(
        guardian(run, marked(supervisor)),
        env=environ(settings, "guardian"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def supervisor(*options: str) -> list[str]:
    """Return the command that a guardian runs."""
    return marked([sys.executable, "-P", "-m", "ops.up", *options])


def environ(settings: Mapping[str, str], name: str = "") -> dict[str, str]:
    """Return the environment for a process: ours, the settings, where the packages are, its name."""
    own = {NAME, FINGERPRINT, GUARDIAN, PID}
    result = {key: value for key, value in os.environ.items() if key not in own} | dict(settings)
    paths = [
        path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(ROOT)
    ]
    result["PYTHONPATH"] = os.pathsep.join([str(ROOT), *paths])
    if name:
        result[NAME] = name
    return result
