"""Which sentence of an answer rests on which passage.

First by the words, see ``support``: that leaves a few candidates, mostly none.
Then by meaning: a sentence that answers the question is near to it. Copied
from a passage that is merely about the same things, it is less near.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul

from msgspec import Struct

from agents.brain.questions import Asked
from agents.brain.sentences import Sentence, sentences
from agents.brain.support import Said, Source
from agents.brain.words import without_marks
from schemas.chat import Citation, Grounding
from schemas.documents import Passage

MOST = 8
"""Candidates that are compared by meaning: each costs about 10 ms on a CPU."""
ANSWERS = 0.4
"""Cosine to the question, times the support, from which a sentence counts as an answer to it."""
WORDS_ALONE = 0.8
"""The support that is wanted when meaning cannot be compared."""
CLOSE = 0.97
"""Further passages are cited that come this close to the best one: a second opinion is mostly a wrong one."""


class Candidate(Struct, frozen=True):
    """A sentence and a passage that says the same."""

    sentence: Sentence
    passage: int
    """Number of the passage, from 1."""
    support: float
    """0 to 1."""
    compared: str
    """The sentence under the passage's heading, which often names what "it" is."""


class Found(Struct, frozen=True):
    """What the words alone tell."""

    question: str
    """The question, with the one before where it leans on that."""
    candidates: tuple[Candidate, ...]
    """Best first."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts whose vectors ``choose`` wants: the question, then one for each candidate."""
        return (self.question, *(candidate.compared for candidate in self.candidates))


def find(question: str, text: str, passages: Sequence[Passage], before: str = "") -> Found:
    """Return the sentences of an answer that passages support, by their words.

    ``before`` is the question before this one. Takes milliseconds; up to
    tenths of a second for the longest answers.
    """
    asked = Asked(question, before)
    sources = [Source(passage) for passage in passages]
    found = []
    for sentence in sentences(text) if passages else ():
        if not sentence.states:
            continue
        plain = without_marks(sentence.text)
        said = Said(plain)
        for number, source in enumerate(sources, 1):
            support = source.support(asked, said)
            if support > 0:
                heading = passages[number - 1].heading.rpartition(" > ")[2]
                found.append(
                    Candidate(sentence, number, support, f"{heading}: {plain}" if heading else plain)
                )
    found.sort(key=lambda candidate: candidate.support, reverse=True)
    return Found(f"{before} {question}" if asked.leans else question, tuple(found[:MOST]))


def choose(found: Found, vectors: bytes | None) -> tuple[Citation, ...]:
    """Return what is cited, in the order of the text; each sentence rests on one passage.

    ``vectors`` are those of ``found.texts``, as ``schemas.embeddings.Vectors``
    has them; None when there are none.
    """
    if vectors is None:
        points = [c.support if c.support >= WORDS_ALONE else 0.0 for c in found.candidates]
    else:
        points = [
            near * candidate.support if near * candidate.support >= ANSWERS else 0.0
            for near, candidate in zip(
                _cosines(vectors, len(found.candidates)), found.candidates, strict=True
            )
        ]
    least = CLOSE * max(points, default=0.0)
    worthy = {
        c.passage for c, point in zip(found.candidates, points, strict=True) if point and point >= least
    }
    best: dict[int, tuple[float, Candidate]] = {}
    for point, candidate in zip(points, found.candidates, strict=True):
        at = candidate.sentence.start
        if point and candidate.passage in worthy and point > best.get(at, (0.0, candidate))[0]:
            best[at] = (point, candidate)
    return tuple(
        Citation(start=at, end=candidate.sentence.end, passage=candidate.passage)
        for at, (_, candidate) in sorted(best.items())
    )


def cited(citations: Sequence[Citation]) -> tuple[int, ...]:
    """Return the passages' numbers, ascending, each once."""
    return tuple(sorted({citation.passage for citation in citations}))


def grounding(searched: bool | None, passages: Sequence[Passage], citations: Sequence[Citation]) -> Grounding:
    """Return what an answer rests on.

    ``searched`` is None when there was to be no search, False when it failed.
    """
    if searched is None:
        return ""
    if not searched:
        return "not_searched"
    if not passages:
        return "nothing_found"
    return "supported" if citations else "unsupported"


def _cosines(vectors: bytes, count: int) -> list[float]:
    """Return the cosine of the first vector to each of the others; all are of length 1."""
    values = memoryview(vectors).cast("f")
    size = len(values) // (count + 1)
    question = values[:size].tolist()
    return [
        sum(map(mul, question, values[at * size : (at + 1) * size].tolist())) for at in range(1, count + 1)
    ]
