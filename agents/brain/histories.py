"""The recent conversations that this brain answered, so that a next turn needs no look-up."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from agents.brain.context.history import Story
from schemas.chat import History, Turn

TURNS = 500
"""Of a conversation that are kept at least: many more than a prompt holds beside the summary."""
Key = tuple[str, str]
"""Project and conversation."""


@dataclass
class Remembered:
    """A conversation's turns and the position of the newest one in the log."""

    turns: list[Turn] = field(default_factory=list)
    sequence: int = 0
    temporary: bool = False
    """It is in no log: it lives here alone, until it is displaced."""
    story: Story = field(default_factory=Story)
    """What stands for turns that are too old for a prompt."""

    @classmethod
    def of(cls, history: History) -> Remembered:
        """Return what memory replied."""
        return cls(list(history.turns), history.sequence, story=Story(history.summary, history.summarised))

    def followed_by(self, question: Turn, answer: Turn, sequence: int) -> Remembered:
        """Return the conversation with one more exchange, of which ``sequence`` is the position."""
        turns = self.turns if len(self.turns) < 2 * TURNS else self.turns[-TURNS:]
        return Remembered([*turns, question, answer], sequence, self.temporary, self.story)


class Histories:
    """A bounded cache by least recent use.

    It may be out of date, when another brain answered meanwhile; the log
    notices, as each question is written with the position that it follows.
    """

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._kept: OrderedDict[Key, Remembered] = OrderedDict()

    def get(self, key: Key) -> Remembered | None:
        """Return a conversation if it is known here."""
        kept = self._kept.get(key)
        if kept is None or (kept.story.dropped and not kept.temporary):
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: Key, remembered: Remembered) -> None:
        """Keep a conversation and drop the least recently used beyond the limit."""
        self._kept[key] = remembered
        self._kept.move_to_end(key)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget a conversation here."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            kept.story.dropped = True

    def drop_logged(self) -> None:
        """Forget here all that can be read from the log again."""
        for key in [key for key, kept in self._kept.items() if not kept.temporary]:
            del self._kept[key]
