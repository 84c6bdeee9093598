"""`karais bench chat`: what the whole path from a WebSocket to the engine and back costs.

KARAIS is driven over its real WebSocket. In turns, in the same run, the same
engine with the same weights, parameters and threads is driven in-process and
behind a bare WebSocket (``ops.bench.bare_engine``). Ratios are of medians over
the rounds. The time to first token "added" is the client's time from sending
the question to the first text, less what the engine itself took for it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from agents.brain.context.frames import INSTRUCTIONS
from agents.brain.engine import ChatMessage
from bus import settings as settings_module
from bus.settings import Settings, environment
from ops.bench.figures import Report, median, percentile
from ops.bench.household import Household, cpu_seconds, household, memory_mb, written_bytes
from schemas.chat import Ask, Sampling
from schemas.errors import KaraisError, Unavailable

TOPICS = (
    "the history of bridges", "how bread rises", "the moons of Jupiter", "sailing against the wind",
    "why leaves change colour", "the first railways", "how a violin makes sound", "life in a tide pool",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One answer as a client saw it."""

    tokens: int
    first: float
    """Seconds from sending the question to the first text."""
    engine_first: float
    """Of these, the engine's own."""


@dataclass(frozen=True)
class Round:
    """Several answers at a time."""

    tokens: int
    seconds: float
    samples: list[Sample]

    @property
    def rate(self) -> float:
        """Tokens a second, all users together."""
        return self.tokens / self.seconds


class Karais:
    """Drives a KARAIS over its WebSocket, one socket a user."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}

    async def round(self, questions: Sequence[str], tokens: int, *, retrieve: bool = False) -> Round:
        """Ask all questions at once and wait for their ends."""
        async with contextlib.AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(
                    self._session.ws_connect(f"{self._url}/ws", headers=self._headers, compress=0)
                )
                for _ in questions
            ]
            begun = time.perf_counter()
            samples = await asyncio.gather(
                *(self._ask(s, q, tokens, retrieve) for s, q in zip(sockets, questions, strict=True))
            )
            return Round(sum(s.tokens for s in samples), time.perf_counter() - begun, list(samples))

    async def conversation(self, questions: Sequence[str], tokens: int) -> list[float]:
        """Ask one question after the other in one conversation; return seconds to each first text."""
        conversation = secrets.token_hex(16)
        headers = self._headers
        async with self._session.ws_connect(f"{self._url}/ws", headers=headers, compress=0) as socket:
            return [
                (await self._ask(socket, question, tokens, retrieve=False, conversation=conversation)).first
                for question in questions
            ]

    async def _ask(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        question: str,
        tokens: int,
        retrieve: bool,
        conversation: str = "",
    ) -> Sample:
        ask = Ask(
            answer=secrets.token_hex(16),
            conversation=conversation or secrets.token_hex(16),
            text=question,
            retrieve=retrieve,
            sampling=Sampling(max_tokens=tokens, temperature=0.0, ignore_end=True),
        )
        begun = time.perf_counter()
        first = 0.0
        await socket.send_str(msgspec.json.encode(ask).decode())
        async for frame in socket:
            event = msgspec.json.decode(frame.data)
            match event["type"]:
                case "delta":
                    first = first or time.perf_counter() - begun
                case "done":
                    usage = event["usage"]
                    return Sample(usage["completion_tokens"], first, usage["seconds_to_first_token"])
                case "failed" | "problem":
                    raise KaraisError(event["message"])
        raise Unavailable(f"The gateway at {self._url} closed the WebSocket during an answer.")


class Bare:
    """Drives the comparators' process."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def websocket(self, questions: Sequence[str], tokens: int) -> Round:
        """Ask all questions at once over bare WebSockets."""
        async with contextlib.AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(self._session.ws_connect(f"{self._url}/ws", compress=0))
                for _ in questions
            ]
            begun = time.perf_counter()
            samples = await asyncio.gather(
                *(self._ask(s, q, tokens) for s, q in zip(sockets, questions, strict=True))
            )
            return Round(sum(s.tokens for s in samples), time.perf_counter() - begun, list(samples))

    async def in_process(self, questions: Sequence[str], tokens: int) -> Round:
        """Let the engine generate all questions at once without any socket."""
        body = [_request(question, tokens) for question in questions]
        async with self._session.post(f"{self._url}/run", json=body) as response:
            result = await response.json()
        samples = [Sample(0, first, first) for first in result["first"]]
        return Round(result["tokens"], result["seconds"], samples)

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse, question: str, tokens: int) -> Sample:
        begun = time.perf_counter()
        first = 0.0
        count = 0
        await socket.send_str(json.dumps(_request(question, tokens)))
        async for frame in socket:
            event = msgspec.json.decode(frame.data)
            if event.get("end"):
                break
            choices = event.get("choices")
            if choices and choices[0]["delta"].get("content"):
                count += 1
                first = first or time.perf_counter() - begun
        return Sample(count, first, 0.0)


