"""A model on transformers, as an ``Engine``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agents.brain.stepping.engine import SteppingEngine
from agents.brain.stepping.prompts import Prompts
from agents.brain.stepping.vocabulary import Vocabulary
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.health import EngineDescription
from stores.weights import gguf_header, tokenizer, tokenizer_folder

if TYPE_CHECKING:
    from agents.brain.engines.huggingface.loading import Loaded
    from agents.brain.stepping.runner import Runner
    from bus.settings import Settings
    from stores.weights.registry import Model


async def open_transformers(settings: Settings, model: Model, reason: str, threads: int) -> SteppingEngine:
    """Load a model. Raises KaraisError, naming the file or folder, when that fails."""
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
    return SteppingEngine(runner, description, model.manifest.profile, vocabulary, prompts)


def text_side(model: Model) -> tuple[Vocabulary, Prompts]:
    """Return what makes tokens of messages, for a GGUF file or a folder. Raises KaraisError ``invalid``."""
    profile = model.manifest.profile
    if model.manifest.kind == "gguf":
        header = gguf_header.read_header(model.weights)
        vocabulary = Vocabulary(tokenizer.build(header), tokenizer.special(header))
        template = str(header.metadata.get("tokenizer.chat_template") or "")
        control = gguf_header.control_tokens(header)
    else:
        found = tokenizer_folder.read(model.folder)
        vocabulary = Vocabulary(found.tokenizer, found.special)
        template, control = found.template, found.control
    if not (profile.template or template):
        raise KaraisError(
            f"The model {model.name} in {model.weights} has no chat template, so it was not made for"
            " conversations: choose an instruct model.",
            code=Code.INVALID,
        )
    control = tuple(dict.fromkeys((*profile.control_tokens, *control)))
    return vocabulary, Prompts(profile.template or template, vocabulary, control)


def _load(settings: Settings, model: Model, threads: int) -> tuple[Runner, Loaded, Vocabulary, Prompts]:
    from agents.brain.engines.huggingface.loading import load

    loaded = load(settings, model, threads)
    vocabulary, prompts = text_side(model)
    return _runner(loaded, settings.context), loaded, vocabulary, prompts


def _runner(loaded: Loaded, context: int) -> Runner:
    from agents.brain.engines.huggingface.alone import AloneRunner
    from agents.brain.engines.huggingface.packed import PackedRunner, can_be_packed

    shapes = can_be_packed(loaded.model)
    if shapes is None:
        return AloneRunner(loaded.model, context)
    return PackedRunner(loaded.model, context, shapes)
