"""From two lists of candidates, by meaning and by words, to the passages that are worth reading.

The lists are fused by reciprocal rank (Cormack et al. 2009), which needs no
common scale. Then a floor decides what is related to the question at all; a
question that has nothing to do with the storage gets nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from schemas.documents import Passage
from stores.stop_words import STOP_WORDS

RANK_CONSTANT = 60
PER_FILE = 2
CLEARLY_BETTER = 0.15
"""How far a file's further passage must score above the best other one to be taken as well."""

NEAR = 0.40
"""Cosine from which a passage is related by its meaning alone."""
FAR = 0.20
"""Cosine below which words alone must prove that it is related."""
COVERED = 0.5
"""Share of the question's words, by weight, that a passage between FAR and NEAR must hold."""
COVERED_FAR = 0.8
"""The same below FAR or without vectors."""


class Candidate(Struct):
    """A passage that one search or both found."""

    row: dict[str, Any]
    cosine: float | None = None
    """Cosine to the question; None when there are no vectors to compare."""
    meaning_rank: int | None = None
    """Place in the list by meaning, from 0."""
    words_rank: int | None = None
    """Place in the list by words, from 0."""
    covered: float = 0.0

    @property
    def fused(self) -> float:
        """Reciprocal rank fusion."""
        ranks = (rank for rank in (self.meaning_rank, self.words_rank) if rank is not None)
        return sum(1 / (RANK_CONSTANT + 1 + rank) for rank in ranks)


def rank(query: str, candidates: Sequence[Candidate], limit: int) -> list[Passage]:
    """Return the related passages, best first, at most ``limit`` and PER_FILE of a file."""
    terms = content_words(query)
    kept: list[tuple[float, float, Candidate]] = []
    for candidate in candidates:
        candidate.covered = coverage(terms, candidate.row)
        if related(candidate):
            kept.append((candidate.fused, score(candidate), candidate))
    kept.sort(key=lambda item: item[:2], reverse=True)
    return [_passage(candidate, points) for points, candidate in _spread(kept, limit)]


def related(candidate: Candidate) -> bool:
    """Return whether a passage has to do with the question."""
    cosine = candidate.cosine
    if cosine is None or cosine < FAR:
        return candidate.covered >= COVERED_FAR
    return cosine >= NEAR or candidate.covered >= COVERED


def score(candidate: Candidate) -> float:
    """Return 0 to 1: how near by meaning, and how many of the question's words there are."""
    if candidate.cosine is None:
        return candidate.covered
    return max(0.0, min(1.0, 0.7 * candidate.cosine + 0.3 * candidate.covered))


def content_words(query: str) -> frozenset[str]:
    """Return the words of a question that say what it is about, stemmed roughly."""
    return frozenset(_stem(word) for word in _words(query) if word not in _STOP)


def coverage(terms: frozenset[str], row: dict[str, Any]) -> float:
    """Return the share of ``terms`` that a row's path, headings and text hold, by their length."""
    if not terms:
        return 0.0
    present = {_stem(word) for key in ("path", "heading", "text") for word in _words(row[key])}
    weight = {term: min(len(term), 8) for term in terms}
    return sum(weight[term] for term in terms if term in present) / sum(weight.values())


def _spread(kept: list[tuple[float, float, Candidate]], limit: int) -> list[tuple[float, Candidate]]:
    taken: list[tuple[float, Candidate]] = []
    per_file: dict[str, int] = {}
    left_out: list[tuple[float, Candidate]] = []
    for _, points, candidate in kept:
        file = candidate.row["file"]
        if per_file.get(file, 0) >= PER_FILE:
            left_out.append((points, candidate))
            continue
        per_file[file] = per_file.get(file, 0) + 1
        taken.append((points, candidate))
    chosen = taken[:limit]
    for points, candidate in left_out:
        others = [at for at, (_, other) in enumerate(chosen) if other.row["file"] != candidate.row["file"]]
        if len(chosen) < limit:
            continue
        if others and points > chosen[others[-1]][0] + CLEARLY_BETTER:
            chosen[others[-1]] = (points, candidate)
    return chosen


def _passage(candidate: Candidate, points: float) -> Passage:
    row = candidate.row
    return passage_of(row, round(points, 4))


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
    )


_WORD = re.compile(r"[^\W_]+")
_WIDE_RUN = re.compile(r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")


def _words(text: str) -> list[str]:
    """Return the words of a text; runs of scripts without spaces as overlapping pairs."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if word.isascii() or not _WIDE_RUN.search(word):
            found.append(word)
            continue
        found += _WIDE_RUN.sub(" ", word).split()
        for run in _WIDE_RUN.findall(word):
            found += [run[at : at + 2] for at in range(max(1, len(run) - 1))]
    return found


def _stem(word: str) -> str:
    """Cut the commonest English endings, alike in question and passage."""
    if len(word) > 4 and word.isascii():
        for ending in (
            "ations",
            "ation",
            "ings",
            "ing",
            "ies",
            "ied",
            "ers",
            "er",
            "es",
            "ed",
            "s",
            "e",
            "y",
        ):
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word[: -len(ending)]
    return word


_STOP = frozenset(STOP_WORDS.split())