def _request(question: str, tokens: int) -> dict[str, Any]:
    """Return the prompt that the brain would make of a question; the comparator samples as the brain does."""
    messages = [ChatMessage("system", INSTRUCTIONS), ChatMessage("user", question)]
    return {
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "max_tokens": tokens,
    }


def _questions(users: int, round_: int) -> list[str]:
    return [
        f"Tell me about {TOPICS[user % len(TOPICS)]}, part {round_ * users + user}." for user in range(users)
    ]


@contextlib.asynccontextmanager
async def _bare(settings: Settings) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ops.bench.bare_engine",
        env=os.environ | environment(settings),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout
        line = await process.stdout.readline()
        if not line:
            raise Unavailable("The comparator (the bare engine) did not start.")
        yield f"http://127.0.0.1:{json.loads(line)['port']}"
    finally:
        process.terminate()
        await process.wait()


async def _speed(report: Report, karais: Karais, bare: Bare | None, options: argparse.Namespace) -> None:
    """Tokens a second with each number of users, everyone in turns."""
    for users in options.users:
        rates: dict[str, list[float]] = {"karais": [], "websocket": [], "in_process": []}
        for number in range(options.rounds + 1):
            questions = _questions(users, number)
            rounds = {"karais": await karais.round(questions, options.tokens)}
            if bare:
                rounds["websocket"] = await bare.websocket(questions, options.tokens)
                rounds["in_process"] = await bare.in_process(questions, options.tokens)
            if number:  # the first round warms everyone up
                for name, result in rounds.items():
                    rates[name].append(result.rate)
        for name, values in rates.items():
            report.samples[f"tokens_per_second_{name}_{users}"] = values
        report.add(f"tokens/s, {users} users", median(rates["karais"]), "tokens/s")
        if bare:
            pairs = {
                name: median(k / b for k, b in zip(rates["karais"], rates[name], strict=True))
                for name in ("websocket", "in_process")
            }
            report.add(f"  to a bare WebSocket, {users} users", pairs["websocket"], "×", at_least=0.95)
            report.add(f"  to the engine in-process, {users} users", pairs["in_process"], "×")


async def _first_token(
    report: Report, karais: Karais, bare: Bare | None, options: argparse.Namespace
) -> None:
    """What the path adds before the first token, without and with retrieval."""
    for retrieve in (False, True):
        added: list[float] = []
        whole: list[float] = []
        engine: list[float] = []
        for number in range(options.firsts + 3):
            questions = _questions(1, 1000 + number)
            (sample,) = (await karais.round(questions, 4, retrieve=retrieve)).samples
            if bare and not retrieve:
                engine.append((await bare.in_process(questions, 4)).samples[0].first)
            if number >= 3:
                added.append((sample.first - sample.engine_first) * 1000)
                whole.append(sample.first * 1000)
        name = "with retrieval" if retrieve else "retrieval off"
        report.samples[f"first_token_added_ms_{name.replace(' ', '_')}"] = added
        if retrieve:
            report.add(f"first token added, {name}, p95", percentile(added, 0.95), "ms", at_most=60)
            report.add(f"first token added, {name}, p50", median(added), "ms")
        else:
            report.add(f"first token added, {name}, p50", median(added), "ms", at_most=3)
            report.add(f"first token added, {name}, p99", percentile(added, 0.99), "ms", at_most=15)
            report.add(f"  whole, {name}, p50", median(whole), "ms")
            if engine:
                report.add("  the engine in-process, p50", median(engine[3:]) * 1000, "ms")


