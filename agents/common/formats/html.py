"""HTML: its text under its headings."""

from __future__ import annotations

import re
from typing import Any

from agents.common.formats.reading import Reading, clean
from stores.chunking import chunk_sections

_BLOCK_NAMES = """
address article aside blockquote body br caption dd details div dl dt figcaption figure footer form
h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


def is_html(extension: str, content: bytes) -> bool:
    """Tell whether a text is HTML."""
    return bool(_HTML.match(content[:4096])) or (
        extension in ("html", "htm", "xhtml") and b"<" in content.replace(b"\x00", b"")[:1_000_000]
    )


def read(content: bytes | str) -> Reading:
    """Return the passages of a page, without scripts, styles and navigation."""
    return Reading(pieces=chunk_sections(sections(content)))


def sections(content: bytes | str) -> list[tuple[tuple[str, ...], str]]:
    """Return (headings, text) in the order of the page."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "html.parser")
    for useless in soup(["script", "style", "noscript", "template", "svg", "nav", "head"]):
        if useless.name != "head":
            useless.decompose()
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    found: list[tuple[tuple[str, ...], str]] = []
    headings: list[tuple[int, str]] = [(0, title)] if title else []
    texts: list[str] = []

    def flush() -> None:
        lines = [" ".join(line.split()) for line in "".join(texts).split("\n")]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
        if text:
            found.append((tuple(clean(name) for _, name in headings), clean(text)))
        texts.clear()

    def walk(element: Any) -> None:
        for node in element.children:
            name = getattr(node, "name", None)
            if name is None:
                if type(node).__name__ == "NavigableString":
                    texts.append(str(node) if element.name == "pre" else re.sub(r"\s+", " ", str(node)))
            elif re.fullmatch(r"h[1-6]", name):
                flush()
                level = int(name[1])
                headings[:] = [(depth, text) for depth, text in headings if depth < level]
                heading = " ".join(node.get_text().split())
                if heading:
                    headings.append((level, heading))
                    texts.append(heading + "\n\n")
            else:
                if name in _BLOCKS:
                    texts.append(
                        "\n\n" if name in ("p", "div", "section", "table", "ul", "ol", "pre") else "\n"
                    )
                walk(node)
                if name in _BLOCKS:
                    texts.append("\n")

    walk(soup.body or soup)
    flush()
    return found
