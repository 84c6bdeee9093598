"""The engine ``transformers`` as the reference: it and the others say the same of the same weights."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.brain.engine import ChatMessage, Constraint, Engine
from agents.brain.engines import open_engine
from bus.settings import Settings
from schemas.chat import Likelihood, Sampling
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import intake, registry
from stores.weights.adapters import Adapter, Low
from tests.random_adapters import random_halves
from tests.random_models import write_gguf, write_safetensors

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

DEFAULT = "smollm2-135m-instruct"
TOKENS = 24
ASKED = "Tell me of the sea."


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model twice with the same weights: as a GGUF file and as a folder of safetensors."""
    folder = tmp_path_factory.mktemp("models")
    source = tmp_path_factory.mktemp("written")
    write_gguf(source / "model.gguf", seed=3)
    write_safetensors(source / "hf", seed=3)
    intake.take(folder / "models", source / "model.gguf", "random-gguf", source="test")
    intake.take(folder / "models", source / "hf", "random-hf", source="test")
    return folder


def default_model() -> registry.Model:
    source = Path(os.environ.get("KARAIS_TEST_MODELS") or Settings().models).expanduser()
    try:
        return registry.find(source, DEFAULT)
    except KaraisError as error:
        pytest.skip(f"needs the default model: {error}")


def settings(home: Path, engine: str, model: str, **more: Any) -> Settings:
    return Settings(home=home, engine=engine, model=model, slots=4, context=1024, gpu_layers=0, **more)


async def said(engine: Engine, text: str, sampling: Sampling) -> tuple[str, list[Likelihood], int]:
    """Return the text, the likelihoods of its tokens, and the prompt's tokens that were there before."""
    pieces = [piece async for piece in engine.generate([ChatMessage("user", text)], sampling)]
    usage = pieces[-1].usage
    assert usage is not None
    return "".join(p.text for p in pieces), [t for p in pieces for t in p.logprobs], usage.cached_tokens


def sure(reference: Sequence[Likelihood], apart: float) -> int:
    """Return how many tokens come before a place where the two best are nearly equally likely."""
    for number, token in enumerate(reference):
        first, second = token.top[:2]
        if first.logprob - second.logprob < 2 * apart:
            return number
    return len(reference)


async def agree(home: Path, reference: tuple[str, str], others: Sequence[tuple[str, str, float]]) -> None:
    """Compare greedy answers, up to where rounding may decide."""
    sampling = Sampling(max_tokens=TOKENS, temperature=0, ignore_end=True, logprobs=5)
    async with open_engine(settings(home, *reference)) as engine:
        _, expected, _ = await said(engine, ASKED, sampling)
        count = await engine.count([ChatMessage("user", ASKED)])
    assert len(expected) == TOKENS
    for kind, model, apart in others:
        if kind == "openvino":
            pytest.importorskip("openvino_genai")
        async with open_engine(settings(home, kind, model)) as engine:
            text, likely, _ = await said(engine, ASKED, sampling)
            assert await engine.count([ChatMessage("user", ASKED)]) == count, kind
        compared = sure(expected, apart)
        assert compared >= 4, f"the reference is sure of {compared} tokens alone"
        wanted = b"".join(bytes(token.bytes) for token in expected[:compared])
        assert text.encode().startswith(wanted), f"{kind}: {text!r}, wanted {wanted!r}"
        for token, other in zip(expected[:compared], likely, strict=False):
            assert token.token == other.token, kind
            assert abs(token.logprob - other.logprob) <= apart, (kind, token.token)


async def test_the_same_weights_say_the_same_from_every_file_and_engine(models: Path) -> None:
    """Float32 throughout: what differs is the order of sums, and llama.cpp's keys and values.

    Those are float16, a relative error of 5e-4; over 4 layers that comes to less
    than the tolerance in the logarithm of a probability. OpenVINO cannot read
    this file: its reader knows no SentencePiece vocabulary.
    """
    await agree(
        models,
        ("transformers", "random-hf"),
        [("transformers", "random-gguf", 1e-3), ("llamacpp", "random-gguf", 0.02)],
    )


