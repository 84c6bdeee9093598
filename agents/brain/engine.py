"""What the brain needs of whatever runs a language model.

An engine holds one model and generates several answers at a time; the
iterator of ``generate`` is one generation. The same contract suite
(``tests/contract/test_engines*.py``) holds for every implementation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import Struct

from schemas.base import OWNER
from schemas.chat import FinishReason, Likelihood, Sampling, Usage
from schemas.health import EngineDescription


class ChatMessage(Struct, frozen=True, gc=False):
    """One message of the prompt; the engine applies the model's chat template."""

    role: Literal["system", "user", "assistant"]
    content: str


class Constraint(Struct, frozen=True, gc=False):
    """What a text has to look like from some place on."""

    schema: str
    """JSON schema, as JSON text; the generation ends where the value is complete."""
    trigger: str = ""
    """The text is free until this stands in it, and constrained from there on; empty for all of it."""


class Place(Struct, frozen=True, gc=False):
    """Whose a generation is, for the order of those that wait."""

    user: str = OWNER
    """Users get equal shares."""
    background: bool = False
    """Nobody waits for it: it begins when no chat waits, and gives way."""


ANYONE = Place()


@dataclass(slots=True)
class Piece:
    """The next part of a generated text.

    When the consumer is slower than the engine, what waits comes as one piece.
    The last piece has ``finish_reason`` and ``usage``; its text may be empty.
    """

    text: str
    tokens: int
    """Tokens that the text was made of, as far as the engine tells; ``usage`` has the exact sum."""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    logprobs: tuple[Likelihood, ...] = ()
    """Of its tokens, when the sampling asks for them."""


class Engine(Protocol):
    """A loaded model that answers several prompts at a time."""

    @property
    def description(self) -> EngineDescription:
        """What runs, on which device, and why."""
        ...

    @property
    def healthy(self) -> bool:
        """False when the engine failed and only a new process helps."""
        ...

    @property
    def running(self) -> int:
        """Generations that hold a slot."""
        ...

    @property
    def waiting(self) -> int:
        """Generations that wait for a slot or for room in the context."""
        ...

    def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        constraint: Constraint | None = None,
        place: Place = ANYONE,
    ) -> AsyncGenerator[Piece, None]:
        """Generate the answer to a prompt, piece by piece.

        Work starts at the first step of the iteration. Closing the iterator
        (``aclose``) or cancelling the task that waits for it stops the
        generation and frees its slot within one token, in the prompt's
        processing within one batch.

        Raises KaraisError: ``invalid`` when the prompt does not fit (the text
        names both numbers of tokens) or a value is not understood, such as a
        schema that nothing satisfies; ``not_found`` for an unknown adapter;
        ``busy`` when too many wait; ``unavailable`` when the engine died or is
        closed.
        """
        ...

    async def count(self, messages: Sequence[ChatMessage]) -> int:
        """Return how many tokens the prompt has, template included."""
        ...

    async def measure(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has by itself, as a message's content or a part of it.

        Takes a millisecond or so, and a few for each thousand tokens. Tokens
        may merge where texts are joined, so that a sum is right to one or two a seam.
        """
        ...

    async def close(self) -> None:
        """End what runs (it fails as ``unavailable``) and free the model. Can be called twice."""
        ...
