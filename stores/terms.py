"""The words of a text that say what it is about, by their stems, in any script."""

from __future__ import annotations

import re
import unicodedata

from stores.stop_words import STOP_WORDS

MOST_TERMS = 64


class Terms:
    """The words of a question that say what it is about, looked for in passages by their stems."""

    def __init__(self, query: str) -> None:
        words = telling(query)[:MOST_TERMS]
        self._weights = {stem(word): min(len(word), 8) for word in words}

    def coverage(self, *texts: str) -> float:
        """Return the share of the terms, by their length, that occur in the texts."""
        if not self._weights:
            return 0.0
        text = plain("\n".join(texts))
        held = sum(weight for stem, weight in self._weights.items() if _holds(text, stem))
        return held / sum(self._weights.values())


def telling(text: str) -> list[str]:
    """Return the words of a text in their order, without those that say nothing; folded, not stemmed."""
    return [word for word in words(plain(text)) if word not in _STOP]


def plain(text: str) -> str:
    """Return a text folded, so that what reads alike is alike."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words(text: str) -> list[str]:
    """Return the words of a folded text; runs of scripts without spaces as overlapping pairs."""
    found: list[str] = []
    for word in _WORD.findall(text):
        if word.isascii() or not _WIDE_RUN.search(word):
            found.append(word)
            continue
        found += _WIDE_RUN.sub(" ", word).split()
        for run in _WIDE_RUN.findall(word):
            found += [run[at : at + 2] for at in range(max(1, len(run) - 1))]
    return found


def stem(word: str) -> str:
    """Cut the commonest English endings, alike in question and passage: a word begins with its stem."""
    if len(word) > 4 and word.isascii():
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word[: -len(ending)]
    return word


def searchable(text: str) -> str:
    """Return a text in which ``occurrences`` counts: folded words between single spaces."""
    folded = plain(text)
    spaced = folded.translate(_SPACES) if folded.isascii() else _BETWEEN.sub(" ", folded)
    return f" {spaced} "


def sought(stem: str) -> str:
    """Return what stands for a stem in a searchable text.

    A short stem must be the whole word, a longer one its beginning; in scripts
    without spaces it may stand anywhere.
    """
    if _WIDE_RUN.match(stem):
        return stem
    return f" {stem}" if len(stem) > _SHORT else f" {stem} "


def _holds(text: str, stem: str) -> bool:
    """Return whether a word of the text begins with the stem; a short stem must be the whole word."""
    anywhere = _WIDE_RUN.match(stem) is not None
    start = text.find(stem)
    while start >= 0:
        end = start + len(stem)
        begins = start == 0 or not text[start - 1].isalnum()
        if anywhere or (begins and (len(stem) > _SHORT or end == len(text) or not text[end].isalnum())):
            return True
        start = text.find(stem, start + 1)
    return False


_SHORT = 3
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "es", "ed", "s", "e", "y")
_WORD = re.compile(r"[^\W_]+")
_BETWEEN = re.compile(r"[\W_]+")
_WIDE_RUN = re.compile(r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_SPACES = {code: " " for code in range(128) if not chr(code).isalnum()}
_STOP = frozenset(STOP_WORDS.split())
