"""A server that is a program: started in a process group of its own, ended with the agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData
from mcp.types.jsonrpc import JSONRPCError, jsonrpc_message_adapter

from agents.tools.servers.lines import MAX_MESSAGE_BYTES, Lines, TooLong
from bus.tasks import end

log = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
FLOOD_BYTES = 128 * 1024 * 1024
FLOOD_SECONDS = 10.0
"""A program that writes more than ``FLOOD_BYTES`` in this time is ended."""
LOG_BYTES = 256 * 1024
"""What is kept of a program's messages to its standard error stream, each time that it runs."""
GRACE_SECONDS = 1.0

INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER")
MARKS = ("KARAIS_PROCESS", "KARAIS_HOME", "KARAIS_PID")
"""By these the supervisor finds, and ends, what outlives its agent. The agent's other variables stay here."""

# The program dies with this process, however that ends; exec keeps this setting.
_DIES_WITH_PARENT = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execvp(sys.argv[1], sys.argv[1:])",
)


@dataclass(frozen=True)
class Program:
    """What is started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None

    @classmethod
    def of(cls, *, command: str, args: Sequence[str], env: Mapping[str, str], cwd: str) -> Program:
        """Return a program with the environment that it gets: little of ours, and what was configured."""
        own = {name: os.environ[name] for name in (*INHERITED, *MARKS) if name in os.environ}
        return cls((command, *args), {**own, **env}, cwd or None)


@asynccontextmanager
async def stdio(
    program: Program, log_file: Path, lose: Callable[[str], None]
) -> AsyncIterator[tuple[Any, Any]]:
    """Start a program and yield the streams that an MCP client reads and writes.

    ``lose`` is called with the reason when the program ends or floods.
    """
    process = await asyncio.create_subprocess_exec(
        *_DIES_WITH_PARENT,
        *program.argv,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=dict(program.env),
        cwd=program.cwd,
        start_new_session=True,
    )
    to_client, for_client = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_program, for_program = anyio.create_memory_object_stream[SessionMessage](0)
    tasks = [
        asyncio.create_task(_read(process, to_client, lose)),
        asyncio.create_task(_write(process, for_program)),
        asyncio.create_task(_keep_log(process, log_file)),
    ]
    try:
        yield for_client, to_program
    finally:
        ending = asyncio.ensure_future(_end(process, tasks))
        with anyio.CancelScope(shield=True):
            while not ending.done():  # whatever is cancelled meanwhile, the program ends
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(ending)
        for stream in (to_client, for_client, to_program, for_program):
            stream.close()


async def _read(process: Process, to_client: Any, lose: Callable[[str], None]) -> None:
    assert process.stdout
    loop = asyncio.get_running_loop()
    lines = Lines()
    since, size = loop.time(), 0
    reason = "its program ended"
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        while chunk := await process.stdout.read(CHUNK_BYTES):
            if loop.time() - since > FLOOD_SECONDS:
                since, size = loop.time(), 0
            size += len(chunk)
            if size > FLOOD_BYTES:
                reason = f"its program wrote more than {FLOOD_BYTES >> 20} MiB in {FLOOD_SECONDS:g} s"
                break
            for line in lines.feed(chunk):
                if message := _message(line):
                    await to_client.send(message)
    lose(reason)
    to_client.close()  # the client's calls fail at once


def _message(line: bytes | TooLong) -> SessionMessage | None:
    """Return the message in a line; what is none is left out, as programs print what they like."""
    if isinstance(line, TooLong):
        log.warning("a message of %d bytes was passed over", line.size)
        if line.id is None:
            return None
        text = f"it answered with {line.size:,} bytes, and {MAX_MESSAGE_BYTES:,} are taken"
        error = JSONRPCError(jsonrpc="2.0", id=line.id, error=ErrorData(code=-32603, message=text))
        return SessionMessage(error)
    if not line.strip():
        return None
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


async def _write(process: Process, for_program: Any) -> None:
    assert process.stdin
    with contextlib.suppress(OSError):
        async for message in for_program:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()


async def _keep_log(process: Process, log_file: Path) -> None:
    assert process.stderr
    with contextlib.ExitStack() as stack:
        file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            file = stack.enter_context(await asyncio.to_thread(_opened, log_file))
        left = LOG_BYTES
        while chunk := await process.stderr.read(CHUNK_BYTES):
            if file is not None and left > 0:
                with contextlib.suppress(OSError):
                    file.write(chunk[:left])
                    file.flush()
            left -= len(chunk)


def _opened(log_file: Path) -> IO[bytes]:
    large = log_file.exists() and log_file.stat().st_size > 4 * LOG_BYTES
    return log_file.open("wb" if large else "ab")


async def _end(process: Process, tasks: list[asyncio.Task[None]]) -> None:
    """End the program with all that it started: a closed input, SIGTERM, SIGKILL."""
    await end(tasks[:2])
    if process.stdin:
        process.stdin.close()
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        if await _ends_by_itself(process):
            break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what it left behind
    await end(tasks[2:])
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


async def _ends_by_itself(process: Process) -> bool:
    """Wait a moment for the end. Not by ``wait``: a child of it may hold the pipes open."""
    deadline = asyncio.get_running_loop().time() + GRACE_SECONDS
    while process.returncode is None:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
