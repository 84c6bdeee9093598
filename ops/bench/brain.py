"""`karais bench brain`: the brain beside the engines and servers that others use, on the same weights.

- **Speed**: eight users over the real WebSocket, gateway and bus, in turns
  with engines in a process of their own: openvino-genai, llama.cpp (xllamacpp)
  with the same file and with the published Q4_1 one, transformers'
  ``generate_batch``. Everyone has 8 slots and the same memory for keys and values.
- **Conversations**: 32 at a time of 6 turns with one system prompt, over the
  OpenAI interface of KARAIS and of llama.cpp's server. The least number of
  prompt tokens that has to be computed is counted by the model's tokenizer.
- **Turns**: the tenth turn's time to first token to the second's.
- **Cancel**: from the order to a free slot, while eight answers run, and in
  the middle of a long prompt.
- **Adapters**: from the order to the first token with an adapter that the
  engine did not know, beside seven running answers; a merged one's speed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from bus import settings as settings_module
from bus.settings import Settings
from ops.bench import brain_conversations as talks
from ops.bench import brain_inside
from ops.bench.brain_clients import Engine, engine
from ops.bench.brain_engines import tokens_in
from ops.bench.chat import TOPICS, Karais
from ops.bench.figures import Report, median, percentile
from ops.bench.household import Household, household
from schemas.errors import KaraisError
from stores.weights import registry
from stores.weights.gguf_header import read_header

PARTS = ("speed", "conversations", "turns", "cancel", "adapters")
PACKAGES = ("openvino-genai", "openvino", "xllamacpp", "transformers", "torch", "llguidance")
_KEYS_AND_VALUES = 1.125
"""Bytes of a value in the cache of KARAIS on the CPU: eight bits, and the scales."""


async def _speed(
    report: Report, running: Household, options: argparse.Namespace, files: dict[str, Path]
) -> None:
    """Tokens a second of eight users, everyone in turns."""
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(_session())
        karais = Karais(session, running.url, running.key)
        peers: dict[str, Engine] = {}
        for name, (kind, file) in _peers(files).items():
            if options.without and name in options.without:
                report.missing.append(f"{name}: left out by --without")
                continue
            try:
                peers[name] = await stack.enter_async_context(engine(kind, file, options.megabytes))
            except KaraisError as error:
                report.missing.append(f"{name}: {error}")
        rates: dict[str, list[float]] = {name: [] for name in ("KARAIS", *peers)}
        for number in range(options.rounds + 1):
            questions = [f"Tell me about {topic}, part {number}." for topic in TOPICS[: options.users]]
            measured = {"KARAIS": (await karais.round(questions, options.tokens)).rate}
            for name, peer in peers.items():
                tokens = options.tokens if name != "transformers" else max(8, options.tokens // 8)
                measured[name] = await peer.rate(questions, tokens)
            if number:  # the first round warms everyone up
                for name, rate in measured.items():
                    rates[name].append(rate)
    for name, values in rates.items():
        report.samples[f"tokens_per_second {name}"] = values
        report.add(f"tokens/s, {options.users} users: {name}", median(values), "tokens/s")

    def ratio(name: str) -> float:
        return median(k / p for k, p in zip(rates["KARAIS"], rates[name], strict=True))

    inside = [name for name in ("openvino-genai", "xllamacpp") if name in rates]
    if inside:
        fastest = max(inside, key=lambda name: median(rates[name]))
        report.add(f"  to the fastest in-process ({fastest})", ratio(fastest), "×", at_least=0.95)
    if "xllamacpp, Q4_1" in rates:
        report.add("  to xllamacpp with Q4_1", ratio("xllamacpp, Q4_1"), "×", at_least=2.3)
    if "transformers" in rates:
        report.add("  to transformers", ratio("transformers"), "×", at_least=10)


def _peers(files: dict[str, Path]) -> dict[str, tuple[str, Path]]:
    peers = {
        "openvino-genai": ("genai", files["model"]),
        "xllamacpp": ("xllamacpp", files["model"]),
        "transformers": ("transformers", files["model"]),
    }
    if "q4_1" in files:
        peers["xllamacpp, Q4_1"] = ("xllamacpp", files["q4_1"])
    return peers


async def _conversations(
    report: Report, running: Household, options: argparse.Namespace, files: dict[str, Path]
) -> None:
    """Time to first token and tokens computed, over the OpenAI interface of both."""
    tokens_of = brain_inside.tokens_of(files["model"])
    wanted = {"conversations": options.conversations, "turns": options.turns, "tokens": options.answer_tokens}
    found: dict[str, talks.Talk] = {}
    async with _session() as session:
        await talks.hold(session, running.url, running.key, conversations=1, turns=1, tokens=8)
        found["KARAIS"] = await talks.hold(session, running.url, running.key, **wanted)
        async with engine("xllamacpp", files["model"], options.megabytes) as peer:
            await talks.hold(session, peer.url, "", conversations=1, turns=1, tokens=8)
            found["xllamacpp"] = await talks.hold(session, peer.url, "", **wanted)
    report.missing.append(
        "transformers serve with 32 conversations: at its tokens a second (above) it would run for an hour"
    )
    p95 = {}
    for name, talk in found.items():
        firsts = [reply.first for reply in talk.replies]
        report.samples[f"first_token_s {name}"] = firsts
        p95[name] = percentile(firsts, 0.95)
        least = talks.least(talk, tokens_of)
        report.add(f"{options.conversations} conversations, first token p95: {name}", p95[name], "s")
        goal = 1.05 if name == "KARAIS" else None
        note = f"{talk.computed:,} of at least {least:,}"
        report.add(
            f"  prompt tokens computed to the fewest possible: {name}", talk.computed / least, "×",
            at_most=goal, note=note,
        )  # fmt: skip
    report.add("  first token p95 to the better server", p95["KARAIS"] / p95["xllamacpp"], "×", at_most=0.5)


async def _turns(report: Report, running: Household, options: argparse.Namespace) -> None:
    """The tenth turn's time to first token to the second's, of the same conversation."""
    second, tenth = [], []
    async with _session() as session:
        karais = Karais(session, running.url, running.key)
        for number in range(options.long_talks):
            firsts = await karais.conversation([talks.message(number, turn) for turn in range(10)], 24)
            second.append(firsts[1])
            tenth.append(firsts[9])
    report.samples |= {"second_turn_s": second, "tenth_turn_s": tenth}
    report.add("turn 2, first token, p50", median(second) * 1000, "ms")
    report.add("turn 10, first token, p50", median(tenth) * 1000, "ms")
    ratio = median(t / s for t, s in zip(tenth, second, strict=True))
    report.add("  turn 10 to turn 2", ratio, "×", at_most=1.2)


def _files(settings: Settings, options: argparse.Namespace, report: Report) -> dict[str, Path]:
    model = registry.find(settings.models, settings.model)
    files = {"model": model.weights}
    published = options.q4_1 or brain_inside.published_file(settings, model)
    if published is None:
        report.missing.append("xllamacpp, Q4_1: the published file cannot be had (name one with --q4-1)")
    else:
        files["q4_1"] = published
    return files


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


async def _run(options: argparse.Namespace) -> Report:
    report = Report("brain", PACKAGES)
    given = settings_module.load({"model": options.model, "home": options.home, "threads": options.threads})
    files = await asyncio.to_thread(_files, given, options, report)
    context = tokens_in(options.megabytes, read_header(files["model"]), _KEYS_AND_VALUES)
    chosen = {"model": given.model, "threads": given.threads, "context": context, "engine": options.engine}
    if set(options.parts) & {"speed", "conversations", "turns"}:
        with household(given.models, **chosen) as running:
            if "speed" in options.parts:
                await _speed(report, running, options, files)
            if "conversations" in options.parts:
                await _conversations(report, running, options, files)
            if "turns" in options.parts:
                await _turns(report, running, options)
    inside = [part for part in ("cancel", "adapters") if part in options.parts]
    if inside:
        await brain_inside.measure(report, given, inside, options.rounds, options.engine)
    return report


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; return 0 when every goal is met."""
    parser = argparse.ArgumentParser(prog="karais bench brain", description=__doc__)
    parser.add_argument("--home", type=Path, help="data folder whose weights are used")
    parser.add_argument("--model", help="name of the model")
    parser.add_argument("--engine", default="auto", help="engine of KARAIS")
    parser.add_argument("--threads", type=int, help="threads of KARAIS' engine")
    parser.add_argument("--q4-1", type=Path, help="the default model as it is published; else it is fetched")
    parser.add_argument(
        "--parts", type=lambda text: text.split(","), default=list(PARTS), help=",".join(PARTS)
    )
    parser.add_argument("--without", type=lambda text: text.split(","), help="comparators to leave out")
    parser.add_argument("--megabytes", type=int, default=512, help="memory for keys and values, of everybody")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each answer, for the speed")
    parser.add_argument("--conversations", type=int, default=32)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument(
        "--answer-tokens", type=int, default=32, help="tokens of each answer in conversations"
    )
    parser.add_argument("--long-talks", type=int, default=5, help="conversations of ten turns")
    parser.add_argument("--samples", action="store_true", help="add the raw samples to the JSON")
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    options = parser.parse_args(argv)
    report = asyncio.run(_run(options))
    return report.show(json_only=options.json, samples=options.samples)
