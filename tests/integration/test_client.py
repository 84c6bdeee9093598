"""The command line as a client: answers over the real gateway and bus, a played brain behind them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from agents.gateway.agent import Gateway
from bus.settings import Settings
from ops.client import Client, access_key, address
from schemas.chat import Accepted, Ask, Delta, Done, Sources
from schemas.errors import KaraisError, Refused
from schemas.failure import Code
from tests.integration.conftest import ROOT, command
from tests.peers import PlayedBrain, PlayedMemory


class SlowBrain(PlayedBrain):
    """Takes its time, so that an answer can be interrupted."""

    pause = 0.05
    reply = " ".join(f"word{number}" for number in range(60))


def question(text: str, **fields: object) -> Ask:
    return Ask(answer=secrets.token_hex(16), conversation=secrets.token_hex(16), text=text, **fields)  # type: ignore[arg-type]


def client(settings: Settings) -> Client:
    return Client(address(settings), access_key(settings))


async def test_ask_prints_the_answer_and_its_sources(karais: Settings) -> None:
    """`karais ask` in a pipe: the answer, then its sources with path and lines, and code 0."""
    code, out, err = await command(karais, "ask", "How long are messages kept?")
    assert code == 0, err
    assert out == (f"{PlayedBrain.reply}\n\nSources:\n  [1] concepts/streams.md:5\n")


async def test_ask_reads_a_pipe_and_prints_json(karais: Settings) -> None:
    """The question may come from the standard input; --json prints one object."""
    code, out, err = await command(karais, "ask", "--json", "-", given="How long?\n")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["text"] == PlayedBrain.reply
    assert facts["cited"] == [1]
    assert facts["sources"][0]["path"] == "concepts/streams.md"


async def test_ask_explains_what_went_into_the_prompt(karais: Settings) -> None:
    """--explain prints each part with its tokens and what was left out and why; with --json as it came."""
    code, out, err = await command(karais, "ask", "--explain", "How long are messages kept?")
    assert code == 0, err
    assert "1,030 tokens, 1,000 of them from the cache" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["system", "1,000", "1,000", "-"] in rows
    assert ["passages", "20", "0", "700"] in rows
    assert "  history: 2 exchanges (90 tokens): newer turns stand there instead" in out
    code, out, err = await command(karais, "ask", "--explain", "--json", "How long?")
    assert json.loads(out)["explained"]["parts"][1]["pieces"] == ["concepts/streams.md"]
    code, out, err = await command(karais, "ask", "--json", "How long?")
    assert "explained" not in json.loads(out)


async def test_ask_without_retrieval_has_no_sources(karais: Settings) -> None:
    """--no-retrieve asks the model alone."""
    code, out, _ = await command(karais, "ask", "--no-retrieve", "How long?")
    assert code == 0
    assert out == f"{PlayedBrain.reply}\n"


async def test_ask_says_that_nothing_supports_the_answer(
    karais: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passages that were read but support nothing are no sources; the note goes to the standard error."""
    monkeypatch.setattr(PlayedBrain, "reply", "For ever and a day.")
    code, out, err = await command(karais, "ask", "How long are messages kept?")
    assert (code, out) == (0, "For ever and a day.\n")
    assert "none supports this answer" in err


@pytest.mark.parametrize("text", ["fail", "refuse"])
async def test_a_failed_answer_is_a_failure(karais: Settings, text: str) -> None:
    """An answer that fails or is refused ends with code 1 and its reason."""
    code, _, err = await command(karais, "ask", text)
    assert code == 1
    assert err.startswith("karais: ")
    assert ("The model stopped." if text == "fail" else "refused") in err


async def test_a_wrong_key_is_named(karais: Settings) -> None:
    """A key that the gateway does not know ends with a sentence about the key."""
    code, _, err = await command(karais, "ask", "--key", "x" * 43, "Hello?")
    assert code == 1
    assert "--key" in err


