"""Judging what was said: the embedder's vectors for the sentences that extraction is unsure of."""

from __future__ import annotations

import array
import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from agents.memory.extraction.judging import WEIGHTS, Judge, load, texts_to_judge
from schemas.chat import Turn

log = logging.getLogger(__name__)

KEPT = 1000
"""Sentences whose vectors are kept: those of the turns by which the next ones are understood."""


class Judges:
    """Makes the judge of a conversation's sentences.

    ``embed`` returns the vectors of texts, row by row as float32; what it
    raises is raised, so that learning waits for the embedder.
    """

    def __init__(self, model: str, embed: Callable[[Sequence[str]], Awaitable[bytes]]) -> None:
        self._model = model
        self._embed = embed
        self._vectors: dict[str, list[float]] = {}
        self._alone = False

    async def of(self, turns: Sequence[Turn]) -> Judge | None:
        """Return the judge of these turns' sentences; None where there are no weights for this model."""
        weights = None if self._alone else await asyncio.to_thread(load, WEIGHTS)
        if weights is None or weights.model != self._model:
            return self._rules_alone()
        texts = await asyncio.to_thread(texts_to_judge, turns)
        vectors = {text: self._vectors[text] for text in texts if text in self._vectors}
        if missing := [text for text in texts if text not in vectors]:
            data = array.array("f", await self._embed(missing))
            width = len(data) // len(missing)
            if width != len(weights.dense):
                return self._rules_alone()
            vectors |= {text: data[at * width : (at + 1) * width].tolist() for at, text in enumerate(missing)}
        self._vectors = dict([*self._vectors.items(), *vectors.items()][-KEPT:])
        return weights.judge(vectors)

    def _rules_alone(self) -> Judge | None:
        if not self._alone:
            self._alone = True
            log.warning("facts are found by rules alone: the weights are not for %s.", self._model)
        return None

    def forget(self) -> None:
        """Keep nothing of what was said."""
        self._vectors.clear()
