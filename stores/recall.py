"""Finding what helps to answer a question: both searches at once, then one ranking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from schemas.documents import Passage, Recall
from schemas.embeddings import Vectors
from stores.passages import PassagesReader
from stores.ranking import Candidate, rank
from stores.scope import Scope

CANDIDATES = 30
"""Of each search; ranking looks no deeper."""
MATCHED_CHARS = 2000
"""Of a question, searched by words: a longer one is a text, and its beginning and end say what is asked."""


async def recall(
    tables: Sequence[PassagesReader],
    ask: Recall,
    scope: Scope,
    embedding: Awaitable[Vectors | None],
    keep: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> tuple[tuple[Passage, ...], bool]:
    """Return the passages for a question, best first, and whether they were also searched by meaning.

    All tables are searched and ranked as one. ``keep`` returns those of the
    rows found that may be shown (facts that hold, turns of other
    conversations); it blocks for milliseconds and runs in a thread.
    ``embedding`` is awaited while the words are searched; None means that
    there is none, and words alone must do.
    """
    words = ask.query
    if len(words) > MATCHED_CHARS:
        words = f"{words[: MATCHED_CHARS // 2]} {words[-MATCHED_CHARS // 2 :]}"
    count = max(CANDIDATES, 2 * ask.limit)
    matching = [asyncio.ensure_future(table.matching(words, scope, count)) for table in tables]
    try:
        vectors = await embedding
        near: list[list[dict[str, Any]]] = []
        for table in tables:
            comparable = vectors is not None and vectors.model == table.model
            near.append(await table.nearest(vectors.data, scope, count) if vectors and comparable else [])
    except BaseException:
        for search in matching:
            search.cancel()
        raise
    rows: dict[str, dict[str, Any]] = {}
    for found in [*near, *[await search for search in matching]]:
        for row in found:
            rows.setdefault(row["id"], {}).update(row)
    candidates = []
    for row in await asyncio.to_thread(keep, list(rows.values())):
        cosine = _cosine(row["vector"], vectors.data) if vectors is not None else None
        candidates.append(Candidate(row, cosine=cosine, words=row.get("_score", 0.0)))
    return tuple(rank(ask.query, candidates, ask.limit)), vectors is not None


def _cosine(vector: Any, query: bytes) -> float | None:
    import numpy as np

    other = np.frombuffer(query, dtype="<f4")
    if vector.size != other.size:
        return None
    return float(np.dot(vector, other))
