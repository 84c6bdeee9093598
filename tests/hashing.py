"""An embedder without a model: a text's vector is the sum of its words' own vectors."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

import numpy as np

from bus.agent import Agent, answers
from schemas.embeddings import Embed, Vectors

DIMENSIONS = 64


@lru_cache(maxsize=100_000)
def _word(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=DIMENSIONS)


def vector(text: str) -> bytes:
    """Return a vector of length 1 that is near to those of texts with the same words."""
    total = sum((_word(word) for word in re.findall(r"\w+", text.casefold())), np.full(DIMENSIONS, 1e-3))
    return (total / np.linalg.norm(total)).astype("<f4").tobytes()


class HashEmbedder(Agent):
    """Answers as the embedder does."""

    kind = "embedder"

    @answers(Embed)
    async def embed(self, ask: Embed) -> Vectors:
        data = b"".join(vector(text) for text in ask.texts)
        return Vectors(
            model=self.settings.embedding_model, rows=len(ask.texts), dimensions=DIMENSIONS, data=data
        )
