"""A causal language model of transformers: the library, the device, the room, the weights."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from agents.common.cards import support
from agents.common.cards.cards import Card
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import gguf_header, memory, tokenizer_folder
from stores.weights.fit import Fit, Shape, fit, shape_of, shape_of_config

if TYPE_CHECKING:
    from bus.settings import Settings
    from stores.weights.registry import Model

log = logging.getLogger(__name__)

_SIZES = {"float32": 4, "float16": 2, "bfloat16": 2}
_GGML_TYPE = {"float32": 0, "float16": 1, "bfloat16": 30}


class Loaded(Struct, frozen=True, kw_only=True):
    """A model on its device."""

    model: Any
    device: str
    """``cpu`` or the card's name."""
    reason: str
    """Why that device, and what it computes in."""


def load(settings: Settings, model: Model, threads: int) -> Loaded:
    """Load a model. Blocks for seconds to minutes.

    Raises KaraisError: ``unavailable`` when a library is missing, the weights
    are damaged or have no room (with the numbers); ``invalid`` for weights or
    an architecture that the library does not take.
    """
    _check(model)
    torch, transformers = _libraries(model.manifest.kind)
    torch.set_num_threads(threads)
    place, card, reason = _card(torch, settings.gpu_layers)
    if card is not None:
        kind = support.compute_type(card)
        found = _room(settings, model, kind, card.free_bytes or 0)
        if found is None or found.where == "card":
            try:
                loaded = _load(torch, transformers, model, kind, place)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                reason = f"the memory of {card.name} was full"
            else:
                return Loaded(model=loaded, device=card.name, reason=f"{kind} on the card")
        else:
            reason = f"the model has no room on {card.name}"
    found = _room(settings, model, "float32", 0)
    if found is not None and not found.fits:
        raise Unavailable(
            f"The model {model.name} cannot be loaded from {model.weights} in float32. {found.sentence}"
            " Choose a smaller one, or the engine llamacpp and GGUF weights, which it need not unpack."
        )
    loaded = _load(torch, transformers, model, "float32", "cpu")
    return Loaded(model=loaded, device="cpu", reason=f"float32 on the CPU: {reason}")


def _check(model: Model) -> None:
    """Refuse what the library would not take, or would take for something else."""
    kind = model.manifest.kind
    if kind not in ("gguf", "safetensors"):
        engine = {"exl2": "exllamav2", "gptq": "exllamav2", "openvino": "openvino"}.get(kind, "")
        advice = f"choose the engine {engine}" if engine else "choose another with the setting `model`"
        raise KaraisError(
            f"The model {model.name} in {model.folder} is {kind}, but transformers takes safetensors and"
            f" GGUF: {advice}.",
            code=Code.INVALID,
        )
    if kind == "safetensors":
        if (model.folder / "adapter_config.json").exists():  # it would load the model that this one names
            raise KaraisError(f"{model.folder} holds an adapter and no model.", code=Code.INVALID)
        tokenizer_folder.config(model.folder)


def _libraries(kind: str) -> tuple[Any, Any]:
    # As for llama.cpp: threads that spin while another process has the core slow the answers down.
    os.environ.setdefault("GOMP_SPINCOUNT", "300")
    os.environ["HF_HUB_OFFLINE"] = "1"  # everything is in the folder; nothing is asked of a hub
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        import torch
        import transformers
    except (ImportError, OSError) as error:
        raise Unavailable(f"transformers cannot be loaded ({error}): install the extra `server`.") from None
    if kind == "gguf":
        for name in ("gguf", "accelerate"):
            if find_spec(name) is None:
                raise Unavailable(
                    f"transformers needs {name} to read a GGUF file: install it with"
                    f" `pip install {name}`, or choose the engine llamacpp."
                )
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers


def _card(torch: Any, layers: int) -> tuple[str, Card | None, str]:
    """Return torch's name for the card to use, the card, and else why there is none."""
    if layers == 0:
        return "", None, "gpu_layers is 0"
    if not torch.cuda.is_available():
        return "", None, "no card that the installed torch can use was found"
    cards = []
    for number in range(torch.cuda.device_count()):
        try:
            torch.ones(2, device=f"cuda:{number}").sum().item()  # builds leave older cards out
            free, whole = torch.cuda.mem_get_info(number)
        except RuntimeError as error:
            log.warning("The card %d cannot be used: %s", number, str(error).splitlines()[0])
            continue
        name, capability = torch.cuda.get_device_name(number), torch.cuda.get_device_capability(number)
        cards.append(
            Card(name=name, compute_capability=capability, memory_bytes=whole, free_bytes=free, index=number)
        )
    if not cards:
        return "", None, "the installed torch holds nothing for the card"
    best = max(cards, key=lambda card: card.free_bytes or 0)
    return f"cuda:{best.index}", best, ""


def _room(settings: Settings, model: Model, kind: support.ComputeType, card: int) -> Fit | None:
    """Return where a model fits, unpacked to a type; None when it does not tell what it needs."""
    try:
        shape = _shape(model, kind)
    except KaraisError as error:
        log.warning("No estimate of the memory for %s: %s", model.name, error)
        return None
    kv = "f32" if kind == "float32" else "f16"
    cards = (card,) if card else ()
    return fit(shape, context=settings.context, cards=cards, ram=memory.free_ram(), kv=kv)


def _shape(model: Model, kind: support.ComputeType) -> Shape:
    if model.manifest.kind == "gguf":
        header = gguf_header.read_header(model.weights)
        unpacked = tuple(msgspec.structs.replace(t, type=_GGML_TYPE[kind]) for t in header.tensors)
        return shape_of(msgspec.structs.replace(header, tensors=unpacked))
    files = [model.folder / file.path for file in model.manifest.files if file.path.endswith(".safetensors")]
    weights = sum(_numbers_in(file) for file in files)
    return shape_of_config(tokenizer_folder.config(model.folder), weights * _SIZES[kind])


def _numbers_in(file: Path) -> int:
    """Return how many numbers a safetensors file holds."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def _load(torch: Any, transformers: Any, model: Model, kind: str, place: str) -> Any:
    options: dict[str, Any] = {
        "dtype": getattr(torch, kind),
        "attn_implementation": "sdpa",  # a configuration could name one that is fetched from a hub
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": True,
        "weights_only": True,
        "output_loading_info": True,
    }
    if place != "cpu":
        options["device_map"] = place
    try:
        try:
            loaded, told = _read(transformers, model, options)
        except ValueError as error:
            if "scaled_dot_product_attention" not in str(error):
                raise
            loaded, told = _read(transformers, model, options | {"attn_implementation": "eager"})
    except torch.OutOfMemoryError:
        raise
    except KaraisError:
        raise
    except (ValueError, KeyError, ImportError) as error:
        version = importlib.metadata.version("transformers")
        raise KaraisError(
            f"transformers {version} cannot run the model {model.name} in {model.weights}: {_line(error)}."
            " Code that comes with a model is never run.",
            code=Code.INVALID,
        ) from None
    except Exception as error:  # noqa: BLE001 - safetensors, torch and the library raise errors of their own
        raise Unavailable(
            f"The weights {model.weights} cannot be loaded ({_line(error)}): they may be damaged; run"
            f" `karais models remove {model.name}` and get the model again."
        ) from None
    if missing := sorted(_names(told.get("missing_keys", ()))):
        raise Unavailable(
            f"The weights {model.weights} lack {len(missing)} of the model's tensors, such as {missing[0]}."
        )
    loaded.eval()
    loaded.requires_grad_(False)
    return loaded


def _read(transformers: Any, model: Model, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    kind = transformers.AutoModelForCausalLM
    found: tuple[Any, dict[str, Any]]
    if model.manifest.kind != "gguf":
        found = kind.from_pretrained(str(model.folder), **options)
        return found
    from agents.brain.engines.huggingface.gguf import reading_quickly

    with reading_quickly():
        found = kind.from_pretrained(
            str(model.weights.parent),
            gguf_file=model.weights.name,
            quantization_config=transformers.GgufConfig(dequantize=True),
            **options,
        )
        return found


def _names(keys: Iterable[Any]) -> list[str]:
    return [str(key) for key in keys]


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(". ")
