"""The words of a text that say what it is about, by their stems, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from stores.stop_words import STOP_WORDS

MOST_TERMS = 64


def terms_of(query: str) -> dict[str, float]:
    """Return the stems of the words that say what a question is about, the longer ones with more weight."""
    return {stem(word): min(len(word), 8) for word in telling(query)[:MOST_TERMS]}


def telling(text: str) -> list[str]:
    """Return the words of a text in their order, without those that say nothing; folded, not stemmed."""
    return [word for word in words(plain(text)) if word not in _STOP]


def without_stop_words(text: str) -> str:
    """Return a text as it stands but for the words that say nothing; all of it when it has no others."""
    left = _WORD.sub(lambda word: "" if plain(word[0]) in _STOP else word[0], text)
    return left if _WORD.search(left) else text


def plain(text: str) -> str:
    """Return a text folded, so that what reads alike is alike."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words(text: str) -> list[str]:
    """Return the words of a folded text; runs of scripts without spaces as overlapping pairs."""
    if text.isascii():
        return text.encode("ascii").translate(_FOLDED).decode("ascii").split()
    found: list[str] = []
    for word in _WORD.findall(text):
        if word.isascii() or not _WIDE_RUN.search(word):
            found.append(word)
            continue
        found += _WIDE_RUN.sub(" ", word).split()
        for run in _WIDE_RUN.findall(word):
            found += [run[at : at + 2] for at in range(max(1, len(run) - 1))]
    return found


@lru_cache(maxsize=1 << 15)
def stem(word: str) -> str:
    """Cut the commonest English endings, alike in question and passage: a word begins with its stem."""
    if len(word) > 4 and word.isascii():
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word[: -len(ending)]
    return word


def searchable(texts: Sequence[str]) -> tuple[bytes, list[int], list[int]]:
    """Return texts, in which ``sought`` can be counted, as one; and how many bytes and characters each has.

    They are UTF-8: folded words between spaces, one before each text and one
    behind it.
    """
    folded = [text if text.isascii() else _BETWEEN.sub(" ", plain(text)) for text in texts]
    characters = [len(text) + 2 for text in folded]
    joined = "  ".join(folded)
    encoded = b" %b " % joined.encode("utf-8", "surrogatepass").translate(_FOLDED)
    if joined.isascii():
        return encoded, characters, characters
    return encoded, [len(text.encode("utf-8", "surrogatepass")) + 2 for text in folded], characters


def sought(stem: str) -> bytes:
    """Return what stands for a stem in a searchable text.

    A short stem must be the whole word, a longer one its beginning; in scripts
    without spaces it may stand anywhere.
    """
    if not _WIDE_RUN.match(stem):
        stem = f" {stem}" if len(stem) > _SHORT else f" {stem} "
    return stem.encode("utf-8", "surrogatepass")


_SHORT = 3
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "es", "ed", "s", "e", "y")
_WORD = re.compile(r"[^\W_]+")
_BETWEEN = re.compile(r"[\W_]+")
_WIDE_RUN = re.compile(r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_FOLDED = bytes(
    code if code > 127 else ord(chr(code).lower()) if chr(code).isalnum() else ord(" ") for code in range(256)
)
"""ASCII in lower case, what is neither letter nor digit as a space; bytes of other letters as they are."""
_STOP = frozenset(STOP_WORDS.split())
