"""What open pages hear of: questions asked elsewhere, what changed or was learned, indexing progress.

One subscription for the whole gateway, however many pages are open.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from agents.gateway.codec import encode
from schemas.chat import Titled, Turn
from schemas.documents import StorageStatus
from schemas.forgetting import TurnsForgotten
from schemas.memory import Fact, FactEdited, FactForgotten, FactLearned
from schemas.projects import ProjectChanged, ProjectRemoved
from schemas.web import Change, ConversationChanged, FactChanged, ProjectsChanged, Started, Watch

if TYPE_CHECKING:
    from bus.connection import Bus


Entry = (
    Turn
    | Titled
    | TurnsForgotten
    | StorageStatus
    | FactLearned
    | FactEdited
    | FactForgotten
    | ProjectChanged
    | ProjectRemoved
)
HEARD = get_args(Entry)


class Listener(Protocol):
    """An open page."""

    def notify(self, frame: bytes) -> None:
        """Take a frame to be sent; never blocks."""

    def forwards(self, answer: str) -> bool:
        """Tell whether this page reads the answer already."""


class Live:
    """Tells listeners what they watch."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._watches: dict[Listener, Watch] = {}
        self._readers: defaultdict[str, set[Listener]] = defaultdict(set)

    def watch(self, listener: Listener, watch: Watch) -> None:
        """Tell this listener from now on; replaces what it watched before."""
        self.leave(listener)
        self._watches[listener] = watch
        if watch.conversation:
            self._readers[watch.conversation].add(listener)

    def leave(self, listener: Listener) -> None:
        """Tell this listener nothing any more."""
        old = self._watches.pop(listener, None)
        if old is not None and old.conversation:
            readers = self._readers[old.conversation]
            readers.discard(listener)
            if not readers:
                del self._readers[old.conversation]

    async def run(self) -> None:
        """Listen to the bus until cancelled."""
        async with self._bus.subscribe(*HEARD) as entries:
            async for entry in entries:
                self.tell(entry.message)

    def tell(self, entry: Entry) -> None:
        """Pass on what happened to those whom it concerns."""
        if not self._watches:
            return
        match entry:
            case StorageStatus():
                self._broadcast(encode(entry), None)
            case Titled(conversation=conversation, title=title, at=at):
                self._changed(entry.project, conversation, "titled", at, title)
            case TurnsForgotten(conversation=conversation, at=at):
                self._changed(entry.project, conversation, "forgotten", at)
            case FactLearned(learned=fact):
                self._learned(entry.project, fact, "learned")
            case FactEdited(replacement=fact):
                self._learned(entry.project, fact, "edited")
            case FactForgotten(fact=identity):
                self._broadcast(encode(FactChanged(fact=identity, change="forgotten")), entry.project)
            case ProjectChanged(project=project) | ProjectRemoved(project=project):
                removed = isinstance(entry, ProjectRemoved)
                self._broadcast(encode(ProjectsChanged(project=project, removed=removed)), None)
            case Turn(role="user", conversation=conversation, answer=answer):
                started = encode(
                    Started(conversation=conversation, answer=answer, text=entry.text, at=entry.at)
                )
                for listener in tuple(self._readers.get(conversation, ())):
                    if not listener.forwards(answer) and self._watches[listener].project == entry.project:
                        listener.notify(started)
                self._changed(entry.project, conversation, "asked", entry.at)
            case Turn(conversation=conversation, at=at):
                self._changed(entry.project, conversation, "answered", at)

    def _changed(self, project: str, conversation: str, change: Change, at: float, title: str = "") -> None:
        changed = ConversationChanged(conversation=conversation, change=change, at=at, title=title)
        self._broadcast(encode(changed), project)

    def _learned(self, project: str, fact: Fact, change: Literal["learned", "edited"]) -> None:
        conversation = fact.conversation if fact.origin == "extracted" else ""
        changed = FactChanged(fact=fact.id, change=change, text=fact.text, conversation=conversation)
        self._broadcast(encode(changed), project)

    def _broadcast(self, frame: bytes, project: str | None) -> None:
        for listener, watch in tuple(self._watches.items()):
            if project is None or watch.project == project:
                listener.notify(frame)
