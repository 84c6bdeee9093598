"""Which sentence of an answer rests on which passage."""

from __future__ import annotations

from collections.abc import Sequence

from agents.brain.questions import Asked
from agents.brain.sentences import sentences
from agents.brain.support import Said, Source
from agents.brain.words import without_marks
from schemas.chat import Citation, Grounding
from schemas.documents import Passage

WORTH = 0.9
"""A passage must support its sentence this well beside the best supported one of the answer."""
BEHIND = 0.03
"""What each better ranked passage takes from a passage's support: search knows more than the words here."""


def find(question: str, text: str, passages: Sequence[Passage], before: str = "") -> tuple[Citation, ...]:
    """Return what in an answer to a question the passages support, in the order of the text.

    ``before`` is the question before this one. Each sentence rests on one
    passage, the one that supports it best. Takes milliseconds; up to tenths
    of a second for the longest answers.
    """
    asked = Asked(question, before)
    sources = [Source(passage) for passage in passages]
    found: list[tuple[float, Citation]] = []
    for sentence in sentences(text):
        if not sentence.states:
            continue
        said = Said(without_marks(sentence.text))
        support = [source.support(asked, said) * (1 - BEHIND * rank) for rank, source in enumerate(sources)]
        best = max(support, default=0.0)
        if best > 0:
            place = Citation(start=sentence.start, end=sentence.end, passage=support.index(best) + 1)
            found.append((best, place))
    worth = WORTH * max((best for best, _ in found), default=0.0)
    return tuple(place for best, place in found if best >= worth)


def cited(citations: Sequence[Citation]) -> tuple[int, ...]:
    """Return the passages' numbers, ascending, each once."""
    return tuple(sorted({citation.passage for citation in citations}))


def grounding(searched: bool | None, passages: Sequence[Passage], citations: Sequence[Citation]) -> Grounding:
    """Return what an answer rests on; ``searched``: None if there was to be no search, False if it failed."""
    if searched is None:
        return ""
    if not searched:
        return "not_searched"
    if not passages:
        return "nothing_found"
    return "supported" if citations else "unsupported"
