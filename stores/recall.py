"""Finding what helps to answer a question: both searches at once, then one ranking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from schemas.documents import Passage
from schemas.embeddings import Vectors
from stores.passages import PassagesReader
from stores.ranking import Candidate, rank
from stores.scope import Scope

CANDIDATES = 30
"""Of each search; ranking looks no deeper."""
MATCHED_CHARS = 2000
"""Of a question, searched by words: a longer one is a text, and its beginning and end say what is asked."""


async def recall(
    documents: PassagesReader,
    query: str,
    embedding: Awaitable[Vectors | None],
    scope: Scope,
    limit: int,
) -> tuple[tuple[Passage, ...], bool]:
    """Return the passages for a question, best first, and whether they were also searched by meaning.

    ``embedding`` is awaited while the words are searched; None means that
    there is none, and words alone must do.
    """
    words = query
    if len(query) > MATCHED_CHARS:
        words = f"{query[: MATCHED_CHARS // 2]} {query[-MATCHED_CHARS // 2 :]}"
    count = max(CANDIDATES, 2 * limit)
    by_words = asyncio.ensure_future(documents.matching(words, scope, count))
    try:
        vectors = await embedding
        if vectors is not None and vectors.model != documents.model:
            vectors = None  # of another model: nothing here can be compared with it
        near = await documents.nearest(vectors.data, scope, count) if vectors else []
    except BaseException:
        by_words.cancel()
        raise
    matching = await by_words

    found = {row["id"]: Candidate(row, cosine=1 - row["_distance"]) for row in near}
    for row in matching:
        candidate = found.get(row["id"])
        if candidate is None:
            candidate = found[row["id"]] = Candidate(row)
            if vectors is not None:
                candidate.cosine = _cosine(row["vector"], vectors.data)
        candidate.words = row["_score"]
    return tuple(rank(query, list(found.values()), limit)), vectors is not None


def _cosine(vector: Any, query: bytes) -> float | None:
    import numpy as np

    other = np.frombuffer(query, dtype="<f4")
    return float(np.dot(vector, other)) if len(vector) == other.size else None
