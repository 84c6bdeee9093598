"""Adapters over a model's weights: loaded while the engine runs, mixed, refused where they do not fit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import pytest_asyncio

from agents.brain.engine import ChatMessage, Engine
from agents.brain.engines import open_engine
from bus.settings import Settings
from ops import models
from schemas.chat import Sampling
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights import adapters, registry
from stores.weights.gguf_header import read_header
from stores.weights.merge import merge
from tests.random_adapters import random_halves, write_gguf, write_peft

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "smollm2-135m-instruct"
QUESTION = [ChatMessage("system", "You are KARAIS."), ChatMessage("user", "Tell me of the sea.")]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the default model, and one adapter in both formats."""
    if find_spec("openvino_genai") is None:
        pytest.skip("needs the extra openvino")
    home = tmp_path_factory.mktemp("adapters")
    there = Path(os.environ.get("KARAIS_TEST_MODELS") or Settings().models).expanduser()
    try:
        registry.find(there, MODEL)
    except KaraisError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"needs the default model: {error}")
    (home / "models").mkdir()
    (home / "models" / MODEL).symlink_to(there / MODEL, target_is_directory=True)
    settings = Settings(home=home, engine="openvino", model=MODEL, context=2048, gpu_layers=0)
    shape = shape_of(settings)
    halves = random_halves(shape)
    models.add(settings, write_peft(home / "peft", halves), "tone")
    models.add(settings, write_gguf(home / "tone.gguf", halves, shape), "tone-gguf")
    return settings


def shape_of(settings: Settings) -> adapters.Shape:
    return adapters.shape_of(MODEL, read_header(registry.find(settings.models, MODEL).weights))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    async with open_engine(settings) as opened:
        yield opened


async def said(engine: Engine, adapter: str = "", tokens: int = 20, **more: Any) -> str:
    sampling = Sampling(max_tokens=tokens, temperature=0, adapter=adapter, **more)
    return "".join([piece.text async for piece in engine.generate(QUESTION, sampling)])


async def test_an_adapter_changes_the_answer_and_going_back_gives_the_first_one(engine: Engine) -> None:
    plain = await said(engine)
    changed = await said(engine, "tone")
    assert changed != plain
    assert await said(engine) == plain
    assert await said(engine, "tone") == changed


async def test_both_formats_are_the_same_adapter(engine: Engine) -> None:
    assert await said(engine, "tone-gguf") == await said(engine, "tone")


async def test_answers_with_and_without_run_together_and_are_what_they_are_alone(engine: Engine) -> None:
    alone = {adapter: await said(engine, adapter) for adapter in ("", "tone")}
    wanted = ["", "tone", "", "tone", "tone"]
    assert await asyncio.gather(*(said(engine, adapter) for adapter in wanted)) == [alone[a] for a in wanted]


async def test_an_adapter_that_is_added_while_it_runs_is_used_and_disturbs_no_answer(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    before = await said(engine, tokens=60)
    running = asyncio.create_task(said(engine, tokens=60))
    added = random_halves(shape_of(settings), seed=5)
    await asyncio.to_thread(models.add, settings, write_peft(tmp_path / "late", added), "late")
    assert await said(engine, "late") not in (await said(engine), await said(engine, "tone"))
    assert await running == before
    await asyncio.to_thread(registry.remove, settings.models, "late")
    with pytest.raises(KaraisError) as gone:
        await said(engine, "late")
    assert gone.value.code is Code.NOT_FOUND


async def test_another_adapter_under_the_same_name_is_another_one(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    answers = []
    for seed in (6, 7):
        halves = random_halves(shape_of(settings), seed=seed)
        await asyncio.to_thread(models.add, settings, write_peft(tmp_path / str(seed), halves), "twice")
        answers.append(await said(engine, "twice"))
        await asyncio.to_thread(registry.remove, settings.models, "twice")
    assert answers[0] != answers[1]


async def test_one_for_another_model_is_refused_and_names_what_does_not_fit(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    other = adapters.Shape("other", 30, 9, 3, dict.fromkeys(adapters.PARTS, (64, 64)))
    await asyncio.to_thread(models.add, settings, write_peft(tmp_path / "o", random_halves(other)), "other")
    running = asyncio.create_task(said(engine, tokens=30))
    with pytest.raises(KaraisError, match=r"layer 0, part down.*made for another model") as refused:
        await said(engine, "other")
    assert refused.value.code is Code.INVALID
    with pytest.raises(KaraisError, match="is no adapter"):
        await said(engine, MODEL)
    assert await running


async def test_values_that_are_no_numbers_are_refused(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    halves = random_halves(shape_of(settings))
    halves[3, "v"][1][5, 1] = np.nan
    await asyncio.to_thread(models.add, settings, write_peft(tmp_path / "nan", halves), "broken")
    with pytest.raises(KaraisError, match="layer 3, part v, hold values that are no numbers"):
        await said(engine, "broken")


async def test_a_merged_adapter_is_in_the_weights(settings: Settings) -> None:
    """Each weight is what base and adapter come to, but for one rounding to the file's format."""
    found = [registry.find(settings.models, name) for name in (MODEL, "tone")]
    merged = await asyncio.to_thread(merge, settings.models, *found, "merged")
    assert merged.manifest.source.startswith(f"merge:{MODEL}+tone@")
    shape = shape_of(settings)
    tone = adapters.read(registry.find(settings.models, "tone"), shape)
    before, after = (
        {tensor.name: tensor for tensor in gguf.GGUFReader(model.weights).tensors}
        for model in (registry.find(settings.models, MODEL), merged)
    )
    for place, heads in (((0, "q"), shape.heads), ((29, "k"), shape.kv_heads), ((7, "down"), 0)):
        name = next(name for name in before if adapters.place_of(name) == place)
        low = tone.places[place]
        added = low.b @ low.a * low.scale
        wanted = dequantised(before[name]) + (adapters.permuted(added, heads) if heads else added)
        off = np.abs(dequantised(after[name]) - wanted)
        assert off.max() <= np.abs(wanted).max() / 127
        assert np.abs(added).mean() > 10 * off.mean()


def dequantised(tensor: Any) -> np.ndarray:
    return np.asarray(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
