"""From a GGUF file to OpenVINO's format, once, in a process of its own.

openvino-genai reads the file and writes the model; that takes seconds and
twice the model's size in memory, which a process of its own gives back.
The result lies in the model's folder, named by the version that wrote it: it
goes with the model, and can be removed at any time.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import Unavailable

if TYPE_CHECKING:
    from stores.weights.registry import Model

MODEL = "openvino_model.xml"
_SECONDS = 600.0
"""A model of 7 billion weights takes a minute or two."""


def folder_of(model: Model) -> Path:
    """Return where a model's converted form lies, or would."""
    return model.folder / f".openvino-{importlib.metadata.version('openvino-genai')}"


def failed_before(model: Model) -> str:
    """Return why this version could not convert a model, or nothing: it is not tried at each start."""
    try:
        return _failure_of(model).read_text("utf-8").strip()
    except OSError:
        return ""


def _failure_of(model: Model) -> Path:
    folder = folder_of(model)
    return folder.with_name(f"{folder.name}.failed")


def converted(model: Model) -> Path:
    """Return the folder with a GGUF model's converted form; make it unless it is there. Blocks.

    Raises Unavailable, naming the file, when that fails.
    """
    folder = folder_of(model)
    if (folder / MODEL).exists():
        return folder
    if reason := failed_before(model):
        raise Unavailable(
            f"OpenVINO could not convert the weights file {model.weights} ({reason}):"
            " choose the engine llamacpp."
        )
    try:
        draft = Path(tempfile.mkdtemp(prefix=".openvino-draft-", dir=model.folder))
        try:
            _convert(model, draft)
            (draft / model.weights.name).unlink(missing_ok=True)
            for old in model.folder.glob(".openvino-2*"):  # of another version
                if old != folder:
                    shutil.rmtree(old, ignore_errors=True)
            if not (folder / MODEL).exists():  # else another brain was quicker
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        if not (folder / MODEL).exists():
            raise Unavailable(
                f"The weights file {model.weights} could not be converted into {folder}: {error.strerror};"
                " free some space and try again."
            ) from None
    return folder


def _convert(model: Model, draft: Path) -> None:
    """Have a process write the model into a folder; openvino-genai writes beside the file that it reads."""
    source = model.weights
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
        with contextlib.suppress(OSError):
            _failure_of(model).write_text(lines[-1][:200], "utf-8")
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
