"""From lists of candidates, by meaning and by words, to the passages that are worth reading.

A first look scores each candidate by a weighted sum of its cosine and of its
BM25 score divided by the best one of the reply; unlike a sum of ranks it says
how much better one passage is than another. Then the question is widened by
what the best passages say (``stores.feedback``). What was said gains by its
surroundings: a turn beside a good one (an answer seldom repeats its question),
and a turn of a speaker whom the question names.

A floor decides what is related to the question at all; a question that has
nothing to do with what is stored gets nothing. Turns are short, and an answer
may share nothing with its question: once one of them is related, the others
must only come near the best.

Weights were chosen on LoCoMo's and Cranfield's questions from a plateau: a
tenth more or less of any of them changes neither by more than 0.025.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct

from schemas.documents import Passage
from stores import feedback
from stores.terms import plain, terms_of, words

MEANING = 0.7
"""Weight of the cosine in a score; the words have the rest."""
NAMED = 0.15
"""What a turn gains whose speaker the question names."""
BESIDE = 0.1
"""Share of its excess over the middle score that a turn gives to the turns before and after it."""
BESIDE_SECONDS = 600.0
"""Turns that are further apart are not beside each other."""
NAME_WORDS = 3
"""A heading of a turn that has more words is no speaker's name."""
PER_FILE = 2
CLEARLY_BETTER = 0.15
"""How far a file's further passage must score above the best one of other files to be taken as well."""

NEAR = 0.40
"""Cosine from which a passage is related by its meaning alone."""
FAR = 0.20
"""Cosine below which only the words can prove that a passage is related."""
BOTH = 0.42
"""Cosine plus a quarter of the coverage from which a passage between FAR and NEAR is related."""
COVERED = 0.8
"""Share of the question's words, by length, that proves a passage related however far it is."""
COVERED_ALONE = 0.65
"""The same when there are no vectors."""
WORTH = 0.4
"""A passage must score this share of the best one: what is much weaker only distracts."""


class Candidate(Struct):
    """A passage that one search or both found."""

    row: dict[str, Any]
    """As the table's reader returns it."""
    cosine: float | None = None
    """Cosine to the question; None when there are no vectors to compare."""
    words: float = 0.0
    """BM25 score for the question."""
    covered: float = 0.0
    """Share of the question's words that it holds."""


def rank(query: str, candidates: Sequence[Candidate], limit: int, vector: Any = None) -> list[Passage]:
    """Return the related passages, best first, at most ``limit`` and PER_FILE of a file.

    ``vector`` is the question's (numpy, float32, length 1); without it, or
    where rows have none, the question is widened by words only.
    """
    if not candidates:
        return []
    # Twice: a word of a heading says more about what a passage treats than one within it.
    rows = [candidate.row for candidate in candidates]
    texts = [f"{row['heading']} {row['heading']} {row['text']}" for row in rows]
    names = [candidate.row["path"] if _is_document(candidate) else "" for candidate in candidates]
    pool = feedback.Pool([f"{name} {text}" for name, text in zip(names, texts, strict=True)])
    terms = terms_of(query)
    for candidate, covered in zip(candidates, pool.coverage(terms).tolist(), strict=True):
        candidate.covered = covered
    gains = _named(query, candidates)
    # Whom the question names has to do with it, whatever was said.
    fits = [related(candidate) or gain > 0 for candidate, gain in zip(candidates, gains, strict=True)]
    if not any(fits):
        return []
    own, cosines = _own(candidates)
    own = (own + pool.scores(dict.fromkeys(terms, 1.0))) / 2
    best, counted = feedback.weights(MEANING * cosines + (1 - MEANING) * own + gains)
    further = pool.scores(feedback.further_terms(texts, best, counted))
    by_words = feedback.OWN_WORDS * own + (1 - feedback.OWN_WORDS) * further
    scores = MEANING * _widened(candidates, cosines, vector, best, counted) + (1 - MEANING) * by_words
    if all(candidate.cosine is None for candidate in candidates):
        scores = by_words
    scores = _beside(candidates, scores + gains)
    talked = any(fit and _is_turn(candidate) for fit, candidate in zip(fits, candidates, strict=True))
    kept = [
        (float(points), candidate)
        for points, fit, candidate in zip(scores, fits, candidates, strict=True)
        if fit or (talked and _is_turn(candidate))
    ]
    kept.sort(key=lambda item: item[0], reverse=True)
    floor = WORTH * kept[0][0]
    worth = [(points, candidate) for points, candidate in kept if points >= floor]
    return [
        passage_of(candidate.row, round(max(0.0, min(1.0, points)), 4))
        for points, candidate in _spread(worth, limit)
    ]


