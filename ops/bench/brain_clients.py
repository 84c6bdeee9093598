"""How `karais bench brain` talks: to a comparator's process, and to servers by the OpenAI interface."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from schemas.errors import KaraisError, Unavailable

READY_SECONDS = 180.0


class Engine:
    """A process of ``ops.bench.brain_engines``."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url
        """Where it serves HTTP too; empty for nowhere."""

    async def rate(self, questions: Sequence[str], tokens: int, *, within: float = 600.0) -> float:
        """Return tokens a second, all answers together."""
        assert self._process.stdin
        line = json.dumps({"questions": list(questions), "tokens": tokens})
        self._process.stdin.write(line.encode() + b"\n")
        reply = await _line(self._process, within)
        return float(reply["tokens"] / reply["seconds"])


@contextlib.asynccontextmanager
async def engine(kind: str, file: Path, megabytes: int) -> AsyncIterator[Engine]:
    """Start a comparator; end it afterwards. Raises Unavailable when it does not start."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.bench.brain_engines", kind, str(file), str(megabytes),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ready = await _line(process, READY_SECONDS)
        yield Engine(process, ready.get("url", ""))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process, within: float) -> dict[str, Any]:
    assert process.stdout
    try:
        line = await asyncio.wait_for(process.stdout.readline(), within)
    except TimeoutError:
        raise Unavailable(f"A comparator said nothing for {within:.0f} s.") from None
    if not line:
        raise Unavailable("A comparator ended early.")
    reply: dict[str, Any] = json.loads(line)
    return reply


@dataclass(frozen=True)
class Reply:
    """An answer as a client of the OpenAI interface saw it."""

    text: str
    first: float
    """Seconds from sending the request to the first text."""
    prompt: int
    """Tokens of the prompt, as the server counts them."""
    cached: int
    """Of them, those that it did not compute anew."""
    tokens: int


async def complete(
    session: aiohttp.ClientSession,
    url: str,
    messages: Sequence[dict[str, str]],
    tokens: int,
    *,
    key: str = "",
    exact: bool = True,
) -> Reply:
    """Stream a chat completion, greedy, of exactly so many tokens where the server can be told so."""
    body: dict[str, Any] = {
        "messages": list(messages),
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "model": "default",
    }
    if exact:
        body["ignore_eos"] = True
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    begun = time.perf_counter()
    first = 0.0
    text: list[str] = []
    usage: dict[str, Any] = {}
    async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        if response.status != 200:
            raise KaraisError(f"{url} refused a completion: {(await response.text())[:300]}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            for choice in event.get("choices") or ():
                if piece := choice.get("delta", {}).get("content"):
                    first = first or time.perf_counter() - begun
                    text.append(piece)
            usage = event.get("usage") or usage
            if timings := event.get("timings"):
                usage = usage | {"cached": timings.get("cache_n", 0)}
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or usage.get("cached", 0)
    return Reply(
        "".join(text), first, usage.get("prompt_tokens", 0), cached, usage.get("completion_tokens", 0)
    )
