"""The agents of this KARAIS, by kind, and the order in which they start.

Agents are imported when they are needed: one that runs alone does not pay for
the others, and the supervisor pays for none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from schemas.errors import KaraisError
from schemas.failure import Code

if TYPE_CHECKING:
    from bus.agent import Agent


@dataclass(frozen=True)
class Entry:
    """An agent that ``karais up`` keeps running."""

    kind: str
    path: str
    """Where the class is: ``module:Class``."""
    stage: int
    """Stages start in this order and stop in reverse.

    Stage 2 waits until the brain has its model: importing torch beside it
    would delay the first answer.
    """

    def load(self) -> type[Agent]:
        """Return the agent's class; ``unavailable`` when what it is built on is not installed."""
        module, _, name = self.path.partition(":")
        try:
            return cast("type[Agent]", getattr(import_module(module), name))
        except ModuleNotFoundError as error:
            raise missing(error) from error


ROSTER: tuple[Entry, ...] = (
    Entry("gateway", "agents.gateway.agent:Gateway", stage=0),
    Entry("memory", "agents.memory:Memory", stage=0),
    Entry("brain", "agents.brain.agent:Brain", stage=1),
    Entry("embedder", "agents.embedder:Embedder", stage=2),
    Entry("librarian", "agents.librarian:Librarian", stage=2),
    Entry("tools", "agents.tools:Tools", stage=2),
)


def kinds() -> tuple[str, ...]:
    """Return the names of all agents, in the order in which they start."""
    return tuple(entry.kind for entry in ROSTER)


def load(kind: str) -> type[Agent]:
    """Return the class of an agent.

    Raises KaraisError with code ``not_found`` when there is no such agent.
    """
    for entry in ROSTER:
        if entry.kind == kind:
            return entry.load()
    raise KaraisError(f"There is no agent {kind!r}; there are {', '.join(kinds())}.", code=Code.NOT_FOUND)


def load_all(entries: Iterable[Entry] = ROSTER) -> tuple[type[Agent], ...]:
    """Return the classes of agents."""
    return tuple(entry.load() for entry in entries)


def missing(error: ModuleNotFoundError) -> KaraisError:
    """Return the sentence for a part of the server that is not installed."""
    return KaraisError(
        f"The Python package {error.name!r} is not installed here, so this machine is only a client:"
        " run `pip install 'karais[server]'` to make it a server.",
        code=Code.UNAVAILABLE,
    )
