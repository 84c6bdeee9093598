"""How likely a sentence states a lasting fact of its owner: what is looked at, and the weights.

Rules read one form of words each; this judges by all that a sentence says at
once: its vector, made by the embedding model with an adapter that was trained
for it, and signs of the turn that it stands in. The weights and the adapter
were fitted together to dialogues that were labelled by hand
(``ops.bench.train_judge``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents.memory.extraction import guard
from agents.memory.extraction.sentences import sentences
from schemas.chat import Turn

WEIGHTS = Path(__file__).with_name("judge.npz")


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


@dataclass(frozen=True)
class Weights:
    """What was fitted."""

    model: str
    """Name of the embedding model that they belong to."""
    bias: float
    dense: Sequence[float]
    """One for each number of a vector."""
    signs: Sequence[float]
    """One for each of ``signs``."""

    def judge(self, vectors: Mapping[str, Sequence[float]]) -> Judge:
        """Return the judge of sentences whose vectors (length 1, adapted) are these."""

        def judged(spoken: Spoken) -> float:
            vector = vectors.get(spoken.text)
            if vector is None:
                return 0.0  # a turn that came into view since the vectors were asked for
            said = sum(weight * value for weight, value in zip(self.dense, vector, strict=True))
            seen = sum(weight * value for weight, value in zip(self.signs, signs(spoken), strict=True))
            return self.bias + said + seen

        return judged

    def save(self, file: Path, note: Mapping[str, Any]) -> None:
        """Write them."""
        import numpy as np

        manifest = json.dumps({"model": self.model, "bias": self.bias, **note}, sort_keys=True).encode()
        np.savez_compressed(
            file,
            manifest=np.frombuffer(manifest, np.uint8),
            dense=np.asarray(self.dense, "<f4"),
            signs=np.asarray(self.signs, "<f4"),
        )


@lru_cache(maxsize=2)
def load(file: Path = WEIGHTS) -> Weights | None:
    """Return the weights of a file; None when there is none."""
    import numpy as np

    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as data:
        manifest = json.loads(data["manifest"].tobytes())
        return Weights(manifest["model"], manifest["bias"], data["dense"].tolist(), data["signs"].tolist())
