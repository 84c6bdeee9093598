"""JSON schemas over logits: only tokens that can still become a valid value may be chosen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.brain.constraining import matcher_for, refused

if TYPE_CHECKING:
    from agents.brain.engine import Constraint
    from agents.brain.stepping.sampling import Row
    from agents.brain.stepping.vocabulary import Vocabulary


class Grammars:
    """Compiles schemas for one vocabulary. Can be used by several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer: Any = None
        self._lock = threading.Lock()

    def compile(self, constraint: Constraint) -> Guide:
        """Return what holds one answer to it. Blocks for milliseconds or, the first time, for half a second.

        Raises KaraisError ``invalid`` with what is wrong with the schema.
        """
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = self._vocabulary.for_grammars()
        return Guide(matcher_for(constraint, self._tokenizer), self._vocabulary.size)


class Guide:
    """Holds one answer to its schema."""

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher = matcher
        self._mask = np.zeros((size + 31) // 32, np.int32)

    @property
    def complete(self) -> bool:
        """The text is whole: nothing may follow."""
        return bool(self._matcher.is_stopped())

    def restrict(self, row: Row) -> None:
        """Make impossible tokens impossible. Raises KaraisError when the schema turns out too complex."""
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._check()
        allowed = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: row.size]
        row[: allowed.size][allowed == 0] = -np.inf
        row[allowed.size :] = -np.inf

    def took(self, token: int) -> None:
        """Go on behind a token."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise refused(self._matcher.get_error())
