"""Which sentence of an answer rests on which passage.

First by the words, see ``support``: that leaves a few candidates, mostly none.
Then by meaning: a sentence that answers the question is near to it. Copied
from a passage that is merely about the same things, it is less near. The
passages' own sentences compete with those of the answer, so that an answer
which copied from the second best passage does not make it the best; and when
the model said nothing that a passage supports, as small models do, the best of
them is quoted behind the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import mul

from msgspec import Struct

from agents.brain.questions import Asked
from agents.brain.sentences import Sentence, sentences
from agents.brain.support import Said, Source
from agents.brain.words import points_back, without_marks
from schemas.chat import Citation, Grounding
from schemas.documents import Passage

MOST = 5
"""Sentences of the answer, and as many of the passages, that are compared by meaning: 5 to 10 ms each."""
MOST_CHARS = 600
"""Of a sentence that is compared or quoted."""
FEWEST_CHARS = 16
"""Of a sentence that is quoted."""
ANSWERS = 0.5
"""Cosine to the question, times the support, from which a sentence counts as an answer to it."""
QUOTED = 0.44
"""The same for a sentence of a passage: nothing was made up on the way from there."""
WORDS_ALONE = 0.8
"""The support that is wanted when meaning cannot be compared."""
CLOSE = 0.97
"""A passage is cited that comes this close to the best one: a second opinion is mostly a wrong one."""
BEHIND = 0.03
"""Share of its support that a passage to quote loses for each one that the search ranked above it."""

_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_TARGET = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_TAG = re.compile(r"\{%[^%]*%\}|</?[a-zA-Z][^<>]*>|&#x?\w+;")
"""Tags of HTML and of templates."""
_WHENCE = {
    "document": "From your files:",
    "turn": "From an earlier conversation:",
    "fact": "From what I remember:",
}


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
    """Sentences of the answer, best first."""
    quotes: tuple[Candidate, ...] = ()
    """Sentences of the passages, best first."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts whose vectors ``choose`` wants: the question, then one for each candidate."""
        return (self.question, *(candidate.compared for candidate in (*self.candidates, *self.quotes)))


class Chosen(Struct, frozen=True):
    """What is shown."""

    citations: tuple[Citation, ...]
    quote: Candidate | None = None
    """What is to be quoted because nothing is cited."""


def find(question: str, text: str, passages: Sequence[Passage], before: str = "") -> Found:
    """Return the sentences of an answer that passages support, by their words.

    ``before`` is the question before this one. Takes milliseconds; up to
    tenths of a second for the longest answers.
    """
    asked = Asked(question, before)
    sources = [Source(passage) for passage in passages]
    heads = [passage.heading.rpartition(" > ")[2] for passage in passages]
    found: list[Candidate] = []
    quotes: list[Candidate] = []
    for sentence in sentences(text) if passages else ():
        if sentence.states:
            plain = without_marks(sentence.text)
            said = Said(plain)
            for number, source in enumerate(sources, 1):
                if (support := source.support(asked, said)) > 0:
                    found.append(Candidate(sentence, number, support, _under(heads[number - 1], plain)))
    for number, source in enumerate(sources, 1):
        alone = 0.0
        for sentence in _quotable(passages[number - 1].text):
            if FEWEST_CHARS <= len(sentence.text) + len(sentence.under) <= MOST_CHARS:
                said = Said(sentence.text, sentence.under)
                support = source.support(asked, said, within=sentence.pieces) * (1 - BEHIND * (number - 1))
                if sentence.pieces == 1:
                    alone = support
                if support > 0 and (sentence.pieces == 1 or support > alone):
                    under = _under(heads[number - 1], sentence.text)
                    quotes.append(Candidate(sentence, number, support, under))
    return Found(f"{before} {question}" if asked.leans else question, _best(found), _best(quotes))


def choose(found: Found, vectors: bytes | None) -> Chosen:
    """Return what is cited, in the order of the text, or what is to be quoted instead.

    Each sentence rests on one passage. ``vectors`` are those of
    ``found.texts``, as ``schemas.embeddings.Vectors`` has them; None when
    there are none: then the words alone decide, and nothing is quoted.
    """
    if vectors is None:
        points = [c.support if c.support >= WORDS_ALONE else 0.0 for c in found.candidates]
        quoted: list[float] = []
    else:
        near = _cosines(vectors, len(found.candidates) + len(found.quotes))
        both = [
            cosine * c.support for cosine, c in zip(near, (*found.candidates, *found.quotes), strict=True)
        ]
        points = [point if point >= ANSWERS else 0.0 for point in both[: len(found.candidates)]]
        quoted = both[len(found.candidates) :]
    tops = {c.passage: point for point, c in sorted(zip(points, found.candidates, strict=True), key=_point)}
    for point, quote in zip(quoted, found.quotes, strict=vectors is not None):
        tops[quote.passage] = max(point, tops.get(quote.passage, 0.0))
    least = CLOSE * max(tops.values(), default=0.0)
    best: dict[int, tuple[float, Candidate]] = {}
    for point, candidate in zip(points, found.candidates, strict=True):
        at = candidate.sentence.start
        if point and tops[candidate.passage] >= least and point > best.get(at, (0.0, candidate))[0]:
            best[at] = (point, candidate)
    if best:
        return Chosen(
            tuple(
                Citation(start=at, end=candidate.sentence.end, passage=candidate.passage)
                for at, (_, candidate) in sorted(best.items())
            )
        )
    top, best_quote = max(zip(quoted, found.quotes, strict=False), key=_point, default=(0.0, None))
    return Chosen((), best_quote if top >= QUOTED else None)


def quotation(quote: Candidate, passage: Passage, at: int) -> tuple[str, Citation]:
    """Return what is put behind an answer of ``at`` characters to quote a passage, and its citation."""
    said = _readable(quote.sentence.text)
    lead = f"\n\n{_WHENCE[passage.kind]}\n\n> "
    start = at + len(lead)
    text = lead + said
    return text, Citation(start=start, end=at + len(text), passage=quote.passage)


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


def _quotable(text: str) -> list[Sentence]:
    """Return the sentences that state something; one that points back together with the one before it."""
    found: list[Sentence] = []
    before: Sentence | None = None
    for sentence in sentences(text):
        if sentence.states:
            found.append(sentence)
            if before and points_back(sentence.text):
                both = text[before.start : sentence.end]
                found.append(Sentence(both, before.start, sentence.end, pieces=2))
        before = sentence if sentence.states and not sentence.under else None
    return found


def _under(heading: str, text: str) -> str:
    said = _readable(text)
    return f"{heading}: {said}" if heading else said


def _readable(text: str) -> str:
    """Return a sentence of a passage without what a page would not show; a row of a table reads as a line."""
    said = _BOLD.sub(r"\1", _TAG.sub("", _TARGET.sub(r"\1", _IMAGE.sub("", text))))
    return " ".join(said.strip("|>*- \t").split()).replace(" | ", " \u2013 ")


def _best(found: list[Candidate]) -> tuple[Candidate, ...]:
    found.sort(key=lambda candidate: candidate.support, reverse=True)
    return tuple(found[:MOST])


def _point(pair: tuple[float, Candidate]) -> float:
    return pair[0]


def _cosines(vectors: bytes, count: int) -> list[float]:
    """Return the cosine of the first vector to each of the others; all are of length 1."""
    values = memoryview(vectors).cast("f")
    size = len(values) // (count + 1)
    question = values[:size].tolist()
    return [
        sum(map(mul, question, values[at * size : (at + 1) * size].tolist())) for at in range(1, count + 1)
    ]
