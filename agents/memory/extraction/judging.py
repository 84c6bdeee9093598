"""How likely a sentence states a lasting fact of its owner: what is looked at, and the weights.

Rules read one form of words each; this judges by all that a sentence says at
once: its embedding, the person and time of its words, its word sequences and
the letters of its words. The weights were fitted to dialogues that were
labelled by hand (``ops.bench.train_judge``), and belong to one embedding model.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from agents.memory.extraction import guard
from agents.memory.extraction.sentences import sentences
from schemas.chat import Turn

WEIGHTS = Path(__file__).with_name("judge.npz")
WORD_PLACES = 1 << 14
LETTER_PLACES = 1 << 15
_EMBEDDING_SCALE = 6.0
_WORD_SCALE = 2.0
_LETTER_SCALE = 3.0


@dataclass(frozen=True)
class Spoken:
    """A sentence where it was said."""

    text: str
    """Its very words; what was quoted in it is blanked."""
    own: str
    """All that the user says of their own in that turn."""
    place: int = 0
    """Its number in the turn, from 0."""
    count: int = 1
    """Sentences in the turn."""
    since_fiction: int = 99
    """Turns since one asked for fiction or play; 0 when this one does."""


Judge = Callable[[Spoken], float]
"""Returns how likely a sentence states a lasting fact of its owner, in log odds: 0 is as likely as not."""


def texts_to_judge(turns: Sequence[Turn]) -> list[str]:
    """Return the sentences of the user's own words in these turns, each once: those to be embedded."""
    spoken = (
        sentence.text
        for turn in turns
        if turn.role == "user"
        for sentence in sentences(guard.own_words(turn.text))
    )
    return list(dict.fromkeys(spoken))


_WORDS = re.compile(r"[a-zäöüß]+(?:'[a-z]+)?|\d+|[?!:\"“„\ufffc]")
_SIGNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:i|i'm|i've|me|ich)\b",
        r"\b(?:my|our|mine|mein\w*|unser\w*)\b",
        r"\b(?:we|us|we're|wir)\b",
        r"\b(?:you|your|du|dein\w*)\b",
        r"\b(?:he|she|they|his|her|their|er|sie|ihr\w*)\b",
        r"\?",
        r"!",
        r"[\"“„»«\ufffc]",
        r"\d",
        r"\b(?:today|right now|this morning|tonight|heute|gerade|tomorrow|yesterday|just)\b",
        r"\b(?:always|every|usually|never|since|no longer|anymore|each)\b",
        r"\b(?:if|would|could|might|maybe|wish|hope|should)\b",
        r"\b(?:was|were|had|did|\w+ed)\b",
        r"^(?:please|can|could|what|how|why|when|where|who|is|are|do|does|did|will|tell|give|write|show|"
        r"explain|find|make|help)\b",
    )
)
_NAME = re.compile(r"(?<!^)(?<![.!?] )\b[A-ZÄÖÜ][a-zäöüß]+")


def signs(spoken: Spoken) -> list[float]:
    """Return the signs of a statement that need no embedding, each about 0 to 1."""
    text = spoken.text.replace("’", "'")
    words = len(text.split())
    return [
        *(float(bool(sign.search(text))) for sign in _SIGNS),
        float(bool(_NAME.search(text))),
        min(words, 30) / 30,
        float(words <= 3),
        float(words > 20),
        float(spoken.count == 1),
        min(spoken.place, 4) / 4,
        float("?" in spoken.own),
        float("\ufffc" in spoken.own),
        float(spoken.since_fiction == 0),
        float(spoken.since_fiction <= 3),
        float(spoken.since_fiction <= 12),
        float(guard.is_reported(spoken.text)),
        float(guard.is_unsure(spoken.text)),
        float(guard.is_conditional(spoken.text)),
    ]