async def _idle(report: Report, running: Household, seconds: float) -> None:
    """What KARAIS costs while nobody asks."""
    pids = running.pids()
    await asyncio.sleep(5)
    cpu, written, begun = cpu_seconds(pids), written_bytes(pids), time.monotonic()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - begun
    report.add("idle processor", (cpu_seconds(pids) - cpu) / elapsed * 100, "% of a core", at_most=3)
    report.add("idle writes", (written_bytes(pids) - written) / elapsed * 3600 / 1e6, "MB/h", at_most=20)
    report.add("idle memory (PSS), all processes", memory_mb(pids), "MB", at_most=1200)


async def _run(options: argparse.Namespace) -> Report:
    report = Report("chat", ("xllamacpp", "nats-py", "aiohttp", "msgspec", "uvloop"))
    given = settings_module.load({"model": options.model, "threads": options.threads, "home": options.home})
    async with contextlib.AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=None)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        if options.url:
            key = options.key or given.api_key.read_text("ascii").strip()
            karais, running = Karais(session, options.url.rstrip("/"), key), None
            report.missing.append("start, idle and memory: only of a KARAIS that the benchmark starts itself")
        else:
            storage = options.storage or Path(__file__).parents[2]
            chosen = {"storage": str(storage), "model": given.model, "threads": given.threads}
            running = stack.enter_context(household(given.models, **chosen))
            karais = Karais(session, running.url, running.key)
            await karais.round(["Hello"], 1)
            report.add("`karais up` to first token", time.monotonic() - running.begun, "s", at_most=8)
            await _settled(session, running)
        bare = None
        if options.peers:
            bare = Bare(session, await stack.enter_async_context(_bare(given)))
        else:
            report.missing.append("the engine in-process and behind a bare WebSocket: left out by --no-peers")
        await _first_token(report, karais, bare, options)
        await _speed(report, karais, bare, options)
        if running:
            await _idle(report, running, options.idle)
    return report


async def _settled(session: aiohttp.ClientSession, running: Household) -> None:
    """Wait until the storage is indexed: that work is not what is measured here."""
    headers = {"Authorization": f"Bearer {running.key}"}
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{running.url}/api/v1/storage", headers=headers) as response:
                status = await response.json()
                if response.ok and not status["scanning"] and not status["waiting"] and status["files"]:
                    return
        await asyncio.sleep(0.5)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; return 0 when every goal is met."""
    parser = argparse.ArgumentParser(prog="karais bench chat", description=__doc__)
    parser.add_argument("--url", help="measure a KARAIS that already runs")
    parser.add_argument("--key", help="its key; otherwise the one in the data folder")
    parser.add_argument("--home", type=Path, help="data folder whose weights are used")
    parser.add_argument("--model", help="name of the model")
    parser.add_argument("--storage", type=Path, help="folder that the measured KARAIS knows")
    parser.add_argument("--threads", type=int, help="threads of every engine")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each answer")
    parser.add_argument("--firsts", type=int, default=100, help="questions for the time to first token")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idling that are measured")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="without comparators")
    parser.add_argument("--samples", action="store_true", help="add the raw samples to the JSON")
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    options = parser.parse_args(argv)
    report = asyncio.run(_run(options))
    return report.show(json_only=options.json, samples=options.samples)