async def test_the_default_model_says_the_same_on_every_engine(tmp_path: Path) -> None:
    """Weights of 8 bits; the reference computes with them in float32.

    OpenVINO does nearly the same (0.02 apart at most, when this was written);
    llama.cpp rounds each layer's input to 8 bits too, a relative error of 4e-3
    in each of 30 layers (0.15 apart). A wrong position, mask or weight is
    several units apart at once.
    """
    model = default_model()
    # without the profile's sampling, which each engine does in its own way
    intake.take(tmp_path / "models", model.weights, DEFAULT, source="test")
    await agree(
        tmp_path, ("transformers", DEFAULT), [("llamacpp", DEFAULT, 0.35), ("openvino", DEFAULT, 0.1)]
    )


async def test_a_prompt_continues_what_was_read_before_token_by_token(models: Path) -> None:
    """All but the last token of a prompt that was read before is there; of another, what they share."""
    sampling = Sampling(max_tokens=8, temperature=0)
    async with open_engine(settings(models, "transformers", "random-hf")) as engine:
        first, _, cached = await said(engine, "one two three four five", sampling)
        assert cached == 0
        again, _, cached = await said(engine, "one two three four five", sampling)
        assert again == first
        assert cached == await engine.count([ChatMessage("user", "one two three four five")]) - 1
        other, _, shared = await said(engine, "one two three and no more", sampling)
        assert 10 < shared < cached
    async with open_engine(settings(models, "transformers", "random-hf")) as engine:
        fresh, _, _ = await said(engine, "one two three and no more", sampling)
        assert other == fresh


async def test_answers_side_by_side_are_what_they_are_alone(models: Path) -> None:
    """Lanes of other lengths in the same call change nothing."""
    sampling = Sampling(max_tokens=12, temperature=0, ignore_end=True)
    texts = ["a", "one two three " * 20, "the sea " * 5, "and then"]
    async with open_engine(settings(models, "transformers", "random-hf")) as engine:
        together = await asyncio.gather(*(said(engine, text, sampling) for text in texts))
    async with open_engine(settings(models, "transformers", "random-hf")) as engine:
        for text, (found, _, _) in zip(texts, together, strict=True):
            assert (await said(engine, text, sampling))[0] == found


def loaded(models: Path, name: str = "random-hf") -> Any:
    from agents.brain.engines.huggingface.loading import load

    found = settings(models, "transformers", name)
    return load(found, registry.find(found.models, name), 2).model


def test_lanes_in_one_call_give_the_logits_of_one_call_each(models: Path) -> None:
    """Both runners agree: prompts in portions, a shared beginning, a cut lane; packed and one by one."""
    from agents.brain.engines.huggingface.alone import AloneRunner
    from agents.brain.engines.huggingface.packed import PackedRunner, can_be_packed

    alone = AloneRunner(loaded(models), 512)
    model = loaded(models)
    shapes = can_be_packed(model)
    assert shapes is not None
    packed = PackedRunner(model, 512, shapes)
    first, second = list(range(20, 60)), [*range(20, 45), *range(100, 120)]
    for runner in (alone, packed):
        rows = []
        one = runner.begin(first, 64, "")
        assert one is not None
        rows.append(runner.forward([(one, first[:30])])[0].copy())
        two = runner.begin(second, 64, "")
        assert two is not None
        assert two.length == 25
        mixed = runner.forward([(two, second[25:]), (one, first[30:])])  # type: ignore[list-item]
        rows += [row.copy() for row in mixed]
        runner.end(two)
        three = runner.begin([*second, 7, 8], 64, "")
        assert three is not None
        assert three.length == len(second)
        assert runner.begin(second, 64, "other").length == 0  # type: ignore[union-attr]
        rows += [row.copy() for row in runner.forward([(three, [7, 8]), (one, [5])])]  # type: ignore[list-item]
        if runner is alone:
            expected = rows
    assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(expected, rows, strict=True))


