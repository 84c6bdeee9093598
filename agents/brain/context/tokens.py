"""Exact counts of tokens; a text is counted once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from agents.brain.engine import ChatMessage, Engine

KEPT = 20_000
"""Counts that are kept: some 3 MB."""


class Tokens:
    """Counts with the engine's tokenizer and remembers, by the texts' hashes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._template: tuple[int, int] | None = None

    async def of(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has by itself; asks the engine once for all that are new."""
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        found = dict(zip(new, await self._engine.measure(list(new.values())), strict=True)) if new else {}
        for key in keys:
            if key in found:
                self._known[key] = found[key]
            self._known.move_to_end(key)
        counts = [self._known[key] for key in keys]
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return counts

    async def of_template(self) -> tuple[int, int]:
        """Return what the model's template adds to a prompt, and to each message of it."""
        if self._template is None:
            said = "Fine."
            (alone,) = await self._engine.measure([said])
            short = [ChatMessage("system", said), ChatMessage("user", said)]
            long = [*short, ChatMessage("assistant", said), ChatMessage("user", said)]
            small, large = await self._engine.count(short), await self._engine.count(long)
            each = max(0, -(-(large - small - 2 * alone) // 2))
            self._template = max(0, small - 2 * (alone + each)), each
        return self._template
