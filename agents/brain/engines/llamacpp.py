"""llama.cpp in this process, through xllamacpp: any GGUF model, batched over its users.

xllamacpp runs llama.cpp's server loop in a thread of its own. The server
insists on listening; it gets a UNIX socket in a folder that only this user can
enter, and that socket is also how prompts are counted.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agents.brain import constraining
from agents.brain.admission import Admission
from agents.brain.control_tokens import control_pattern, plain, plain_text
from agents.brain.engine import ANYONE, ChatMessage, Constraint, Piece, Place
from agents.brain.engines import llamacpp_wire as wire
from agents.brain.engines.llamacpp_calls import Call, Calls
from agents.brain.mailbox import Mailbox
from schemas.chat import FinishReason, Sampling, Usage
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.health import EngineDescription
from stores.weights.registry import Model

if TYPE_CHECKING:
    from agents.brain.engines.llamacpp_load import Loaded
    from bus.settings import Settings

_STALLED_S = 120.0
"""Without any sign of the engine for so long, while it should work, it is given up."""
_EXHAUSTED = re.compile(r"out of memory|compute error|failed to allocate|cudamalloc", re.IGNORECASE)
"""What llama.cpp says when a batch could not be computed: on a card, want of memory most of all."""
_SOCKET_PATH_MAX = 100
"""A UNIX socket's path has at most 107 bytes."""


class _Generation(Call):
    """One request, from the event loop's side."""

    __slots__ = ("finished", "mailbox", "others", "reserved")

    def __init__(self, request: bytes, reserved: int, others: int) -> None:
        super().__init__(request)
        self.reserved = reserved
        """Tokens of the context that it may come to use."""
        self.others = others
        """Tokens whose likelihood is told beside each one of the text."""
        self.finished = False
        self.mailbox = Mailbox()

    def fail(self, error: KaraisError) -> None:
        self.cancelled = True
        self.mailbox.fail(error)


