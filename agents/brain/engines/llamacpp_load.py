"""Loading a GGUF file into llama.cpp: checks, device, threads, sizes."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.brain.engines import card_memory, room
from agents.brain.engines.card_memory import CardMemory
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights.fit import size
from stores.weights.registry import Model

if TYPE_CHECKING:
    from bus.settings import Settings
    from stores.weights.gguf_header import Header

log = logging.getLogger(__name__)

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


@dataclass(slots=True)
class Loaded:
    """A running llama.cpp."""

    server: Any
    device: str
    reason: str
    threads: int
    ends: tuple[int, ...] = ()
    """Tokens that end an answer, as the weights file names them."""
    alert: str = ""
    cards: CardMemory | None = None
    """Where to note what becomes of the layers on the cards; None when there are none."""


def load(settings: Settings, model: Model, socket: Path) -> Loaded:
    """Start llama.cpp with a model. Blocks for seconds.

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
    return start(xllamacpp, settings, model, socket)


def start(xllamacpp: Any, settings: Settings, model: Model, socket: Path) -> Loaded:
    """Do what ``load`` does, with this module."""
    threads = settings.threads or physical_cores()
    card, reason, free = _card(xllamacpp, settings.gpu_layers)
    header = room.header_of(model.weights)
    total = 0
    ends: tuple[int, ...] = ()
    if header is not None:
        room.check_template(model, header)
        found = room.room_for(settings, model, header, cards=free)
        if card and found is not None and not found.layers:
            card, reason = "", f"no layer of the model fits on {card}, {size(sum(free))} of it are free"
        total = found.of if found is not None else 0
        ends = _ends(header)
    if not card:
        server = _on_cpu(xllamacpp, settings, model, socket, threads)
        return Loaded(server, "cpu", reason, threads, ends)
    cards = CardMemory(settings.card_memory, total)
    why = cards.record.reason
    tries = card_memory.layers_to_try(settings.gpu_layers, total, cards.record.most)
    for layers in tries[:-1]:
        try:
            server = _server(xllamacpp, settings, model, socket, threads, layers)
        except (RuntimeError, ValueError) as error:
            log.warning("%s could not be loaded with %d layers on %s: %s", model.name, layers, card, error)
            why = "more did not load there" if layers > 0 else "what should fit did not load there"
            continue
        cards.loaded(layers)
        if layers == settings.gpu_layers:
            return Loaded(server, card, reason, threads, ends, cards=cards)
        alert = card_memory.alert(card, layers, total, why)
        return Loaded(server, card, f"{layers} layers on the card: {why}", threads, ends, alert, cards)
    if header is not None:
        room.room_for(settings, model, header, cards=())
    server = _on_cpu(xllamacpp, settings, model, socket, threads)
    alert = card_memory.alert(card, 0, total, why)
    return Loaded(server, "cpu", f"no layers on {card}: {why}", threads, ends, alert)


def _on_cpu(xllamacpp: Any, settings: Settings, model: Model, socket: Path, threads: int) -> Any:
    try:
        return _server(xllamacpp, settings, model, socket, threads, 0)
    except (RuntimeError, ValueError) as error:
        raise Unavailable(
            f"llama.cpp cannot load the weights file {model.weights} ({error}): it may be damaged, of an"
            " architecture that this llama.cpp does not know, or too large for the memory."
        ) from None


def _server(xllamacpp: Any, settings: Settings, model: Model, socket: Path, threads: int, layers: int) -> Any:
    # One that a killed process left, whose id this one has now, or that a try before left.
    socket.unlink(missing_ok=True)
    return xllamacpp.Server(_params(xllamacpp, settings, model, socket, threads, layers))


def _ends(header: Header) -> tuple[int, ...]:
    found = (header.metadata.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot"))
    return tuple(dict.fromkeys(token for token in found if isinstance(token, int)))


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


def _params(xllamacpp: Any, settings: Settings, model: Model, socket: Path, threads: int, layers: int) -> Any:
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
    if layers:
        params.n_gpu_layers = layers
        params.fit_params = layers < 0
    else:
        params.n_gpu_layers = 0
        params.fit_params = False
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE  # repacked anyway: no second copy
    return params
