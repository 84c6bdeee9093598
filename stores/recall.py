"""Finding what helps to answer a question: searches by words and by meaning, then one ranking."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from schemas.documents import Passage, Recall
from schemas.embeddings import Vectors
from stores.follow_up import in_context
from stores.passages import PassagesReader, with_texts
from stores.ranking import BESIDE_SECONDS, Candidate, best_turns, named_speakers, passage_of, rank, stacked
from stores.scope import Scope
from stores.terms import telling, without_stop_words

CANDIDATES = 100
"""Of each search; ranking looks no deeper."""
MATCHED_CHARS = 2000
"""Of a question, searched by words: a longer one is a text, and its beginning and end say what is asked."""
SURROUNDED = 10
"""Turns whose surroundings are read."""

Rows = list[dict[str, Any]]


async def recall(
    tables: Sequence[PassagesReader],
    ask: Recall,
    scope: Scope,
    embed: Callable[[str], Awaitable[Vectors | None]],
    keep: Callable[[Rows], Rows],
) -> tuple[tuple[Passage, ...], bool]:
    """Return the passages for a question, best first, and whether they were also searched by meaning.

    All tables are searched and ranked as one. ``keep`` returns those of the
    rows found that may be shown (facts that hold, turns of other
    conversations); it blocks for milliseconds and runs in a thread.
    ``embed`` turns what is asked into a vector while the words are searched;
    None means that there is none, and words alone must do.
    """
    query = in_context(ask.query, ask.context)
    matched = without_stop_words(query)
    if len(matched) > MATCHED_CHARS:
        matched = f"{matched[: MATCHED_CHARS // 2]} {matched[-MATCHED_CHARS // 2 :]}"

    searched = [table.matching(matched, scope, CANDIDATES, texts=False) for table in tables]
    by_words, vectors = await asyncio.gather(asyncio.gather(*searched), embed(query))
    bare = _without_speakers(query, [row for found in by_words for row in found])
    if vectors is not None and bare != query:
        vectors = await embed(bare) or vectors
    asked = _array(vectors)
    able = [table for table in tables if vectors is not None and vectors.model == table.model]

    def first_look() -> tuple[list[Candidate], list[Candidate], list[Passage] | None]:
        # In one thread: handing over costs more than searching side by side gains.
        near = [table.nearest_here(asked.tobytes(), scope, CANDIDATES) for table in able]
        candidates = _candidates([*near, *by_words], asked, keep)
        turns = best_turns(query, candidates, SURROUNDED)
        complete = not turns and all("text" in candidate.row for candidate in candidates)
        return candidates, turns, rank(query, candidates, ask.limit, asked) if complete else None

    candidates, turns, found = await asyncio.to_thread(first_look)
    if turns:
        known = {candidate.row["id"] for candidate in candidates}
        moments = [candidate.row["at"] for candidate in turns]
        around = [
            await table.said_around(moments, BESIDE_SECONDS / 2, scope, texts=False) for table in tables
        ]
        fresh = [[row for row in rows if row["id"] not in known] for rows in around]
        candidates += await asyncio.to_thread(_candidates, fresh, asked, keep)
    if found is None:
        await with_texts([candidate.row for candidate in candidates])
        found = await asyncio.to_thread(rank, query, candidates, ask.limit, asked)
    if ask.neighbours and found and len(found) < ask.limit:
        found = await _with_neighbours(tables, found, ask, scope, keep)
    return tuple(found), vectors is not None


def _candidates(searches: Sequence[Rows], query: Any, keep: Callable[[Rows], Rows]) -> list[Candidate]:
    """Return what the searches found, each passage once, with its cosine to the question where it has one."""
    rows: dict[str, dict[str, Any]] = {}
    for found in searches:
        for row in found:
            if rows.setdefault(row["id"], row) is not row:
                rows[row["id"]].update(row)
    candidates = [Candidate(row, words=row.get("_score", 0.0)) for row in keep(list(rows.values()))]
    comparable = [one for one in candidates if query is not None and one.row["vector"].size == query.size]
    if comparable:
        import numpy as np

        cosines = np.vecdot(stacked([candidate.row["vector"] for candidate in comparable]), query)
        for candidate, cosine in zip(comparable, cosines.tolist(), strict=True):
            candidate.cosine = cosine
    return candidates


async def _with_neighbours(
    tables: Sequence[PassagesReader],
    found: Sequence[Passage],
    ask: Recall,
    scope: Scope,
    keep: Callable[[Rows], Rows],
) -> list[Passage]:
    """Fill the places that are left with what stands beside the passages found, those of the best first."""
    taken = {passage.id for passage in found}
    filled = list(found)
    for passage in found:
        source, _, number = passage.id.rpartition("-")
        near: Rows = []
        for table in tables:
            if passage.kind == "turn":
                said = await table.said_around([passage.at], BESIDE_SECONDS, scope)
                near += _beside([row for row in said if row["path"] == passage.path], passage, ask.neighbours)
            else:
                at = int(number)
                numbers = range(max(0, at - ask.neighbours), at + ask.neighbours + 1)
                near += await table.numbered(source, numbers, scope)
        for row in await asyncio.to_thread(keep, near):
            if row["id"] not in taken and len(filled) < ask.limit:
                taken.add(row["id"])
                filled.append(passage_of(row))
        if len(filled) == ask.limit:
            break
    return filled


def _beside(said: Rows, passage: Passage, count: int) -> Rows:
    """Return the turns directly before and after a passage among those of its conversation."""
    said = sorted(said, key=lambda row: (row["at"], row["number"]))
    at = next((at for at, row in enumerate(said) if row["id"] == passage.id), None)
    return [] if at is None else said[max(0, at - count) : at + count + 1]


def _without_speakers(query: str, rows: Rows) -> str:
    """Return a question without the names of speakers that it asks about.

    Who spoke is known of a turn; a name in the question's vector would draw it
    towards whatever mentions somebody of that name.
    """
    bare = query
    for name in named_speakers(query, rows):
        bare = re.sub(rf"\b{re.escape(name)}(?:['\u2019]s)?(?!\w)", " ", bare, flags=re.IGNORECASE)
    bare = " ".join(bare.split()) if bare != query else query
    return bare if telling(bare) else query


def _array(vectors: Vectors | None) -> Any:
    if vectors is None:
        return None
    import numpy as np

    return np.frombuffer(vectors.data, dtype="<f4")