def word_places(text: str) -> set[int]:
    """Return the places of a sentence's sequences of one to three words."""
    words = ["#" if word.isdigit() else word for word in _WORDS.findall(text.casefold().replace("’", "'"))]
    marked = ["^", *words, "$"]
    found = {*words}
    found.update(" ".join(pair) for pair in pairwise(marked))
    found.update(" ".join(three) for three in zip(marked, marked[1:], marked[2:], strict=False))
    return {zlib.crc32(one.encode()) % WORD_PLACES for one in found}


def letter_places(text: str) -> set[int]:
    """Return the places of a sentence's sequences of three to five letters."""
    plain = re.sub(r"\d", "0", f" {' '.join(text.casefold().replace('’', chr(39)).split())} ")
    return {
        zlib.crc32(plain[start : start + size].encode()) % LETTER_PLACES
        for size in (3, 4, 5)
        for start in range(len(plain) - size + 1)
    }


def features(spoken: Spoken, vector: Sequence[float]) -> dict[int, float]:
    """Return what is looked at: a value for each place that is not 0.

    ``vector`` is the embedding of ``spoken.text``, of length 1.
    """
    found = {at: _EMBEDDING_SCALE * value for at, value in enumerate(vector)}
    start = len(vector)
    own_signs = signs(spoken)
    found.update((start + at, value) for at, value in enumerate(own_signs) if value)
    start += len(own_signs)
    for places, scale, width in (
        (word_places(spoken.text), _WORD_SCALE, WORD_PLACES),
        (letter_places(spoken.text), _LETTER_SCALE, LETTER_PLACES),
    ):
        for at in sorted(places):
            found[start + at] = scale / len(places) ** 0.5
        start += width
    return found


def width(dimensions: int) -> int:
    """Return how many places there are, with embeddings of so many dimensions."""
    return dimensions + len(signs(Spoken("", ""))) + WORD_PLACES + LETTER_PLACES


class Weights:
    """What was fitted."""

    def __init__(self, model: str, bias: float, weights: Any) -> None:
        self.model = model
        """Name of the embedding model that they belong to."""
        self.dimensions = len(weights) - width(0)
        """Numbers of its vectors."""
        self._bias = bias
        self._weights = weights

    def judge(self, vectors: Mapping[str, Sequence[float]]) -> Judge:
        """Return the judge of sentences whose embeddings are these."""

        def judged(spoken: Spoken) -> float:
            vector = vectors.get(spoken.text)
            if vector is None:
                return 0.0  # a turn that came into view since the vectors were asked for
            found = features(spoken, vector)
            return self._bias + float(sum(self._weights[at] * value for at, value in found.items()))

        return judged

    def save(self, file: Path, note: Mapping[str, Any]) -> None:
        """Write them as whole numbers of a byte with a scale for each kind of feature."""
        import numpy as np

        weights = np.asarray(self._weights, dtype=np.float64)
        ends = [len(weights) - LETTER_PLACES - WORD_PLACES, len(weights) - LETTER_PLACES, len(weights)]
        parts = np.split(weights, ends[:-1])
        scales = [(float(np.abs(part).max()) or 1.0) / 127 for part in parts[1:]]
        manifest = {"model": self.model, "bias": self._bias, "scales": scales, **note}
        np.savez_compressed(
            file,
            manifest=np.frombuffer(json.dumps(manifest, sort_keys=True).encode(), np.uint8),
            dense=parts[0].astype("<f4"),
            words=np.rint(parts[1] / scales[0]).clip(-127, 127).astype(np.int8),
            letters=np.rint(parts[2] / scales[1]).clip(-127, 127).astype(np.int8),
        )


@lru_cache(maxsize=2)
def load(file: Path = WEIGHTS) -> Weights | None:
    """Return the weights of a file; None when there is none."""
    import numpy as np

    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as data:
        manifest = json.loads(data["manifest"].tobytes())
        parts = [data["dense"].astype(np.float64)]
        for name, scale in zip(("words", "letters"), manifest["scales"], strict=True):
            parts.append(data[name].astype(np.float64) * scale)
    return Weights(manifest["model"], float(manifest["bias"]), np.concatenate(parts).tolist())