def test_a_window_of_attention_is_kept(tmp_path: Path) -> None:
    """Mistral's first version sees 4,096 tokens back and no more: so does a packed lane."""
    from transformers import AutoModelForCausalLM

    from agents.brain.engines.huggingface.packed import PackedRunner, can_be_packed

    write_safetensors(tmp_path / "hf", seed=5)
    config = json.loads((tmp_path / "hf" / "config.json").read_text()) | {"sliding_window": 8}
    (tmp_path / "hf" / "config.json").write_text(json.dumps(config))
    tokens = [(37 * n) % 500 for n in range(40)]
    plain = AutoModelForCausalLM.from_pretrained(str(tmp_path / "hf"), dtype=torch.float32)
    with torch.inference_mode():
        expected = plain(input_ids=torch.tensor([tokens])).logits[0, -2:].numpy()
    shapes = can_be_packed(plain)
    assert shapes is not None
    runner = PackedRunner(plain, 256, shapes)
    lane = runner.begin(tokens, 64, "")
    assert lane is not None
    runner.forward([(lane, tokens[:20])])
    assert np.allclose(runner.forward([(lane, tokens[20:39])])[0], expected[0], atol=1e-3)
    assert np.allclose(runner.forward([(lane, tokens[39:])])[0], expected[1], atol=1e-3)


