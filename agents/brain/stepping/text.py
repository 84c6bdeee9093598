"""From tokens to text while they come: no half character, and nothing behind a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Decoder:
    """Puts the bytes of tokens together to text; bytes that are no text become replacement characters."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Return the text that is complete now."""
        return self._decoder.decode(data, final)


class Stops:
    """Holds back text that may be the beginning of a stop string."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held = ""
        self.found = False

    def feed(self, text: str, *, final: bool = False) -> str:
        """Return the text that is safe to show; with a stop string found, what stands before it."""
        if self.found:
            return ""
        if not self._strings:
            return text
        held = self._held + text
        places = [place for string in self._strings if (place := held.find(string)) >= 0]
        if places:
            self.found = True
            self._held = ""
            return held[: min(places)]
        keep = 0 if final else max(_overlap(held, string) for string in self._strings)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]


def _overlap(text: str, string: str) -> int:
    """Return how many characters at the end of ``text`` are the beginning of ``string``."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
