"""Words for SQLite's full-text search, in scripts with and without spaces."""

from __future__ import annotations

import re

_WIDE = re.compile(r"([\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff])")


def spaced(text: str) -> str:
    """Return a text in which each character of a script without spaces is a word."""
    return text if text.isascii() else _WIDE.sub(r" \1 ", text)


def match_query(matching: str) -> str:
    """Return the FTS5 query for words that must all occur, the last letters of each left open."""
    words = [" ".join(re.findall(r"\w+", spaced(word))) for word in matching.split()]
    return " AND ".join(f'"{word}"*' for word in words if word)
