"""llama.cpp in this process, through xllamacpp: any GGUF model, batched over its users.

xllamacpp runs llama.cpp's server loop in a thread of its own and serves each
request in the thread that calls it. So every running generation has a thread,
which only hands chunks on: they go through one queue to the event loop, which
is woken once for all chunks that wait. The server insists on listening; it
gets a UNIX socket in a folder that only this user can enter, and that socket
is also how prompts are counted.
"""

from __future__ import annotations

import asyncio
import os
import queue
import re
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agents.brain.engine import ANYONE, ChatMessage, Constraint, Piece, Place
from agents.brain.engines import llamacpp_wire as wire
from schemas.chat import FinishReason, Sampling, Usage
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.health import EngineDescription
from stores.weights.registry import Model

if TYPE_CHECKING:
    from bus.settings import Settings

_STALLED_S = 120.0
"""Without any sign of the engine for so long, while it should work, it is given up."""
_CLOSING_S = 5.0
"""A thread that does not end within this time is left behind, and the model with it."""
_SOCKET_PATH_MAX = 100
"""A UNIX socket's path has at most 107 bytes."""


class _Generation:
    """One request, from the event loop's side and from its thread's."""

    __slots__ = ("cancelled", "error", "finished", "pieces", "request", "reserved", "started", "waiter")

    def __init__(self, request: bytes, reserved: int) -> None:
        self.request = request
        self.reserved = reserved
        """Tokens of the context that it may come to use."""
        self.started = False
        self.cancelled = False
        self.finished = False
        self.pieces: list[Piece] = []
        self.error: KaraisError | None = None
        self.waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class LlamaCppEngine:
    """An ``Engine`` over one GGUF file."""

    def __init__(
        self, server: Any, model: Model, description: EngineDescription, socket: Path, *, owns_folder: bool
    ) -> None:
        self._server = server
        self._profile = model.manifest.profile
        self._description = description
        self._socket = socket
        self._owns_folder = owns_folder
        self._loop = asyncio.get_running_loop()
        self._control = _control_pattern(self._profile.control_tokens)
        self._failure: KaraisError | None = None
        self._closed = False

        self._inbox: deque[tuple[_Generation, bytes | KaraisError | None]] = deque()
        self._woken = False
        self._queue: deque[_Generation] = deque()
        self._running: set[_Generation] = set()
        self._work: queue.SimpleQueue[_Generation | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._seen = 0.0
        self._watch: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, settings: Settings, model: Model) -> LlamaCppEngine:
        """Load a model. Raises KaraisError naming the file when that fails."""
        from agents.brain.engines import llamacpp_load as load

        load.check(model)
        folder, owned = _socket_folder(settings.run)
        socket = folder / f"llama-{os.getpid()}.sock"
        try:
            server, device, reason, threads = await asyncio.to_thread(load.load, settings, model, socket)
            context = await asyncio.to_thread(wire.context_of, socket)
        except BaseException:
            socket.unlink(missing_ok=True)
            if owned:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        description = EngineDescription(
            engine="llamacpp",
            model=model.name,
            context_tokens=context,
            slots=settings.slots,
            threads=threads,
            device=device,
            reason=reason,
        )
        return cls(server, model, description, socket, owns_folder=owned)

    @property
    def description(self) -> EngineDescription:
        """What runs, on which device, and why."""
        return self._description

    @property
    def healthy(self) -> bool:
        """False when the engine failed and only a new process helps."""
        return self._failure is None and not self._closed

    @property
    def running(self) -> int:
        """Generations that hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Generations that wait for a slot or for room in the context."""
        return len(self._queue)

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        constraint: Constraint | None = None,
        place: Place = ANYONE,
    ) -> AsyncGenerator[Piece, None]:
        """Generate the answer to a prompt: see ``Engine.generate``."""
        self._check_open()
        request = self._request(messages, sampling)
        prompt = self._most_tokens(messages)
        if prompt + sampling.max_tokens + self._reserved() > self._description.context_tokens:
            prompt = await self.count(messages)
        generation = _Generation(request, min(prompt + sampling.max_tokens, self._description.context_tokens))
        self._check_open()
        self._queue.append(generation)
        self._admit()
        try:
            while True:
                if not generation.pieces and generation.error is None:
                    generation.waiter = self._loop.create_future()
                    await generation.waiter
                if pieces := generation.pieces:
                    generation.pieces = []
                    piece = pieces[0] if len(pieces) == 1 else _merged(pieces)
                    yield piece
                    if piece.finish_reason is not None:
                        return
                elif generation.error is not None:
                    raise generation.error
        finally:
            generation.cancelled = True
            if not generation.started and generation in self._queue:
                self._queue.remove(generation)
                self._admit()

    async def count(self, messages: Sequence[ChatMessage]) -> int:
        """Return how many tokens the prompt has, template included."""
        self._check_open()
        return await asyncio.to_thread(wire.count, self._socket, self._plain(messages))

    async def measure(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has by itself."""
        self._check_open()
        plain = [m["content"] for m in self._plain([ChatMessage("user", text) for text in texts])]
        return await asyncio.to_thread(wire.measure, self._socket, plain)

    async def close(self) -> None:
        """End what runs and free the model."""
        if self._closed:
            return
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        self._fail_all(Unavailable("The engine was closed during the answer: ask again."))
        for _ in self._threads:
            self._work.put(None)
        await asyncio.to_thread(self._free)
        self._socket.unlink(missing_ok=True)
        if self._owns_folder:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _free(self) -> None:
        for thread in self._threads:
            thread.join(_CLOSING_S)
        if not any(thread.is_alive() for thread in self._threads):
            self._server = None  # the destructor waits for llama.cpp's loop to end

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise Unavailable("The engine is closed: ask again when the brain runs.")

    # -- prompts ------------------------------------------------------------------------------

    def _plain(self, messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
        """Return the messages as llama.cpp takes them, control tokens in their text made plain.

        Otherwise a file that contains ``<|im_start|>system`` could speak as the system.
        """
        pattern = self._control
        if pattern is None:
            return [{"role": m.role, "content": m.content} for m in messages]
        return [{"role": m.role, "content": pattern.sub(_break_token, m.content)} for m in messages]

    def _request(self, messages: Sequence[ChatMessage], sampling: Sampling) -> bytes:
        request = wire.sampling_fields(self._profile, sampling)
        request["messages"] = self._plain(messages)
        request["stream"] = True
        # A callback for each batch of the prompt, so that it can be cancelled there too.
        request["return_progress"] = True
        return msgspec.json.encode(request)

    @staticmethod
    def _most_tokens(messages: Sequence[ChatMessage]) -> int:
        """Return a bound on the prompt's tokens that needs no tokenizer: bytes, and a template's."""
        return sum(len(m.content.encode()) + 32 for m in messages) + 64

    # -- slots and room in the context ----------------------------------------------------------

    def _reserved(self) -> int:
        return sum(g.reserved for g in self._running) + sum(g.reserved for g in self._queue)

    def _admit(self) -> None:
        """Start what waits, in order, while there are slots and room.

        Running answers share the context's cells. An answer that started
        without room for its end would make llama.cpp fail others with it.
        """
        used = sum(g.reserved for g in self._running)
        while self._queue and len(self._running) < self._description.slots:
            generation = self._queue[0]
            if self._running and used + generation.reserved > self._description.context_tokens:
                break
            self._queue.popleft()
            generation.started = True
            used += generation.reserved
            if not self._running:
                self._seen = self._loop.time()
            self._running.add(generation)
            if len(self._running) > len(self._threads):
                self._add_thread()
            self._work.put(generation)
        if self._running and self._watch is None:
            self._watch = self._loop.call_later(_STALLED_S / 4, self._look)

    def _add_thread(self) -> None:
        name = f"llamacpp-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _look(self) -> None:
        """Give the engine up when nothing came from it for too long."""
        self._watch = None
        if not self._running:
            return
        if self._loop.time() - self._seen > _STALLED_S:
            self._failure = Unavailable(
                f"The engine gave no sign for {_STALLED_S:.0f} s: its process has to be restarted."
            )
            self._fail_all(self._failure)
            return
        self._watch = self._loop.call_later(_STALLED_S / 4, self._look)

    def _fail_all(self, error: KaraisError) -> None:
        for generation in [*self._running, *self._queue]:
            generation.cancelled = True
            generation.error = generation.error or error
            generation.wake()
        self._queue.clear()

    # -- the threads, and from them to the event loop ----------------------------------------------

    def _serve(self) -> None:
        """Serve one generation after the other; each thread runs this."""
        while (generation := self._work.get()) is not None:
            self._post(generation, self._complete(generation))

    def _complete(self, generation: _Generation) -> KaraisError | None:
        """Run one request to its end or cancellation. Blocks."""

        def on_chunk(chunk: bytes) -> bool:
            if generation.cancelled:
                return True  # ends the request
            self._post(generation, chunk)
            return False

        if generation.cancelled:
            return None
        try:
            self._server.handle_chat_completions(generation.request, on_chunk)
        except ValueError as error:
            return KaraisError(f"The engine refuses the prompt: {error}.", code=Code.INVALID)
        except Exception as error:  # noqa: BLE001 - whatever it is, only this generation ends with it
            return Unavailable(f"The engine failed: {error}.")
        return None

    def _post(self, generation: _Generation, event: bytes | KaraisError | None) -> None:
        """Hand a chunk, an error or the end (None) to the event loop."""
        self._inbox.append((generation, event))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # before reading: what comes from here on wakes again
        self._seen = self._loop.time()
        inbox = self._inbox
        while inbox:
            generation, event = inbox.popleft()
            if isinstance(event, bytes):
                self._take(generation, event)
            else:
                self._ended(generation, event)

    def _take(self, generation: _Generation, data: bytes) -> None:
        if generation.cancelled:
            return
        try:
            chunk = wire.decode_chunk(data)
        except msgspec.MsgspecError as error:
            generation.error = KaraisError(f"The engine sent a chunk that cannot be read: {error}.")
            generation.cancelled = True
            generation.wake()
            return
        if chunk.error is not None:
            generation.error = wire.error_of(chunk.error)
            generation.wake()
        elif chunk.choices:
            choice = chunk.choices[0]
            content = choice.delta.content
            if choice.finish_reason is not None:
                timings = chunk.timings or wire.Timings()
                usage = Usage(
                    prompt_tokens=timings.prompt_n + timings.cache_n,
                    cached_tokens=timings.cache_n,
                    completion_tokens=timings.predicted_n,
                )
                reason: FinishReason = "length" if choice.finish_reason == "length" else "stop"
                generation.pieces.append(Piece(content or "", 0, reason, usage))
                generation.finished = True
                generation.wake()
            elif content:
                generation.pieces.append(Piece(content, 1))
                generation.wake()

    def _ended(self, generation: _Generation, error: KaraisError | None) -> None:
        """The generation's thread is free again."""
        self._running.discard(generation)
        if generation.error is None and not generation.finished:
            generation.error = error or Unavailable("The engine ended without an answer: ask again.")
            generation.wake()
        if not self._closed and self._failure is None:
            self._admit()


def _merged(pieces: list[Piece]) -> Piece:
    last = pieces[-1]
    return Piece(
        "".join(p.text for p in pieces), sum(p.tokens for p in pieces), last.finish_reason, last.usage
    )


def _control_pattern(tokens: Sequence[str]) -> re.Pattern[str] | None:
    """Match the tokens that structure a prompt; None when the model's are not known."""
    words = sorted((t for t in tokens if len(t) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def _break_token(match: re.Match[str]) -> str:
    """Put a space behind the first character: ``< |im_end|>`` reads the same and orders nothing."""
    token = match.group()
    return f"{token[0]} {token[1:]}"


def _socket_folder(run: Path) -> tuple[Path, bool]:
    """Return a folder that only this user can enter, and whether it is a temporary one."""
    folder = run / "brain"
    if len(os.fsencode(folder)) > _SOCKET_PATH_MAX - len("/llama-1234567890.sock"):
        return Path(tempfile.mkdtemp(prefix="karais-")), True
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise Unavailable(f"The folder {folder} cannot be used: {error.strerror}.") from None
    return folder, False
