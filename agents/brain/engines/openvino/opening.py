"""A model on OpenVINO, as an ``Engine``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from agents.brain.engines.openvino import fitting, graph
from agents.brain.engines.openvino.converting import MODEL, converted
from agents.brain.engines.openvino.runner import OpenVinoRunner
from agents.brain.stepping.engine import SteppingEngine
from agents.brain.stepping.prompts import Prompts
from agents.brain.stepping.vocabulary import Vocabulary
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.health import EngineDescription
from stores.weights import gguf_header, tokenizer

if TYPE_CHECKING:
    from bus.settings import Settings
    from stores.weights.registry import Model


async def open_openvino(settings: Settings, model: Model, reason: str, threads: int) -> SteppingEngine:
    """Load a model. Raises KaraisError naming the file when that fails."""
    if objection := fitting.objection(model):
        raise KaraisError(
            f"OpenVINO cannot run the model {model.name}: {objection}; choose the engine llamacpp.",
            code=Code.INVALID,
        )
    runner, vocabulary, prompts = await asyncio.to_thread(_load, settings, model, threads)
    description = EngineDescription(
        engine="openvino",
        model=model.name,
        context_tokens=runner.capacity,
        slots=settings.slots,
        threads=threads,
        device="cpu",
        reason=reason,
    )
    return SteppingEngine(runner, description, model.manifest.profile, vocabulary, prompts)


def _load(settings: Settings, model: Model, threads: int) -> tuple[OpenVinoRunner, Vocabulary, Prompts]:
    main = next(file for file in model.manifest.files if file.path == model.manifest.main)
    header = gguf_header.read_header(model.weights)
    vocabulary = Vocabulary(tokenizer.build(header), tokenizer.special(header))
    control = model.manifest.profile.control_tokens or gguf_header.control_tokens(header)
    prompts = Prompts(str(header.metadata["tokenizer.chat_template"]), vocabulary, control)
    folder = converted(model.weights, main.sha256, settings.cache / "openvino")
    try:
        runner = _runner(folder / MODEL, settings.context, threads)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1][:200]
        raise Unavailable(
            f"OpenVINO cannot load {folder} ({line}): remove the folder and try again."
        ) from None
    return runner, vocabulary, prompts


def _runner(model: Any, context: int, threads: int) -> OpenVinoRunner:
    import openvino

    core = openvino.Core()
    ready, caches = graph.compiled(core, model, threads)
    return OpenVinoRunner(ready, caches, context)
