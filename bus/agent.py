"""How an agent is written: a class that declares what it answers, works, follows and repeats.

::

    class Embedder(Agent):
        '''Turns texts into vectors, in batches, on the best device there is.'''

        kind = "embedder"

        async def start(self, resources: AsyncExitStack) -> None:
            self.model = await resources.enter_async_context(embedding_model(self.settings))

        @answers(Embed)                      # karais.rpc.embedder.embed
        async def embed(self, ask: Embed) -> Vectors: ...

        @works(IndexFile, slots=2)           # durable queue; acknowledged when it returns
        async def index(self, job: IndexFile) -> None: ...

        @follows(Turn, Titled)               # every entry of the log, in order, from where it stopped
        async def project(self, entry: Turn | Titled, sequence: int) -> None: ...

        @hears(Cancel)                       # core subscription
        async def cancel(self, order: Cancel) -> None: ...

        @every(seconds=30)
        async def report(self) -> None: ...

Endpoints, permissions and the AsyncAPI document follow from these
declarations and from ``bus.subjects``. ``bus.runtime`` runs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bus.settings import Settings
from schemas.base import Message

if TYPE_CHECKING:
    from bus.connection import Bus

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

_MARK = "__karais_declaration__"


@dataclass(frozen=True)
class Answers:
    """The method replies to a request."""

    message: type[Message]
    slots: int


@dataclass(frozen=True)
class Works:
    """The method does jobs from a durable queue."""

    message: type[Message]
    slots: int


@dataclass(frozen=True)
class Follows:
    """The method gets every entry of a log, in order, again after a failure."""

    messages: tuple[type[Message], ...]


@dataclass(frozen=True)
class Hears:
    """The method gets what is published while it listens."""

    messages: tuple[type[Message], ...]


@dataclass(frozen=True)
class Every:
    """The method runs periodically, never twice at a time."""

    seconds: float


Declaration = Answers | Works | Follows | Hears | Every


def _declare(declaration: Declaration) -> Callable[[Handler], Handler]:
    def mark(handler: Handler) -> Handler:
        setattr(handler, _MARK, declaration)
        return handler

    return mark


def answers(message: type[Message], *, slots: int = 64) -> Callable[[Handler], Handler]:
    """Reply to ``message``; at most ``slots`` at a time, what comes beyond waits its turn."""
    return _declare(Answers(message, slots))


def works(message: type[Message], *, slots: int = 1) -> Callable[[Handler], Handler]:
    """Do jobs of type ``message``, at most ``slots`` at a time over all agents of the kind.

    A job is acknowledged when the method returns. When it raises, it is
    delivered again after a pause that grows; after 5 deliveries it goes to the
    dead letters with the reason.
    """
    return _declare(Works(message, slots))


def follows(*messages: type[Message]) -> Callable[[Handler], Handler]:
    """Get every log entry of these types, one at a time, as ``handler(entry, sequence)``.

    Starts behind what ``Agent.followed_until`` returns, so that a projection
    continues where its own store stopped.
    """
    return _declare(Follows(messages))


def hears(*messages: type[Message]) -> Callable[[Handler], Handler]:
    """Get what is published of these types while the agent runs."""
    return _declare(Hears(messages))


def every(*, seconds: float) -> Callable[[Handler], Handler]:
    """Run the method each ``seconds`` after it last ended."""
    return _declare(Every(seconds))


@dataclass
class Condition:
    """How the agent says it is; shown by heartbeats, status and doctor."""

    state: str = "starting"
    detail: str = ""
    queued: Callable[[], int] = field(default=lambda: 0)
    """How many messages wait in the agent's own queues."""


class Agent:
    """Base of every agent. ``bus`` can be used from ``start`` on."""

    kind: ClassVar[str]
    """The agent's name in subjects, identities and the command line."""
    calls: ClassVar[tuple[type[Message], ...]] = ()
    """Requests that it sends to other agents."""
    publishes: ClassVar[tuple[type[Message], ...]] = ()
    """Events, log entries, jobs and orders that it publishes."""
    subscribes: ClassVar[tuple[type[Message], ...]] = ()
    """What it subscribes to by itself, beyond ``hears``."""
    streams: ClassVar[tuple[str, ...]] = ()
    """Streams that it reads by consumers of its own, beyond ``follows``."""
    erases: ClassVar[tuple[str, ...]] = ()
    """Streams from which it may remove messages for good."""

    bus: Bus

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.condition = Condition()
        self.given_up = asyncio.Event()

    async def start(self, resources: AsyncExitStack) -> None:
        """Acquire what the agent needs; ``resources`` is closed after it drained."""

    def give_up(self, reason: str) -> None:
        """End the process after draining, because only a new one can help."""
        self.condition.state = "degraded"
        self.condition.detail = reason
        self.given_up.set()

    async def drain(self) -> None:
        """Finish or end what runs; called on SIGTERM, before connections close."""

    def followed_until(self, stream: str) -> int:
        """Return the sequence of the last entry of a log that ``follows`` handled for good."""
        return 0


def declarations(agent: type[Agent] | Agent) -> list[tuple[str, Declaration]]:
    """Return each declared method's name with its declaration, base classes first."""
    cls = agent if isinstance(agent, type) else type(agent)
    found: dict[str, Declaration] = {}
    for base in reversed(cls.__mro__):
        for name, attribute in vars(base).items():
            declaration = getattr(attribute, _MARK, None)
            if declaration is not None:
                found[name] = declaration
    return list(found.items())