class LlamaCppEngine:
    """An ``Engine`` over one GGUF file."""

    def __init__(
        self, loaded: Loaded, model: Model, description: EngineDescription, socket: Path, *, owns_folder: bool
    ) -> None:
        self._ends = loaded.ends
        self._cards = loaded.cards
        self._profile = model.manifest.profile
        self._description = description
        self._socket = socket
        self._owns_folder = owns_folder
        self._loop = asyncio.get_running_loop()
        self._control = control_pattern(self._profile.control_tokens)
        self._failure: KaraisError | None = None
        self._closed = False

        self._waiting: Admission[_Generation] = Admission(
            description.slots, spare=description.context_tokens // 4
        )
        self._running: set[_Generation] = set()
        self._calls: Calls[_Generation] = Calls(loaded.server, self._take, self._ended)
        self._watch: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, settings: Settings, model: Model) -> LlamaCppEngine:
        """Load a model. Raises KaraisError naming the file when that fails."""
        from agents.brain.engines import llamacpp_load as load

        load.check(model)
        folder, owned = _socket_folder(settings.run)
        socket = folder / f"llama-{os.getpid()}.sock"
        try:
            loaded = await asyncio.to_thread(load.load, settings, model, socket)
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
            threads=loaded.threads,
            device=loaded.device,
            reason=loaded.reason,
            alert=loaded.alert,
        )
        return cls(loaded, model, description, socket, owns_folder=owned)

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
        return len(self._waiting)

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
        self._waiting.check(place)
        if sampling.adapter:
            raise KaraisError(
                f"There is no adapter {sampling.adapter} for the model {self._description.model} here.",
                code=Code.NOT_FOUND,
                field="$.sampling.adapter",
            )
        grammar, follower = "", None
        if constraint is not None:
            # Compiling takes up to 100 ms.
            grammar = await asyncio.to_thread(constraining.grammar_of, constraint, self._ends)
            follower = constraining.Follower(constraint)
        generation = await self._generation(messages, sampling, grammar)
        self._waiting.push(generation, place, generation.reserved)
        self._admit()
        try:
            while True:
                piece = await generation.mailbox.take()
                if follower is not None:
                    follower.read(piece.text)
                yield piece
                if piece.finish_reason is not None:
                    return
        finally:
            generation.cancelled = True
            if generation in self._waiting:
                self._waiting.remove(generation)
                self._admit()

    async def _generation(
        self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: str
    ) -> _Generation:
        request = self._request(messages, sampling, grammar)
        context = self._description.context_tokens
        prompt = self._most_tokens(messages)
        if prompt + sampling.max_tokens + self._reserved() > context:
            prompt = await self.count(messages)
        self._check_open()
        return _Generation(request, min(prompt + sampling.max_tokens, context), sampling.logprobs or 0)

    async def count(self, messages: Sequence[ChatMessage]) -> int:
        """Return how many tokens the prompt has, template included."""
        self._check_open()
        return await asyncio.to_thread(wire.count, self._socket, plain(messages, self._control))

    async def measure(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has by itself."""
        self._check_open()
        given = [plain_text(text, self._control) for text in texts]
        return await asyncio.to_thread(wire.measure, self._socket, given)

    async def close(self) -> None:
        """End what runs and free the model."""
        if self._closed:
            return
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        self._fail_all(Unavailable("The engine was closed during the answer: ask again."))
        await self._calls.close()
        if self._cards is not None:
            self._cards.ended()
        self._socket.unlink(missing_ok=True)
        if self._owns_folder:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise Unavailable("The engine is closed: ask again when the brain runs.")

    # -- prompts ------------------------------------------------------------------------------

    def _request(self, messages: Sequence[ChatMessage], sampling: Sampling, grammar: str) -> bytes:
        request = wire.sampling_fields(self._profile, sampling, grammar)
        request["messages"] = plain(messages, self._control)
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
        return sum(g.reserved for g in self._running) + sum(g.reserved for g in self._waiting)

    def _admit(self) -> None:
        """Start what waits while there are slots and room.

        Running answers share the context's cells. An answer that started
        without room for its end would make llama.cpp fail others with it.
        """
        while len(self._running) < self._description.slots:
            generation = self._waiting.pop(self._has_room)
            if generation is None:
                break
            self._running.add(generation)
            self._calls.start(generation)
        if self._running and self._watch is None:
            self._watch = self._loop.call_later(_STALLED_S / 4, self._look)

    def _has_room(self, tokens: int) -> bool:
        used = sum(g.reserved for g in self._running)
        return not self._running or used + tokens <= self._description.context_tokens

    def _look(self) -> None:
        """Give the engine up when nothing came from it for too long."""
        self._watch = None
        if self._calls.silent_s > _STALLED_S:
            self._failure = Unavailable(
                f"The engine gave no sign for {_STALLED_S:.0f} s: its process has to be restarted."
            )
            self._fail_all(self._failure)
        elif self._running:
            self._watch = self._loop.call_later(_STALLED_S / 4, self._look)

    def _fail_all(self, error: KaraisError) -> None:
        for generation in self._running:
            generation.fail(error)
        for generation in self._waiting:
            self._waiting.remove(generation)
            generation.fail(error)

    # -- what comes from the engine ------------------------------------------------------------

    def _take(self, generation: _Generation, data: bytes) -> None:
        try:
            chunk = wire.decode_chunk(data)
        except msgspec.MsgspecError as error:
            generation.fail(KaraisError(f"The engine sent a chunk that cannot be read: {error}."))
            return
        if chunk.error is not None:
            generation.mailbox.fail(wire.error_of(chunk.error))
            self._look_for_exhaustion(chunk.error.message)
        elif chunk.choices:
            choice = chunk.choices[0]
            content = choice.delta.content or ""
            likely = wire.likelihoods(choice.logprobs, generation.others)
            if choice.finish_reason is not None:
                timings = chunk.timings or wire.Timings()
                usage = Usage(
                    prompt_tokens=timings.prompt_n + timings.cache_n,
                    cached_tokens=timings.cache_n,
                    completion_tokens=timings.predicted_n,
                )
                reason: FinishReason = "length" if choice.finish_reason == "length" else "stop"
                generation.mailbox.put(Piece(content, 0, reason, usage, likely))
                generation.finished = True
            elif content or likely:
                generation.mailbox.put(Piece(content, 1, logprobs=likely))

    def _ended(self, generation: _Generation, error: KaraisError | None) -> None:
        """The generation's thread is free again."""
        self._running.discard(generation)
        self._waiting.remove(generation)
        if error is not None:
            self._look_for_exhaustion(str(error))
        if not generation.finished:
            generation.mailbox.fail(error or Unavailable("The engine ended without an answer: ask again."))
        if not self._closed and self._failure is None:
            self._admit()

    def _look_for_exhaustion(self, error: str) -> None:
        """When a card can compute no more, have the next process take less of it."""
        if self._cards is None or self._failure is not None or not _EXHAUSTED.search(error):
            return
        self._cards.exhausted()
        self._failure = Unavailable(
            "The card ran out of memory: the engine starts again with less on it. Ask again in a minute."
        )
        self._fail_all(self._failure)


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