async def test_chat_talks_and_obeys(karais: Settings) -> None:
    """`karais chat` answers line by line, shows sources, begins anew and leaves."""
    code, out, err = await command(karais, "chat", given="How long?\n/sources\n/new\n/nosuch\n/quit\n")
    assert code == 0, err
    assert out.count(PlayedBrain.reply) == 1
    assert "Messages are kept until a limit is reached." in out
    assert "There is no /nosuch." in out


async def test_storage_speaks_through_the_gateway(karais: Settings) -> None:
    """`karais storage status` and `files` work as a remote client."""
    code, out, err = await command(karais, "storage", "status", "--json")
    assert code == 0, err
    assert "files" in json.loads(out)
    code, out, err = await command(karais, "storage", "files", "--json")
    assert code == 0, err
    assert isinstance(json.loads(out), list)


async def test_an_answer_comes_in_order(karais: Settings) -> None:
    """The client yields Accepted, Sources, the deltas by index, Done."""
    async with client(karais) as talking:
        events = [event async for event in talking.ask(question("How long?"))]
    assert isinstance(events[0], Accepted)
    assert isinstance(events[1], Sources)
    assert isinstance(events[-1], Done)
    indexes = [event.index for event in events if not isinstance(event, Accepted)]
    assert indexes == list(range(len(indexes)))


async def test_a_refusal_is_raised(karais: Settings) -> None:
    """What the brain refuses is raised with its code."""
    async with client(karais) as talking:
        with pytest.raises(Refused) as refused:
            async for _ in talking.ask(question("refuse")):
                pass
    assert refused.value.code is Code.CONFLICT


async def test_nothing_is_lost_when_the_gateway_restarts(
    start_bus: Callable[..., object], settings: Settings
) -> None:
    """A gateway that ends in the middle of an answer: the client goes on at the new one, no text twice."""
    bus = start_bus(Gateway, SlowBrain, PlayedMemory)
    await bus.provision()  # type: ignore[attr-defined]
    text: list[str] = []

    async def read(talking: Client) -> None:
        async for event in talking.ask(question("Tell me.", retrieve=False)):
            if isinstance(event, Delta):
                text.append(event.text)  # noqa: PERF401 - the others see it grow

    async with bus.running(SlowBrain(settings), PlayedMemory(settings)):  # type: ignore[attr-defined]
        async with bus.running(Gateway(settings)):  # type: ignore[attr-defined]
            talking = await client(settings).__aenter__()
            reading = asyncio.create_task(read(talking))
            while len(text) < 10:
                await asyncio.sleep(0.01)
        assert not reading.done()
        async with bus.running(Gateway(settings)):  # type: ignore[attr-defined]
            await asyncio.wait_for(reading, 30)
            await talking.__aexit__()
    assert "".join(text) == SlowBrain.reply


async def test_ctrl_c_stops_an_answer(start_bus: Callable[..., object], settings: Settings) -> None:
    """SIGINT to `karais ask` stops the answer at its brain; what came is kept, the code is 130."""
    bus = start_bus(Gateway, SlowBrain, PlayedMemory)
    await bus.provision()  # type: ignore[attr-defined]
    brain = SlowBrain(settings)
    async with bus.running(Gateway(settings), brain, PlayedMemory(settings)):  # type: ignore[attr-defined]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ops.cli",
            "ask",
            "Tell me.",
            cwd=ROOT,
            env={**os.environ, "KARAIS_HOME": str(settings.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        begun = await process.stdout.readuntil(b"word3 ")
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
    assert process.returncode == 130
    assert "word59" not in (begun + rest).decode()
    assert brain.cancelled == {ask.answer for ask in brain.asked}


async def test_a_question_that_is_too_long_is_refused_here(karais: Settings) -> None:
    """Over-long questions end with a sentence that names the limit."""
    code, _, err = await command(karais, "ask", "-", given="x" * 40_000)
    assert code == 1
    assert "32000" in err


async def test_no_gateway_is_said_at_once(settings: Settings) -> None:
    """Without a gateway the client raises at once and does not wait."""
    async with Client("http://127.0.0.1:9", "") as talking:
        with pytest.raises(KaraisError, match="karais up"):
            async for _ in talking.ask(question("Hello?")):
                pass