def best_turns(query: str, candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Return the turns that look best at first, best first: those whose surroundings are worth reading."""
    if all(candidate.row["kind"] != "turn" for candidate in candidates):
        return []
    own, cosines = _own(candidates)
    scores = MEANING * cosines + (1 - MEANING) * own + _named(query, candidates)
    order = sorted(range(len(candidates)), key=lambda at: -scores[at])
    return [candidates[at] for at in order if _is_turn(candidates[at])][:count]


def related(candidate: Candidate) -> bool:
    """Return whether a passage has to do with the question.

    The bounds were chosen on 56 pages about a message broker, with 30
    questions about them and 46 about other things, some of which share words
    with them ("a stream of a mountain river"). The best passages for the former
    have cosines of 0.31 to 0.77, for the latter of 0.03 to 0.33: meaning
    separates them but for a narrow band, in which the words decide.
    """
    cosine, covered = candidate.cosine, candidate.covered
    if cosine is None:
        return covered >= COVERED_ALONE
    if cosine >= NEAR or covered >= COVERED:
        return True
    return cosine >= FAR and cosine + covered / 4 >= BOTH


def named_speakers(query: str, rows: Iterable[dict[str, Any]]) -> set[str]:
    """Return the headings of turns, which say who spoke, that the question names."""
    headings = {row["heading"] for row in rows if row["kind"] == "turn" and row["heading"]}
    asked = set(words(plain(query))) if headings else set()
    parts = {heading: words(plain(heading)) for heading in headings}
    return {heading for heading, name in parts.items() if 0 < len(name) <= NAME_WORDS and asked >= set(name)}


def _widened(candidates: Sequence[Candidate], cosines: Any, vector: Any, best: Any, counted: Any) -> Any:
    """Return the cosines to the question widened by the best; those to itself where vectors are missing."""
    import numpy as np

    stored: list[Any] = [candidate.row.get("vector") for candidate in candidates]
    if vector is None or any(one is None or one.size != vector.size for one in stored):
        return cosines
    rows = stacked(stored)
    return np.vecdot(rows, feedback.widened(vector, rows, best, counted))


def _is_turn(candidate: Candidate) -> bool:
    return bool(candidate.row["kind"] == "turn")


def _is_document(candidate: Candidate) -> bool:
    return bool(candidate.row["kind"] == "document")


def _own(candidates: Sequence[Candidate]) -> tuple[Any, Any]:
    """Return the candidates' BM25 scores, the highest 1, and cosines; without one, the former for it."""
    import numpy as np

    own = feedback.normal(np.array([candidate.words for candidate in candidates]))
    cosines = [
        own[at] if candidate.cosine is None else candidate.cosine for at, candidate in enumerate(candidates)
    ]
    return own, np.array(cosines)


def _named(query: str, candidates: Sequence[Candidate]) -> Any:
    """Return what each turn gains by a speaker whom the question names."""
    import numpy as np

    speakers = named_speakers(query, (candidate.row for candidate in candidates))
    if not speakers:
        return np.zeros(len(candidates))
    return np.array(
        [
            NAMED if _is_turn(candidate) and candidate.row["heading"] in speakers else 0.0
            for candidate in candidates
        ]
    )


def _beside(candidates: Sequence[Candidate], scores: Any) -> Any:
    """Return the scores, those of turns raised by what stands before and after them."""
    import numpy as np

    said: dict[str, list[int]] = defaultdict(list)
    for at, candidate in enumerate(candidates):
        if _is_turn(candidate):
            said[candidate.row["path"]].append(at)
    if not said:
        return scores
    excess = np.maximum(0.0, scores - np.median(scores))
    raised = scores.copy()
    for turns in said.values():
        turns.sort(key=lambda at: (candidates[at].row["at"], candidates[at].row["number"]))
        for before, after in pairwise(turns):
            apart = candidates[after].row["at"] - candidates[before].row["at"]
            if apart <= BESIDE_SECONDS:
                raised[after] += BESIDE * excess[before]
                raised[before] += BESIDE * excess[after]
    return raised


def _spread(kept: list[tuple[float, Candidate]], limit: int) -> list[tuple[float, Candidate]]:
    """Take the best, of one file no more than PER_FILE that others come near."""
    taken: list[tuple[float, Candidate]] = []
    per_file: dict[str, int] = {}
    best: dict[str, float] = {}
    for points, candidate in kept:
        best.setdefault(candidate.row["source"], points)
    leading = sorted(best.items(), key=lambda item: -item[1])[:2]
    for points, candidate in kept:
        file = candidate.row["source"]
        others = next((top for other, top in leading if other != file), 0.0)
        if per_file.get(file, 0) < PER_FILE or points > others + CLEARLY_BETTER:
            per_file[file] = per_file.get(file, 0) + 1
            taken.append((points, candidate))
            if len(taken) == limit:
                break
    return taken


def stacked(vectors: Sequence[Any]) -> Any:
    """Return vectors of one length as the rows of an array: as np.stack does, but quicker for short ones."""
    import numpy as np

    return np.concatenate(vectors).reshape(len(vectors), -1)


def passage_of(row: dict[str, Any], points: float = 0.0) -> Passage:
    """Return a row of the table as the passage that travels."""
    return Passage(
        id=row["id"],
        path=row["path"],
        text=row["text"],
        first_line=row["first_line"],
        last_line=row["last_line"],
        page=row["page"],
        heading=row["heading"],
        score=points,
        kind=row["kind"],
        project=row["project"],
        at=row["at"],
    )
