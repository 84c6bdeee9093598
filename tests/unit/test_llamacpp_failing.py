"""The llama.cpp engine over servers that fail: every generation ends, and nothing hangs."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.brain.engine import ChatMessage, Piece
from agents.brain.engines import llamacpp, llamacpp_calls
from agents.brain.engines.card_memory import CardMemory
from agents.brain.engines.llamacpp import LlamaCppEngine
from agents.brain.engines.llamacpp_load import Loaded
from schemas.chat import Sampling
from schemas.errors import KaraisError, Unavailable
from schemas.health import EngineDescription
from stores.weights.registry import Profile

Serve = Callable[[bytes, Callable[[bytes], bool]], None]
ASKED = [ChatMessage("user", "Hello")]


class Played:
    def __init__(self, serve: Serve) -> None:
        self.handle_chat_completions = serve


def chunk(text: str, finish: str | None = None) -> bytes:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish}]}).encode()


def engine_over(serve: Serve, tmp_path: Path, cards: CardMemory | None = None) -> LlamaCppEngine:
    description = EngineDescription(
        engine="llamacpp", model="m", context_tokens=4096, slots=2, threads=1, device="a card"
    )
    model: Any = SimpleNamespace(manifest=SimpleNamespace(profile=Profile()))
    loaded = Loaded(Played(serve), "a card", "", 1, cards=cards)
    return LlamaCppEngine(loaded, model, description, tmp_path / "socket", owns_folder=False)


async def pieces_of(engine: LlamaCppEngine) -> list[Piece]:
    return [piece async for piece in engine.generate(ASKED, Sampling(max_tokens=8))]


async def test_a_request_that_throws_fails_alone(tmp_path: Path) -> None:
    calls = iter([RuntimeError("no slot"), None])

    def serve(request: bytes, take: Callable[[bytes], bool]) -> None:
        error = next(calls)
        if error:
            raise error
        take(chunk("fine"))
        take(chunk("", "stop"))

    engine = engine_over(serve, tmp_path)
    with pytest.raises(Unavailable, match="no slot"):
        await pieces_of(engine)
    assert engine.healthy
    assert "".join(piece.text for piece in await pieces_of(engine)) == "fine"
    await engine.close()


async def test_an_engine_without_any_sign_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that run and those that wait fail, closing does not wait for ever."""
    monkeypatch.setattr(llamacpp, "_STALLED_S", 0.2)
    monkeypatch.setattr(llamacpp_calls, "_CLOSING_S", 0.2)
    for_ever = threading.Event()
    engine = engine_over(lambda request, take: for_ever.wait(60) and None, tmp_path)
    began = time.monotonic()
    failed = await asyncio.gather(*(pieces_of(engine) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in failed)
    assert not engine.healthy
    with pytest.raises(Unavailable, match="no sign"):
        await pieces_of(engine)
    await engine.close()
    assert time.monotonic() - began < 5
    for_ever.set()


async def test_nonsense_from_the_server_ends_the_answer(tmp_path: Path) -> None:
    engine = engine_over(lambda request, take: take(b"{") and None, tmp_path)
    with pytest.raises(KaraisError, match="cannot be read"):
        await pieces_of(engine)
    await engine.close()


async def test_an_answer_that_just_stops_is_a_failure(tmp_path: Path) -> None:
    engine = engine_over(lambda request, take: take(chunk("half")) and None, tmp_path)
    with pytest.raises(Unavailable, match="without an answer"):
        await pieces_of(engine)
    await engine.close()


async def test_a_card_out_of_memory_ends_the_engine_and_is_noted(tmp_path: Path) -> None:
    """All its answers fail, and the next process takes fewer layers."""
    cards = CardMemory(tmp_path / "gpu.json", 33)
    cards.loaded(33)

    def serve(request: bytes, take: Callable[[bytes], bool]) -> None:
        take(chunk("half"))
        take(json.dumps({"error": {"message": "Compute error.", "type": "server_error"}}).encode())

    engine = engine_over(serve, tmp_path, cards)
    with pytest.raises(Unavailable, match="Compute error"):
        await pieces_of(engine)
    assert not engine.healthy
    with pytest.raises(Unavailable, match="ran out of memory"):
        await pieces_of(engine)
    await engine.close()
    assert CardMemory(tmp_path / "gpu.json", 33).record.most == 16
