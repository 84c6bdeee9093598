"""The engines, and the choice of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from stores.weights import registry

if TYPE_CHECKING:
    from agents.brain.engine import Engine
    from bus.settings import Settings


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Engine]:
    """Load the model of the settings into its engine; free it at the end.

    Raises KaraisError when the model or the script is missing, damaged or
    cannot be loaded.
    """
    engine: Engine
    if settings.engine == "scripted":
        from agents.brain.engines.scripted import ScriptedEngine

        engine = ScriptedEngine.open(settings)
    elif settings.engine == "openvino":
        from agents.brain.engines.llamacpp_load import physical_cores
        from agents.brain.engines.openvino.opening import open_openvino

        model = registry.find(settings.models, settings.model)
        engine = await open_openvino(settings, model, "chosen", settings.threads or physical_cores())
    else:
        from agents.brain.engines.llamacpp import LlamaCppEngine

        engine = await LlamaCppEngine.open(settings, registry.find(settings.models, settings.model))
    try:
        yield engine
    finally:
        await engine.close()
