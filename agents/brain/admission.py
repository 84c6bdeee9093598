"""Who is next among the generations that wait for an engine: bounded, fair, chat before background.

- **Bounded.** Beyond a number, in all and for each user, who comes is told
  that the engine is busy; what waits for minutes is of no use to anybody.
- **Fair.** Users take turns by what they were given: each generation is
  charged with the tokens that it reserves, and the user with the least
  charged is next (start-time fair queueing). Who comes back after a pause
  starts level with the least of those that wait, so nobody saves up. A user
  with 50 waiting delays another's first by one turn at most.
- **Chat before background.** Background work begins only while no chat waits,
  in all but one of the slots, and with room left in the context beside it: it
  cannot be stopped and continued, so whatever it held a chat would wait for
  till its end. With a single slot it may have that one.
- **In order** for one user. What finds no room now may be overtaken by
  smaller ones of other users, but only so often: then all wait for its room.

Only policy: no clock, no tasks, no engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from agents.brain.engine import ANYONE, Place
from schemas.errors import KaraisError
from schemas.failure import Code

MOST_WAITING = 256
"""Generations that may wait for one engine."""
MOST_OF_A_USER = 64
"""Of them, those of one user, background included."""
MOST_OVERTAKEN = 8
"""How often one that finds no room is passed by those that do."""

Item = TypeVar("Item", bound=Hashable)


@dataclass(slots=True, eq=False)
class _Entry(Generic[Item]):
    item: Item
    place: Place
    cost: int
    overtaken: int = 0


class _Shares(Generic[Item]):
    """One class of work: each user's entries in order, users by what they were given."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[_Entry[Item]]] = {}
        self._charged: dict[str, int] = {}
        """Virtual time of each user that waits or is ahead of ``_now``."""
        self._now = 0
        """Virtual time: what the one that was last let in had been charged before."""

    def __iter__(self) -> Iterator[_Entry[Item]]:
        return (entry for queue in self._queues.values() for entry in queue)

    def add(self, entry: _Entry[Item]) -> None:
        user = entry.place.user
        if user not in self._queues:
            self._queues[user] = deque()
            self._charged[user] = max(self._charged.get(user, 0), self._now)
        self._queues[user].append(entry)

    def drop(self, entry: _Entry[Item]) -> None:
        user = entry.place.user
        queue = self._queues[user]
        queue.remove(entry)
        if not queue:
            del self._queues[user]

    def next(self, fits: Callable[[int], bool]) -> _Entry[Item] | None:
        """Take the next one that fits, unless an earlier one was overtaken too often."""
        passed: list[_Entry[Item]] = []
        # Sorting is stable: users who were given the same take turns in the order in which they came.
        for user in sorted(self._queues, key=self._charged.__getitem__):
            head = self._queues[user][0]
            if fits(head.cost):
                for entry in passed:
                    entry.overtaken += 1
                self._charge(head)
                self.drop(head)
                return head
            if head.overtaken >= MOST_OVERTAKEN:
                return None
            passed.append(head)
        return None

    def _charge(self, entry: _Entry[Item]) -> None:
        user = entry.place.user
        self._now = max(self._now, self._charged[user])
        self._charged[user] += entry.cost
        for other in [o for o, at in self._charged.items() if at <= self._now and o not in self._queues]:
            del self._charged[other]


class Admission(Generic[Item]):
    """The generations that wait for an engine's slots, and the background ones that hold one."""

    def __init__(
        self,
        slots: int,
        *,
        spare: int = 0,
        most: int = MOST_WAITING,
        most_of_a_user: int = MOST_OF_A_USER,
    ) -> None:
        """Make an empty one; ``spare`` is the room, in tokens, that background work leaves to chats."""
        self._spare = spare
        self._most = most
        self._most_of_a_user = most_of_a_user
        self._most_background = max(1, slots - 1)
        self._chat: _Shares[Item] = _Shares()
        self._background: _Shares[Item] = _Shares()
        self._entries: dict[Item, _Entry[Item]] = {}
        self._in_background: set[Item] = set()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._entries)

    def __contains__(self, item: Item) -> bool:
        """Tell whether it waits."""
        return item in self._entries

    def __iter__(self) -> Iterator[Item]:
        """Iterate over those that wait, in the order in which they came."""
        return iter(list(self._entries))

    def check(self, place: Place = ANYONE) -> None:
        """Raise KaraisError ``busy``, naming the number, when another one may not wait."""
        if len(self._entries) >= self._most:
            raise KaraisError(
                f"The engine is busy: {self._most} requests wait for it already. Try again later.",
                code=Code.BUSY,
            )
        if len(self._entries) < self._most_of_a_user:
            return
        own = sum(entry.place.user == place.user for entry in self._entries.values())
        if own >= self._most_of_a_user:
            raise KaraisError(
                f"{self._most_of_a_user} requests of the user {place.user} wait already, and no more may:"
                " try again when some are answered.",
                code=Code.BUSY,
            )

    def push(self, item: Item, place: Place, cost: int) -> None:
        """Let an item wait that needs so many tokens of the context. Raises as ``check`` does."""
        self.check(place)
        entry = _Entry(item, place, max(1, cost))
        self._entries[item] = entry
        (self._background if place.background else self._chat).add(entry)

    def pop(self, fits: Callable[[int], bool]) -> Item | None:
        """Take the next one for which there is room, None when there is none.

        Call it while a slot is free. ``fits`` tells whether so many tokens
        have room in the context; it has to be true while nothing runs.
        """
        entry = self._chat.next(fits)
        if entry is None:
            if any(True for _ in self._chat) or len(self._in_background) >= self._most_background:
                return None
            entry = self._background.next(lambda cost: fits(cost + self._spare))
            if entry is None:
                return None
            self._in_background.add(entry.item)
        del self._entries[entry.item]
        return entry.item

    def remove(self, item: Item) -> None:
        """Forget an item: it gave up waiting, or it was let in and has ended now."""
        self._in_background.discard(item)
        entry = self._entries.pop(item, None)
        if entry is not None:
            (self._background if entry.place.background else self._chat).drop(entry)
