"""The engines, and the choice of one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agents.brain.engines.selecting import select
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights import registry

if TYPE_CHECKING:
    from agents.brain.engine import Engine
    from bus.settings import Settings
    from stores.weights.registry import Model

log = logging.getLogger(__name__)


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
    else:
        model = await asyncio.to_thread(registry.find, settings.models, settings.model)
        choice = await asyncio.to_thread(select, settings, model)
        log.info("the engine is %s: %s", choice.engine or "none", choice.reason)
        try:
            engine = await _open(choice.engine, choice.reason, settings, model)
        except KaraisError as error:
            if settings.engine != "auto" or choice.engine == "llamacpp" or model.manifest.kind != "gguf":
                raise
            log.warning("%s", error)
            engine = await _open("llamacpp", f"{choice.engine} failed: {error}", settings, model)
    try:
        yield engine
    finally:
        await engine.close()


async def _open(kind: str, reason: str, settings: Settings, model: Model) -> Engine:
    match kind:
        case "llamacpp":
            from agents.brain.engines.llamacpp import LlamaCppEngine

            return await LlamaCppEngine.open(settings, model)
        case "openvino":
            from agents.brain.engines.openvino.opening import open_openvino

            return await open_openvino(settings, model, reason)
        case "transformers":
            from agents.brain.engines.huggingface.opening import open_transformers

            return await open_transformers(settings, model, reason)
        case "exllamav2":
            from agents.brain.engines.exllamav2.opening import open_exllamav2

            return await open_exllamav2(settings, model, reason)
        case _:
            raise KaraisError(
                f"No engine takes the model {model.name} here: {reason}; choose another with the setting"
                " `model`.",
                code=Code.INVALID,
            )
