"""Loading a GGUF file into llama.cpp: checks, device, threads, sizes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.brain.engines import room
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights.fit import size
from stores.weights.registry import Model

if TYPE_CHECKING:
    from bus.settings import Settings

_MAGIC = b"GGUF"
_BATCH = 256


def check(model: Model) -> None:
    """Look at what llama.cpp would only call a failure. Raises KaraisError, naming the file."""
    if model.manifest.kind != "gguf":
        raise KaraisError(
            f"The model {model.name} in {model.folder} is {model.manifest.kind}, but llama.cpp takes GGUF:"
            " choose another with the setting `model`.",
            code=Code.INVALID,
        )
    try:
        with model.weights.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise Unavailable(f"The weights file {model.weights} cannot be read: {error.strerror}.") from None
    if magic != _MAGIC:
        raise Unavailable(
            f"The weights file {model.weights} is no GGUF file: run `karais models remove {model.name}`"
            " and get the model again."
        )


def load(settings: Settings, model: Model, socket: Path) -> tuple[Any, str, str, int]:
    """Return the running server, its device, why that device, and its threads. Blocks for seconds.

    Raises KaraisError: ``unavailable`` when the model cannot be loaded or has
    no room (with the numbers), ``invalid`` when its template is not harmless.
    """
    # llama.cpp's threads meet hundreds of times a token, and spin while they wait for one another. When
    # another process takes a core, spinning for as long as OpenMP's default does slows the answers down
    # by a factor of ten and more; so short a spin costs nothing on an idle machine. Read at the import.
    os.environ.setdefault("GOMP_SPINCOUNT", "300")
    try:
        import xllamacpp
    except ImportError as error:
        raise Unavailable(
            f"llama.cpp cannot be loaded ({error}): install the extra `server`, and the system's libgomp"
            " (package libgomp1 or libgomp)."
        ) from None

    threads = settings.threads or physical_cores()
    card, reason, free = _card(xllamacpp, settings.gpu_layers)
    header = room.header_of(model.weights)
    if header is not None:
        room.check_template(model, header)
        found = room.room_for(settings, model, header, cards=free)
        if card and found is not None and not found.layers:
            card, reason = "", f"no layer of the model fits on {card}, {size(sum(free))} of it are free"
    if card:
        try:
            server = xllamacpp.Server(_params(xllamacpp, settings, model, socket, threads, gpu=True))
        except RuntimeError:
            reason = f"the model could not be loaded on {card}"
        else:
            return server, card, reason, threads
        if header is not None:
            room.room_for(settings, model, header, cards=())
    try:
        server = xllamacpp.Server(_params(xllamacpp, settings, model, socket, threads, gpu=False))
    except (RuntimeError, ValueError) as error:
        raise Unavailable(
            f"llama.cpp cannot load the weights file {model.weights} ({error}): it may be damaged, of an"
            " architecture that this llama.cpp does not know, or too large for the memory."
        ) from None
    return server, "cpu", reason, threads


def physical_cores() -> int:
    """Return the cores that this process may use; a second thread on a core does not help here."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def _card(xllamacpp: Any, layers: int) -> tuple[str, str, tuple[int, ...]]:
    """Return the card to use, or nothing, the reason, and the free bytes of each card."""
    if layers == 0:
        return "", "gpu_layers is 0", ()
    kinds = xllamacpp.ggml_backend_dev_type
    cards = [
        device
        for device in xllamacpp.get_device_info()
        if device["type"] in (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
    ]
    if cards:
        count = "as many layers as fit" if layers < 0 else f"{layers} layers"
        names = ", ".join(device["description"] for device in cards)
        return names, f"{count} on the card", tuple(int(device["memory_free"]) for device in cards)
    if Path("/dev/nvidia0").exists():
        return "", "the installed xllamacpp is built without CUDA; its CUDA wheel would use the card", ()
    return "", "no GPU was found", ()


def _params(
    xllamacpp: Any, settings: Settings, model: Model, socket: Path, threads: int, *, gpu: bool
) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(model.weights)
    if model.manifest.profile.template:
        params.chat_template = model.manifest.profile.template
    params.hostnames = [str(socket)]  # a UNIX socket; otherwise it opens a TCP port without a key
    params.verbosity = -1
    params.warmup = True
    params.n_ctx = settings.context
    params.n_parallel = settings.slots
    params.kv_unified = True  # one pool of cells: one long conversation or many short ones
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    # A prompt is read in batches of this size. Between two of them others get a token and a
    # cancellation is seen, so a larger one would stall every answer while a long prompt is read.
    params.n_batch = _BATCH
    params.n_ubatch = _BATCH
    params.ui = False
    params.endpoint_slots = False
    if gpu:
        params.n_gpu_layers = settings.gpu_layers
        params.fit_params = settings.gpu_layers < 0
    else:
        params.n_gpu_layers = 0
        params.fit_params = False
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE  # repacked anyway: no second copy
    return params
