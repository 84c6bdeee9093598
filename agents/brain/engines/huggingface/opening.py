"""A model on transformers, as an ``Engine``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agents.brain.engines.llamacpp_load import physical_cores
from agents.brain.engines.texts import text_side
from agents.brain.stepping.adapters import Adapters
from agents.brain.stepping.engine import SteppingEngine
from schemas.health import EngineDescription

if TYPE_CHECKING:
    from agents.brain.engines.huggingface.loading import Loaded
    from agents.brain.stepping.prompts import Prompts
    from agents.brain.stepping.runner import Runner
    from agents.brain.stepping.vocabulary import Vocabulary
    from bus.settings import Settings
    from stores.weights.registry import Model


async def open_transformers(settings: Settings, model: Model, reason: str) -> SteppingEngine:
    """Load a model. Raises KaraisError, naming the file or folder, when that fails."""
    threads = settings.threads or physical_cores()
    runner, loaded, vocabulary, prompts = await asyncio.to_thread(_load, settings, model, threads)
    description = EngineDescription(
        engine="transformers",
        model=model.name,
        context_tokens=runner.capacity,
        slots=settings.slots,
        threads=threads,
        device=loaded.device,
        reason=f"{reason}; {loaded.reason}",
    )
    from agents.brain.engines.huggingface.adapting import shape_of

    shape = shape_of(model.name, loaded.model)
    adapters = Adapters(settings.models, shape, lambda: None)
    return SteppingEngine(runner, description, model.manifest.profile, vocabulary, prompts, adapters)


def _load(settings: Settings, model: Model, threads: int) -> tuple[Runner, Loaded, Vocabulary, Prompts]:
    from agents.brain.engines.huggingface.loading import load

    vocabulary, prompts = text_side(model)  # before the weights, which take longer
    loaded = load(settings, model, threads)
    return runner_of(loaded, settings.context), loaded, vocabulary, prompts


def runner_of(loaded: Loaded, context: int) -> Runner:
    """Return the quicker of the runners that a model can be run with."""
    from agents.brain.engines.huggingface.alone import AloneRunner
    from agents.brain.engines.huggingface.packed import PackedRunner, can_be_packed

    shapes = can_be_packed(loaded.model)
    if shapes is None:
        return AloneRunner(loaded.model, context)
    return PackedRunner(loaded.model, context, shapes)
