"""The names of what a conversation is kept under."""

from __future__ import annotations

import hashlib
import re

TITLE_CHARS = 60


def turn_source(project: str, conversation: str, answer: str, role: str) -> str:
    """Return the identity under which a turn's passages are kept: 32 hex digits."""
    named = "\x1f".join((project, conversation, answer, role))
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def source_of(passage: str) -> str:
    """Return the identity of the source that a passage, by its identity, is a piece of."""
    return passage.rpartition("-")[0]


def title_of(question: str) -> str:
    """Return a conversation's title: the question's first sentence, at most TITLE_CHARS, whole words."""
    line = next((line for line in question.splitlines() if re.search(r"\w", line)), "")
    line = " ".join(re.sub(r"^[\s#>*`-]+|[*`]+", "", line).split())
    # A dot ends a sentence only before a space, so that "v1.2" and "acks.md" stay whole.
    sentence = re.split(r"(?<=[.!?])\s|(?<=[\u3002\uff01\uff1f])", line, maxsplit=1)[0].strip() or "Untitled"
    if len(sentence) <= TITLE_CHARS:
        return sentence.rstrip(".\u3002") or "Untitled"
    cut = sentence[:TITLE_CHARS]
    at_word = cut.rsplit(" ", 1)[0] if " " in cut[TITLE_CHARS // 2 :] else cut[:-1]
    return at_word.rstrip(" ,;:.-") + "\u2026"
