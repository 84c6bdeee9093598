"""Work in a process of its own: started when needed, limited, ended when idle or when it hangs.

For what may eat memory, hang or crash (parsers fed with any file), and for
what is heavy and rarely needed (the writer of a table). One JSON object a line
each way over the child's standard input and output; one request at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from schemas.base import Message
from schemas.errors import KaraisError, Refused, TimedOut, Unavailable
from schemas.failure import Code, Failure

log = logging.getLogger(__name__)

Reply = TypeVar("Reply", bound=Message)

IDLE_SECONDS = 60.0
LINE_BYTES = 512 * 2**20
"""Longest reply that is taken."""
_PR_SET_PDEATHSIG = 1


class Child:
    """A module that runs ``serve_parent`` in a process; ``call`` starts it when it does not run."""

    def __init__(self, module: str, *, memory_bytes: int = 0, idle_seconds: float = IDLE_SECONDS) -> None:
        self._module = module
        self._memory_bytes = memory_bytes
        self._idle_seconds = idle_seconds
        self._process: Process | None = None
        self._lock = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._free = asyncio.Event()
        self._free.set()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def call(self, request: Message, reply: type[Reply], *, timeout: float) -> Reply:
        """Have a request handled and return the reply.

        Raises Refused with the failure that the handler raised, TimedOut after
        ``timeout`` seconds of work, Unavailable when the process died of it;
        in both cases the next call starts a new process.
        """
        async with self._lock:
            if self._idle:
                self._idle.cancel()
            await self._free.wait()
            process = await self._running()
            try:
                line = await asyncio.wait_for(self._exchange(process, request), timeout)
            except TimeoutError:
                await self._kill()
                raise TimedOut(f"It took more than {timeout:g} s.") from None
            except (OSError, ValueError, asyncio.IncompleteReadError):
                line = b""
            except BaseException:
                await self._kill()  # what it would answer is for nobody
                raise
            if not line.endswith(b"\n"):
                code = await self._kill()
                raise Unavailable(f"Its process ended unexpectedly ({_exit(code)}).")
            self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._rest)
        answer: Any = msgspec.json.decode(line, type=reply | Failure)
        if isinstance(answer, Failure):
            raise Refused.of(answer)
        return answer  # type: ignore[no-any-return]

    def hold(self, held: bool) -> None:
        """Stop the process where it stands and start none, or let it go on.

        The time that it is stopped counts as time of its work.
        """
        if held == self._free.is_set():
            (self._free.clear if held else self._free.set)()
            if self.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGSTOP if held else signal.SIGCONT)

    async def close(self) -> None:
        """End the process."""
        if self._idle:
            self._idle.cancel()
        await self._kill(signal.SIGTERM)

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            root = str(Path(__file__).parents[2])
            path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                str(self._memory_bytes),
                stdin=PIPE,
                stdout=PIPE,
                limit=LINE_BYTES,
                env={**os.environ, "PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"},
                start_new_session=True,  # Ctrl-C in the terminal is for the agent, which ends it
            )
        return self._process

    async def _exchange(self, process: Process, request: Message) -> bytes:
        assert process.stdin
        assert process.stdout
        process.stdin.write(msgspec.json.encode(request) + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()

    async def _kill(self, number: int = signal.SIGKILL) -> int:
        process = self._process
        self._process = None
        if process is None:
            return 0
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
                process.send_signal(signal.SIGCONT)  # a stopped process hears of nothing else but SIGKILL
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()
        return process.returncode or 0

    def _rest(self) -> None:
        """End the process for want of work; a call that comes now waits for the lock and starts another."""

        async def end() -> None:
            async with self._lock:
                await self._kill(signal.SIGTERM)

        self._resting = asyncio.ensure_future(end())


def serve_parent(request: Any, handle: Callable[[Any], Message]) -> None:
    """Handle the parent's requests (of type ``request``, or a union of types) until it ends."""
    memory = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere the closed pipe ends it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What a library prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    decoder = msgspec.json.Decoder(request)
    for line in sys.stdin.buffer:
        answer: Message
        try:
            answer = handle(decoder.decode(line))
        except KaraisError as error:
            answer = error.failure()
        except MemoryError:
            answer = Failure(code=Code.TOO_LARGE, message="It needs more memory than it may use.")
        except RecursionError:
            answer = Failure(code=Code.INVALID, message="It is nested too deeply.")
        except Exception as error:
            log.exception("a request failed")
            answer = Failure(code=Code.INTERNAL, message=f"{type(error).__name__}: {error}"[:300])
        replies.write(msgspec.json.encode(answer) + b"\n")
        replies.flush()


def _exit(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"
