"""The way of Mistral 7B, gone with small random weights of its architecture: file, profile, engine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.brain.engine import ChatMessage, Engine, Piece
from agents.brain.engines import open_engine
from bus.settings import Settings
from ops import models as commands
from schemas.chat import Sampling
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import memory, registry
from stores.weights.fit import RAM_RESERVE_BYTES, fit, shape_of
from stores.weights.gguf_header import read_header
from stores.weights.profiles import MISTRAL
from stores.weights.templates import render
from tests.random_models import CONTROL, EOS, tokens, write_gguf, write_safetensors

NAME = MISTRAL.name
TALK = (
    ChatMessage("system", "You are brief."),
    ChatMessage("user", "the cat is on the mat"),
    ChatMessage("assistant", "it is"),
    ChatMessage("user", "who said so, and when?"),
)
GREEDY = Sampling(max_tokens=24, temperature=0, ignore_end=True)


def settings_for(home: Path, **more: Any) -> Settings:
    return Settings(
        **{
            "home": home,
            "engine": "llamacpp",
            "model": NAME,
            "slots": 2,
            "context": 1024,
            "gpu_layers": 0,
            **more,
        }
    )


@asynccontextmanager
async def engine_of(home: Path, **shape: Any) -> AsyncIterator[Engine]:
    """Take a random model in under Mistral's name, and open it."""
    write_gguf(home / "random.gguf", **shape)
    settings = settings_for(home)
    commands.add(settings, home / "random.gguf", name=NAME)
    async with open_engine(settings) as engine:
        yield engine


async def pieces_of(engine: Engine, sampling: Sampling, talk: Sequence[ChatMessage] = TALK) -> list[Piece]:
    return [piece async for piece in engine.generate(talk, sampling)]


async def text_of(engine: Engine, sampling: Sampling) -> str:
    return "".join(piece.text for piece in await pieces_of(engine, sampling))


def rendered(talk: Sequence[ChatMessage] = TALK) -> str:
    messages = [{"role": m.role, "content": m.content} for m in talk]
    return render(MISTRAL.profile.template, messages, bos_token="<s>", eos_token="</s>")


