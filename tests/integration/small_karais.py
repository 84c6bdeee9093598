"""A KARAIS of small agents under the real guardian and supervisor: for tests of processes.

    python small_karais.py up | supervise [--json] | run KIND

The agents are what the roster names, without models; the settings come from
the environment.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bus.agent import Agent, answers
from bus.settings import load
from ops import foreground, launch, roster, running, up
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.health import DescribeEngine, EngineDescription


class Gateway(Agent):
    """Answers /healthz."""

    kind = "gateway"

    async def start(self, resources: AsyncExitStack) -> None:
        server = await asyncio.start_server(self._serve, self.settings.host, self.settings.port)
        resources.callback(server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()


class Brain(Agent):
    """Describes itself; can be told to hang or to be unable to start."""

    kind = "brain"

    async def start(self, resources: AsyncExitStack) -> None:
        if (self.settings.home / "no-weights").exists():
            raise KaraisError(f"The weights in {self.settings.home} are gone.", code=Code.NOT_FOUND)

    @answers(DescribeEngine)
    async def describe(self, ask: DescribeEngine) -> EngineDescription:
        if (self.settings.home / "hang").exists():
            (self.settings.home / "hang").unlink()
            time.sleep(600)  # noqa: ASYNC251 - on purpose: the event loop hangs
        return EngineDescription(
            engine="none", model="none", context_tokens=1, slots=1, threads=os.getpid(), device="cpu"
        )


class Memory(Agent):
    """Does nothing."""

    kind = "memory"


class Embedder(Agent):
    """Does nothing."""

    kind = "embedder"


ENTRIES = tuple(
    roster.Entry(cls.kind, f"{__name__}:{cls.__name__}", stage)
    for cls, stage in ((Gateway, 0), (Memory, 0), (Brain, 1), (Embedder, 2))
)
HERE = (sys.executable, str(Path(__file__).resolve()))


def main(argv: list[str]) -> int:
    match argv:
        case ["up", *options]:
            settings = load()
            for folder in (settings.run, settings.logs, settings.keys):
                folder.mkdir(parents=True, exist_ok=True)
            if running.is_up(settings):
                print(f"karais: {running.already_up(settings)}", file=sys.stderr)
                return 1
            command = launch.guardian(settings.run, launch.marked([*HERE, "supervise", *options]))
            os.execve(command[0], command, launch.environ({}, "guardian"))
        case ["supervise", *options]:
            return up.main(options, ENTRIES, (*HERE, "run"))
        case ["run", kind]:
            roster.ROSTER = ENTRIES
            return foreground.run_agent(kind, load())
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
