"""From a GGUF file to OpenVINO's format, once, in a process of its own.

openvino-genai reads the file and writes the model; that takes seconds and
twice the model's size in memory, which a process of its own gives back.
The result lies in the cache folder, named by the file's hash and the version
that wrote it: it can be removed at any time.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from schemas.errors import Unavailable

MODEL = "openvino_model.xml"
_SECONDS = 600.0
"""A model of 7 billion weights takes a minute or two."""


def converted(source: Path, sha256: str, cache: Path) -> Path:
    """Return the folder with a GGUF file's converted model; convert it unless it is there. Blocks.

    Raises Unavailable, naming the file, when that fails.
    """
    folder = cache / f"{sha256[:16]}-{importlib.metadata.version('openvino-genai')}"
    if (folder / MODEL).exists():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".converting-", dir=cache))
    except OSError as error:
        raise Unavailable(f"The folder {cache} cannot be written: {error.strerror}.") from None
    try:
        _convert(source, draft)
        (draft / source.name).unlink(missing_ok=True)
        for old in cache.glob(f"{sha256[:16]}-*"):  # of another version
            shutil.rmtree(old, ignore_errors=True)
        try:
            draft.rename(folder)
        except OSError:
            if not (folder / MODEL).exists():  # else another brain was quicker
                raise
    except OSError as error:
        raise Unavailable(
            f"The weights file {source} could not be converted into {cache}: {error.strerror};"
            " free some space and try again."
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _convert(source: Path, draft: Path) -> None:
    """Have a process write the model into a folder; openvino-genai writes beside the file that it reads."""
    link = draft / source.name
    link.symlink_to(source.absolute())
    command = [sys.executable, "-m", "agents.brain.engines.openvino.converting", str(link)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"The weights file {source} could not be converted in {_SECONDS:.0f} s:"
            " choose the engine llamacpp."
        ) from None
    if done.returncode != 0 or not (draft / MODEL).exists():
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise Unavailable(
            f"OpenVINO cannot convert the weights file {source} ({lines[-1][:200]}):"
            " choose the engine llamacpp."
        )


def _main(source: str) -> None:
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.num_kv_blocks = 4
    openvino_genai.ContinuousBatchingPipeline(source, scheduler, "CPU", {"enable_save_ov_model": True})


if __name__ == "__main__":
    _main(sys.argv[1])
