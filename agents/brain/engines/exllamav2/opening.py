"""A model on exllamav2, as an ``Engine``."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from agents.brain.engines.texts import text_side
from agents.brain.stepping.adapters import Adapters
from agents.brain.stepping.engine import SteppingEngine
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.health import EngineDescription
from stores.weights.adapters import Shape

if TYPE_CHECKING:
    from agents.brain.stepping.prompts import Prompts
    from agents.brain.stepping.runner import Runner
    from agents.brain.stepping.vocabulary import Vocabulary
    from bus.settings import Settings
    from stores.weights.registry import Model

_KINDS = ("exl2", "gptq", "safetensors")
_INSTEAD = "choose the engine llamacpp and a model with GGUF weights"


async def open_exllamav2(settings: Settings, model: Model, reason: str) -> SteppingEngine:
    """Load a model. Raises KaraisError saying what is missing and what to do instead."""
    check(settings, model)
    runner, card, vocabulary, prompts = await asyncio.to_thread(_load, settings, model)
    alone = type(runner).__name__ == "SingleRunner"
    description = EngineDescription(
        engine="exllamav2",
        model=model.name,
        context_tokens=runner.capacity,
        slots=1 if alone else settings.slots,
        threads=1,
        device=card,
        reason=f"{reason}; one answer at a time, since flash-attn is not there" if alone else reason,
    )
    # Its own kind of adapters is bound to its weights: none is taken until that can be tried on a card.
    adapters = Adapters(settings.models, Shape(model.name, 0, 1, 1, {}), lambda: None)
    return SteppingEngine(runner, description, model.manifest.profile, vocabulary, prompts, adapters)


def check(settings: Settings, model: Model) -> None:
    """Look at machine and weights, without the library.

    Raises KaraisError: ``invalid`` for weights that exllamav2 does not take,
    ``unavailable`` when there is no library or no card.
    """
    kind = model.manifest.kind
    if kind not in _KINDS:
        advice = {"gguf": "choose the engine llamacpp", "openvino": "choose the engine openvino"}.get(
            kind, "choose another with the setting `model`"
        )
        raise KaraisError(
            f"The model {model.name} in {model.folder} is {kind}, but exllamav2 takes EXL2, GPTQ and plain"
            f" safetensors: {advice}.",
            code=Code.INVALID,
        )
    if find_spec("exllamav2") is None:
        raise Unavailable(
            f"exllamav2 is not installed: run `pip install exllamav2`, or {_INSTEAD}. `karais doctor` says"
            " whether the card is worth it."
        )
    if settings.gpu_layers == 0:
        raise Unavailable(f"exllamav2 computes on cards alone, and gpu_layers is 0: {_INSTEAD}.")
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Unavailable(f"torch cannot be loaded ({error}): install the extra `server`.") from None
    if not torch.cuda.is_available():
        raise Unavailable(
            "exllamav2 computes on NVIDIA cards alone, and torch found none that it can use: run"
            f" `karais doctor` to see why, or {_INSTEAD}."
        )


def _load(settings: Settings, model: Model) -> tuple[Runner, str, Vocabulary, Prompts]:
    vocabulary, prompts = text_side(model)  # before the weights, which take longer
    import torch

    try:
        import exllamav2
        from exllamav2 import attn
    except Exception as error:  # noqa: BLE001 - it compiles itself here, and raises what the compiler says
        raise Unavailable(
            f"exllamav2 cannot be loaded ({_line(error)}): it needs CUDA's toolkit with nvcc and the torch"
            f" that it was made for; run `karais doctor`, or {_INSTEAD}."
        ) from None
    try:
        runner = _runner(exllamav2, attn, str(model.folder), settings.context, settings.slots)
    except torch.OutOfMemoryError:
        raise _no_room(model, settings.context) from None
    except Exception as error:
        if "Insufficient VRAM" in str(error):
            raise _no_room(model, settings.context) from None
        raise Unavailable(
            f"exllamav2 cannot load the model {model.name} in {model.folder} ({_line(error)}): its weights"
            " may be damaged, or of an architecture that it does not know."
        ) from error
    return runner, torch.cuda.get_device_name(0), vocabulary, prompts


def _runner(library: Any, attn: Any, folder: str, context: int, slots: int) -> Runner:
    from agents.brain.engines.exllamav2.runner import PAGE, PagedRunner, SingleRunner

    config = library.ExLlamaV2Config(folder)
    config.arch_compat_overrides(quiet=True)
    config.max_seq_len = -(-context // PAGE) * PAGE
    config.max_batch_size = slots
    model = library.ExLlamaV2(config)
    cache = library.ExLlamaV2Cache(model, batch_size=1, max_seq_len=config.max_seq_len, lazy=True)
    model.load_autosplit(cache)
    if attn.has_flash_attn_with_paged and not config.no_flash_attn:
        return PagedRunner(model, cache, attn.ExLlamaV2Attention.PagedParams)
    return SingleRunner(model, cache)


def _no_room(model: Model, context: int) -> Unavailable:
    return Unavailable(
        f"The model {model.name} in {model.folder} does not fit on the card with a context of {context:,}"
        f" tokens: set a smaller `context`, take a smaller variant, or {_INSTEAD}."
    )


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(". ")
