"""Environments of their own for what KARAIS is compared with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def made(environment: Path, lock: Path) -> Path:
    """Return the interpreter of an environment with what ``lock`` pins, which is made when it is not there.

    Raises CalledProcessError when that fails.
    """
    python = environment / "bin" / "python"
    done = environment / "karais-bench.txt"
    if not done.exists() or done.read_text("utf-8") != lock.read_text("utf-8"):
        print(f"making the comparators' environment in {environment} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", lock], check=True, stdout=sys.stderr)
        shutil.copyfile(lock, done)
    return python