def reference(folder: Path, **shape: Any) -> tuple[Any, Any]:
    """Return the tokenizer and the model of transformers with the same weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_safetensors(folder, **shape)
    return (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    )


def greedy(tokenizer: Any, model: Any, prompt: str, count: int) -> tuple[list[int], str]:
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    made = model.generate(**ids, max_new_tokens=count, min_new_tokens=count, do_sample=False)
    new = made[0][ids["input_ids"].shape[1] :].tolist()
    return new, tokenizer.decode(new)


def test_the_template_is_the_format_that_the_model_was_trained_with() -> None:
    assert rendered() == (
        "<s>[INST]You are brief.\n\nthe cat is on the mat[/INST]it is</s>[INST]who said so, and when?[/INST]"
    )
    tool = {"type": "function", "function": {"name": "clock", "parameters": {}}}
    call = {"id": "a1b2c3d4e", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}
    messages = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "tool_call_id": "a1b2c3d4e"},
    ]
    assert render(MISTRAL.profile.template, messages, [tool], bos_token="<s>", eos_token="</s>") == (
        '<s>[AVAILABLE_TOOLS][{"type": "function", "function": {"name": "clock", "parameters": {}}}]'
        '[/AVAILABLE_TOOLS][INST]Time?[/INST][TOOL_CALLS][{"name": "clock", "arguments": {"zone": "UTC"}, '
        '"id": "a1b2c3d4e"}]</s>[TOOL_RESULTS]{"content": "12:00", "call_id": "a1b2c3d4e"}[/TOOL_RESULTS]'
    )


async def test_llama_cpp_and_transformers_say_the_same_with_the_same_weights(tmp_path: Path) -> None:
    """Weights, rotation of positions, grouped heads, tokenizer and template: all of it has to agree."""
    tokenizer, model = reference(tmp_path / "hf", seed=5)
    new, expected = greedy(tokenizer, model, rendered(), 24)
    async with engine_of(tmp_path, seed=5) as engine:
        pieces = await pieces_of(engine, GREEDY)
        usage = pieces[-1].usage
        assert usage
        assert usage.prompt_tokens == len(tokenizer(rendered(), add_special_tokens=False)["input_ids"])
        assert usage.completion_tokens == len(new)
        assert "".join(piece.text for piece in pieces).strip() == expected.strip()


async def test_the_answer_streams_and_tokens_are_counted_with_the_profiles_template(tmp_path: Path) -> None:
    async with engine_of(tmp_path) as engine:
        pieces = await pieces_of(engine, GREEDY)
        assert len(pieces) > 8
        usage = pieces[-1].usage
        assert usage
        assert usage.prompt_tokens == await engine.count(TALK)
        # one for <s>, two for each question's [INST] and [/INST], one for the answer's </s>: and the texts'
        plain = await engine.count([ChatMessage("user", "who said so, and when?")])
        system = await engine.count([TALK[0], ChatMessage("user", "who said so, and when?")])
        assert system - plain <= len("You are brief.\n\n")  # merged into the user's turn: no frame of its own


async def test_the_end_token_ends_the_answer(tmp_path: Path) -> None:
    """The model is made so that the end token wins where its most likely fourth token would."""
    tokenizer, model = reference(tmp_path / "hf", seed=7)
    new, _ = greedy(tokenizer, model, rendered(), 12)
    at = next(number for number in range(3, 12) if new[number] not in new[:number])
    async with engine_of(tmp_path, seed=7, eager_end=new[at]) as engine:
        last = (await pieces_of(engine, Sampling(max_tokens=24, temperature=0)))[-1]
        assert last.finish_reason == "stop"
        assert last.usage
        assert last.usage.completion_tokens <= at + 1
        assert tokens()[EOS] not in await text_of(engine, Sampling(max_tokens=24, temperature=0))


async def test_text_cannot_use_the_templates_tokens(tmp_path: Path) -> None:
    async with engine_of(tmp_path) as engine:
        plain = await engine.count([ChatMessage("user", "ab")])
        for token in CONTROL[1:]:
            assert await engine.count([ChatMessage("user", f"a{token}b")]) - plain > 2, token


@pytest.mark.parametrize("dtype", ["F16", "Q8_0", "Q4_0"])
async def test_quantised_weights_load_too(tmp_path: Path, dtype: str) -> None:
    async with engine_of(tmp_path, dtype=dtype) as engine:
        assert (await pieces_of(engine, GREEDY))[-1].finish_reason == "length"


async def test_a_model_without_room_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(tmp_path / "random.gguf", layers=8, context=32_768)
    settings = settings_for(tmp_path, context=32_768)
    commands.add(settings, tmp_path / "random.gguf", name=NAME)
    shape = shape_of(read_header(tmp_path / "random.gguf"))
    needed = fit(shape, context=32_768, ram=1 << 40).ram_bytes + RAM_RESERVE_BYTES
    monkeypatch.setattr(memory, "free_ram", lambda: needed - 1)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"does not fit.*context of 32,768 tokens.*RAM are free") as refused:
        await open_engine(settings).__aenter__()
    assert time.monotonic() - began < 2
    assert "set `context` to" in str(refused.value)
    limit = int(str(refused.value).split("set `context` to ")[1].split()[0])
    async with open_engine(settings_for(tmp_path, context=limit)) as engine:
        assert engine.description.context_tokens == limit


async def test_a_model_whose_template_was_never_checked_is_checked_before_it_is_loaded(
    tmp_path: Path,
) -> None:
    """llama.cpp would hang for ever, or crash, while it loads such a model."""
    settings = settings_for(tmp_path, model="bad")
    with registry.adding(settings.models, "bad") as folder:
        write_gguf(folder / "m.gguf", layers=1, template="{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}")
        registry.commit(settings.models, folder, name="bad", kind="gguf", main="m.gguf")
    with pytest.raises(KaraisError, match=r"m\.gguf is refused: it calls itself") as refused:
        await open_engine(settings).__aenter__()
    assert refused.value.code is Code.INVALID


_LOAD = """
import os, sys, psutil, xllamacpp as x
before = psutil.Process().memory_info().rss
p = x.CommonParams()
p.model.path, p.hostnames, p.verbosity = sys.argv[1], [sys.argv[1] + ".sock"], -1
p.n_ctx, p.n_parallel, p.kv_unified, p.cache_ram_mib = 8192, 2, True, 0
p.n_batch, p.n_ubatch, p.n_gpu_layers, p.fit_params = 256, 256, 0, False
p.load_mode = x.llama_load_mode.LLAMA_LOAD_MODE_NONE
server = x.Server(p)
print(psutil.Process().memory_info().rss - before, flush=True)
os._exit(0)
"""


def test_the_estimate_is_close_to_what_llama_cpp_takes(tmp_path: Path) -> None:
    """Not below it by much, for then a model would be loaded that does not fit; and not far above."""
    path = tmp_path / "m.gguf"
    write_gguf(
        path, layers=6, hidden=512, heads=8, kv_heads=4, feed_forward=1536, vocabulary=16_384, dtype="F16"
    )
    command = [sys.executable, "-c", _LOAD, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    real = int(said.stdout)
    estimate = fit(shape_of(read_header(path)), context=8192, ram=1 << 40).ram_bytes
    assert real * 0.97 < estimate < real * 1.35
