"""JSON schemas over logits: only tokens that can still become a valid value may be chosen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import KaraisError
from schemas.failure import Code

if TYPE_CHECKING:
    from agents.brain.stepping.sampling import Row
    from agents.brain.stepping.vocabulary import Vocabulary

_MOST_CHARS = 100_000


class Grammars:
    """Compiles schemas for one vocabulary. Can be used by several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer: Any = None
        self._lock = threading.Lock()

    def compile(self, schema: str) -> Any:
        """Return a matcher. Blocks, for milliseconds or, the first time, for half a second.

        Raises KaraisError ``invalid`` when the schema is no JSON, too large or
        too complex, says what is not supported, or nothing can satisfy it.
        """
        import llguidance

        if len(schema) > _MOST_CHARS:
            raise _refused(f"it has {len(schema):,} characters and may have {_MOST_CHARS:,}")
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = self._vocabulary.for_grammars()
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(
                schema, overrides={"whitespace_flexible": False}
            )
            matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        except Exception as error:  # noqa: BLE001 - whatever the library finds wrong is wrong with the schema
            raise _refused(str(error)) from None
        if matcher.is_error():
            raise _refused(matcher.get_error())
        return matcher


class Guide:
    """Holds one answer to its schema."""

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher = matcher
        self._mask = np.zeros((size + 31) // 32, np.int32)

    @property
    def complete(self) -> bool:
        """The value is whole: nothing may follow."""
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
            raise _refused(self._matcher.get_error())


def _refused(reason: str) -> KaraisError:
    line = " ".join(reason.split())[:300].rstrip(".")
    return KaraisError(f"The answer cannot be held to this JSON schema: {line}.", code=Code.INVALID)
