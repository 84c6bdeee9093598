"""The engines that the contract is held against, and how the tests ask them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from agents.brain.engine import ANYONE, ChatMessage, Constraint, Engine, Piece, Place
from bus.settings import Settings
from schemas.chat import Sampling
from schemas.errors import KaraisError
from stores.weights import intake, registry
from tests.random_models import write_safetensors

KINDS: dict[str, str] = {
    "scripted": "",
    "llamacpp": "xllamacpp",
    "openvino": "openvino_genai",
    "transformers": "transformers",
    "exllamav2": "exllamav2",
}
"""Each engine, and the package that it needs."""
MODEL = "smollm2-135m-instruct"
CONTEXT = 4096
SLOTS = 8
SLOW_SCRIPT = '{"tokens_per_second": 500, "prefill_seconds": 0.1}'


def settings_for(kind: str, folder: Path) -> Settings:
    """Settings for an engine; the real ones take the models that `karais models pull` got."""
    if kind == "scripted":
        script = folder / "script.json"
        script.write_text(SLOW_SCRIPT)
        return Settings(home=folder, engine="scripted", script=script, slots=SLOTS, context=CONTEXT)
    package = KINDS[kind]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if kind == "transformers" and not os.environ.get("KARAIS_TEST_SOAK"):
        # The contract is about the engine: with the default model it takes minutes, which `make soak` has.
        write_safetensors(folder / "hf", seed=3)
        intake.take(folder / "models", folder / "hf", "random", source="test")
        return Settings(home=folder, engine=kind, model="random", slots=SLOTS, context=CONTEXT, gpu_layers=0)
    model = MODEL if kind != "exllamav2" else _exl2_model()
    models = Path(os.environ.get("KARAIS_TEST_MODELS") or Settings().models).expanduser()
    try:
        registry.find(models, model)
    except KaraisError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"needs the default model: {error}")
    (folder / "models").symlink_to(models, target_is_directory=True)
    layers = 0 if kind != "exllamav2" else -1
    return Settings(home=folder, engine=kind, model=model, slots=SLOTS, context=CONTEXT, gpu_layers=layers)


def _exl2_model() -> str:
    """Return the model for the engine that takes no GGUF file and no processor."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("exllamav2 needs an NVIDIA card, and torch finds none")
    name = os.environ.get("KARAIS_TEST_EXL2_MODEL")
    if not name:
        pytest.skip("KARAIS_TEST_EXL2_MODEL names no instruct model with EXL2 or GPTQ weights")
    return name


async def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Wait until something holds that announces itself by no event."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, "it did not happen in time"
        await asyncio.sleep(0.002)


def asking(text: str) -> list[ChatMessage]:
    return [ChatMessage("system", "You are a helpful assistant."), ChatMessage("user", text)]


async def pieces_of(
    engine: Engine,
    text: str,
    sampling: Sampling,
    *,
    constraint: Constraint | None = None,
    place: Place = ANYONE,
) -> list[Piece]:
    answer = engine.generate(asking(text), sampling, constraint=constraint, place=place)
    return [piece async for piece in answer]


async def text_of(engine: Engine, text: str, sampling: Sampling, constraint: Constraint | None = None) -> str:
    return "".join(piece.text for piece in await pieces_of(engine, text, sampling, constraint=constraint))