@pytest.mark.parametrize("kind", ["mamba", "bloom", "gpt2", "gpt_neox", "qwen3", "gemma2"])
def test_models_of_other_kinds_are_run_as_they_can_be(kind: str) -> None:
    """States, biases by distance, learned positions, caps: right in either way, whichever is taken."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from agents.brain.engines.huggingface.loading import Loaded
    from agents.brain.engines.huggingface.opening import runner_of

    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 200, "num_attention_heads": 4}
    more = {"intermediate_size": 128, "num_key_value_heads": 2, "head_dim": 16, "n_layer": 2, "n_head": 4}
    config = AutoConfig.for_model(kind, **sizes, **(more if kind != "gpt2" else {"n_embd": 64, "n_head": 4}))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    tokens = [(37 * n) % 200 for n in range(24)]
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([tokens])).logits[0, -1].numpy()
    runner = runner_of(Loaded(model=model, device="cpu", reason=""), 256)
    lane, other = runner.begin(tokens, 64, ""), runner.begin([5, 6, 7, 8], 64, "")
    runner.forward([(lane, tokens[:10]), (other, [5, 6, 7])])
    runner.forward([(other, [8]), (lane, tokens[10:23])])
    found = runner.forward([(lane, tokens[23:]), (other, [9])])[0]
    assert np.allclose(found, expected, atol=2e-3)


def test_after_a_step_that_failed_nothing_of_it_is_used(models: Path) -> None:
    """Memory that ran out: the error is told in words, what was kept is freed, and the runner goes on."""
    from agents.brain.engines.huggingface.packed import PackedRunner, can_be_packed

    model = loaded(models)
    shapes = can_be_packed(model)
    assert shapes is not None
    tokens = list(range(20, 50))
    runner = PackedRunner(model, 512, shapes)
    lane = runner.begin(tokens, 64, "")
    assert lane is not None
    expected = runner.forward([(lane, tokens)])[0].copy()
    runner.end(lane)

    class Full:
        """A model on a card that is full."""

        device = model.device

        def __call__(self, **_: object) -> object:
            raise torch.OutOfMemoryError("CUDA out of memory")

    lane = runner.begin(tokens, 64, "")
    assert lane is not None
    assert lane.length == len(tokens) - 1
    runner._model = Full()
    with pytest.raises(Unavailable, match="memory is full"):
        runner.forward([(lane, tokens[-1:])])
    runner.end(lane)
    runner._model = model
    lane = runner.begin(tokens, 64, "")
    assert lane is not None
    assert lane.length == 0
    assert np.allclose(runner.forward([(lane, tokens)])[0], expected, atol=1e-5)


async def test_an_answer_is_held_to_a_schema(models: Path) -> None:
    """A model that knows no JSON writes it, with a tokenizer that puts a space before every text."""
    schema = '{"type": "object", "properties": {"a": {"enum": ["yes", "no"]}}, "required": ["a"]}'
    for name in ("random-hf", "random-gguf"):
        async with open_engine(settings(models, "transformers", name)) as engine:
            sampling = Sampling(max_tokens=40, temperature=1.0, seed=1)
            messages = [ChatMessage("user", ASKED)]
            answer = engine.generate(messages, sampling, constraint=Constraint(schema))
            text = "".join([piece.text async for piece in answer])
            assert json.loads(text)["a"] in ("yes", "no")


def test_an_adapter_adds_what_merging_it_would_and_leaves_others_alone(models: Path) -> None:
    """Lanes with and without it share a call; merged into the weights, it gives the same logits."""
    from agents.brain.engines.huggingface.adapting import _linears, shape_of
    from agents.brain.engines.huggingface.packed import PackedRunner, can_be_packed

    model, merged = loaded(models), loaded(models)
    tokens = list(range(20, 40))
    places = {place: Low(a, b, 2.0) for place, (a, b) in random_halves(shape_of("random", model)).items()}
    with torch.inference_mode():
        plain = model(input_ids=torch.tensor([tokens])).logits[0, -1].numpy()
        for place, linear in _linears(merged).items():
            linear.weight += torch.from_numpy(places[place].b @ places[place].a * 2.0)
        changed = merged(input_ids=torch.tensor([tokens])).logits[0, -1].numpy()
    shapes = can_be_packed(model)
    assert shapes is not None
    runner = PackedRunner(model, 256, shapes)
    runner.adapt(Adapter("tone", "tone@1", places))
    without, with_it = runner.begin(tokens, 64, ""), runner.begin(tokens, 64, "tone@1")
    assert without is not None
    assert with_it is not None
    runner.forward([(without, tokens[:9]), (with_it, tokens[:9])])
    rows = runner.forward([(with_it, tokens[9:]), (without, tokens[9:])])
    assert np.abs(plain - changed).max() > 0.1
    assert np.allclose(rows[0], changed, atol=1e-3)
    assert np.allclose(rows[1], plain, atol=1e-3)


async def refused(models: Path, name: str) -> KaraisError:
    with pytest.raises(KaraisError) as error:
        await open_engine(settings(models, "transformers", name)).__aenter__()
    return error.value


def altered(models: Path, name: str, config: dict[str, Any] | None = None) -> Path:
    """Register a copy of the random folder under another name; return its files."""
    source = models / f"source-{name}"
    shutil.copytree(models / "models" / "random-hf", source, copy_function=shutil.copyfile)
    (source / "manifest.json").unlink()
    if config is not None:
        file = source / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return source


def has_run(models: Path) -> bool:
    return any(models.rglob("ran"))


async def test_an_architecture_that_is_not_known_is_refused_and_its_code_not_run(models: Path) -> None:
    source = altered(models, "strange", {"model_type": "strange", "auto_map": {"AutoConfig": "code.Config"}})
    (source / "code.py").write_text("import pathlib; pathlib.Path(__file__).with_name('ran').touch()")
    intake.take(models / "models", source, "strange", source="test")
    error = await refused(models, "strange")
    assert error.code is Code.INVALID
    assert "strange" in str(error)
    assert not has_run(models)


async def test_weights_that_lack_a_tensor_are_refused(models: Path) -> None:
    """The library would fill it with random numbers, and only say so in its log."""
    source = altered(models, "lacking", {"num_hidden_layers": 5})
    intake.take(models / "models", source, "lacking", source="test")
    assert "layers.4" in str(await refused(models, "lacking"))


async def test_weights_without_room_are_refused_with_the_numbers(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.weights.memory.free_ram", lambda: 200 << 20)
    error = await refused(models, "random-gguf")
    assert "It does not fit" in str(error)
    assert "float32" in str(error)


async def test_weights_of_another_kind_are_refused_with_the_engine_for_them(models: Path) -> None:
    source = altered(models, "four", {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    intake.take(models / "models", source, "four", source="test")
    assert "exllamav2" in str(await refused(models, "four"))


async def test_a_model_without_a_template_is_refused(models: Path) -> None:
    source = altered(models, "untold")
    file = source / "tokenizer_config.json"
    described = json.loads(file.read_text())
    del described["chat_template"]
    file.write_text(json.dumps(described))
    intake.take(models / "models", source, "untold", source="test")
    assert "chat template" in str(await refused(models, "untold"))


async def test_a_missing_library_is_named(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "agents.brain.engines.huggingface.loading.find_spec",
        lambda name: None if name == "accelerate" else object(),
    )
    assert "pip install accelerate" in str(await refused(models, "random-gguf"))
