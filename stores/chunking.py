"""Cuts a file's text into passages: pieces that can be found, quoted and read by a small model.

A passage aims at 150 words and never exceeds 180 (about 240 tokens of the
embedding model, which reads 256; the language model prefills slowly on a CPU,
so five passages must stay near a thousand tokens). Passages of a line-based
file are its exact text, do not overlap, and in order they give the file back
but for blank lines between them.

Texts are cut where their format says that something new begins: headings of
Markdown and HTML, definitions of source code, paragraphs, lines, sentences,
and only then words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

TARGET_WORDS = 150
MAX_WORDS = 180
MAX_PASSAGES = 5000
"""Of one file; about 750,000 words. What lies behind is not indexed, and the file's entry says so."""

_WIDE = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DEFINITION = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([a-z]+\))?|unsafe|extern|inline)\s+)*"
    r"(?:class|def|func|function|fn|struct|enum|interface|trait|impl|type|module|namespace|package|object|record)\s+"
    r"([^\s({:<;=]+)"
)
_SENTENCE_END = re.compile(r"(?<=[\u3002\uff01\uff1f\uff1b])|\s+")
_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f")
"""What closes a sentence; the last three are the full-width marks of East Asian scripts."""


class Piece(Struct, frozen=True, kw_only=True):
    """A passage before it has a file: ``Passage`` in schemas.documents explains the fields."""

    text: str
    first_line: int = 0
    last_line: int = 0
    page: int = 0
    heading: str = ""


class Block(NamedTuple):
    """Consecutive lines that belong together."""

    lines: list[str]
    """With their line ends."""
    first: int
    """Number of the first line, from 1."""
    headings: tuple[str, ...]


class Page(NamedTuple):
    """A page or slide of a format without lines."""

    number: int
    """From 1."""
    headings: tuple[str, ...]
    text: str


def words(text: str) -> int:
    """Return the length of a text in words as a model feels it.

    Scripts without spaces count a word for 1.5 characters, and what is longer
    than a word (addresses, hashes) as the words that would fill its place.
    """
    wide = len(_WIDE.findall(text)) if not text.isascii() else 0
    if wide:
        text = _WIDE.sub(" ", text)
    return sum(1 if len(word) <= 16 else len(word) // 4 for word in text.split()) + (wide * 2 + 2) // 3


def chunk_markdown(text: str) -> list[Piece]:
    """Cut Markdown by its headings; fenced code stays whole where it fits into a passage."""
    return _pack(_markdown_blocks(text.splitlines(keepends=True)))


def chunk_text(text: str) -> list[Piece]:
    """Cut plain text by its paragraphs."""
    return _pack(_paragraphs(text.splitlines(keepends=True), 1, ()))


def chunk_code(text: str) -> list[Piece]:
    """Cut source code where a definition or a statement begins at the left margin."""
    return _pack(_code_blocks(text.splitlines(keepends=True)))


def chunk_pages(pages: Iterable[Page]) -> list[Piece]:
    """Cut the text of pages (of a PDF, slides), never across pages; lines are 0."""
    pieces: list[Piece] = []
    for page in pages:
        pieces += [
            Piece(text=piece.text, page=page.number, heading=piece.heading)
            for piece in _pack(_paragraphs(page.text.splitlines(keepends=True), 1, page.headings))
        ]
        if len(pieces) >= MAX_PASSAGES:
            break
    return pieces[:MAX_PASSAGES]


def chunk_rows(
    rows: Iterable[tuple[int, int, str]],
    headings: tuple[str, ...] = (),
    *,
    page: int = 0,
    most: int = MAX_PASSAGES,
) -> list[Piece]:
    """Cut a table, given as (first line, last line, text) of each row, between its rows.

    Only a row that alone is too long is cut within. Reads no more rows than
    are needed for ``most`` pieces.
    """
    pieces: list[Piece] = []
    heading = " > ".join(headings)
    held: list[tuple[int, int, str]] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if held:
            text = "\n".join(text for _, _, text in held)
            pieces.append(
                Piece(text=text, first_line=held[0][0], last_line=held[-1][1], page=page, heading=heading)
            )
        held.clear()
        size = 0

    for first, last, text in rows:
        length = words(text)
        if held and size + length > TARGET_WORDS:
            flush()
        if len(pieces) >= most:
            break
        if length > MAX_WORDS:
            pieces += [
                Piece(text=part, first_line=first, last_line=last, page=page, heading=heading)
                for part in _parts(text)
            ]
        else:
            held.append((first, last, text))
            size += length
    flush()
    return pieces[:most]


def chunk_sections(sections: Iterable[tuple[tuple[str, ...], str]]) -> list[Piece]:
    """Cut (headings, text) pairs that were extracted from a format without lines, such as HTML."""
    pieces: list[Piece] = []
    for headings, text in sections:
        blocks = _paragraphs(text.splitlines(keepends=True), 1, headings)
        pieces += [Piece(text=piece.text, heading=piece.heading) for piece in _pack(blocks)]
        if len(pieces) >= MAX_PASSAGES:
            break
    return pieces[:MAX_PASSAGES]


def _markdown_blocks(lines: list[str]) -> Iterator[Block]:
    headings: list[tuple[int, str]] = []
    start = 0
    index = _front_matter(lines)
    paragraph = False
    while index < len(lines):
        line = lines[index].rstrip("\r\n")
        fence = _FENCE.match(line)
        if fence:
            yield from _paragraphs(lines[start:index], start + 1, _names(headings))
            end = _end_of_fence(lines, index, fence.group(1))
            yield Block(lines[index:end], index + 1, _names(headings))
            start = index = end
            paragraph = False
            continue
        level, title, begins = 0, "", index
        if found := _HEADING.match(line):
            level, title = len(found.group(1)), found.group(2)
        elif (
            paragraph
            and (found := _UNDERLINE.match(line))
            and not lines[index - 1].lstrip().startswith(("-", "*", "|", ">"))
        ):
            level, title, begins = (1 if "=" in line else 2), lines[index - 1].strip(), index - 1
        if level and title:
            yield from _paragraphs(lines[start:begins], start + 1, _names(headings))
            headings = [(depth, name) for depth, name in headings if depth < level] + [(level, title)]
            start = begins
        paragraph = bool(line.strip()) and not level
        index += 1
    yield from _paragraphs(lines[start:], start + 1, _names(headings))


def _front_matter(lines: list[str]) -> int:
    """Return the number of lines of a YAML header, whose ``---`` is no heading's underline."""
    if lines and lines[0].strip() == "---":
        for index, line in enumerate(lines[1:200], 1):
            if line.strip() == "---":
                return index + 1
    return 0


def _end_of_fence(lines: list[str], start: int, mark: str) -> int:
    for index in range(start + 1, len(lines)):
        line = lines[index].strip()
        if line.startswith(mark) and not line.strip(mark[0]):
            return index + 1
    return len(lines)


def _names(headings: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for _, name in headings)


def _paragraphs(lines: list[str], first: int, headings: tuple[str, ...]) -> Iterator[Block]:
    """Yield blocks that end with blank lines; the blank lines belong to the block before them."""
    return _cut(
        lines, first, lambda _: headings, lambda at: not lines[at - 1].strip() and bool(lines[at].strip())
    )


def _code_blocks(lines: list[str]) -> Iterator[Block]:
    current: tuple[str, ...] = ()

    def begins(at: int) -> bool:
        line, before = lines[at], lines[at - 1]
        if not line.strip() or line[0] in " \t)]}":
            return False
        # Decorators and comments directly above a definition belong to it.
        attached = before.lstrip().startswith(("@", "#", "//", "/*", "*", "--", ";"))
        return not attached and (not before.strip() or _DEFINITION.match(line) is not None)

    def headings(block: list[str]) -> tuple[str, ...]:
        nonlocal current
        found = next((m for line in block if (m := _DEFINITION.match(line))), None)
        current = (found.group(1),) if found else ()
        return current

    return _cut(lines, 1, headings, begins)


def _cut(
    lines: list[str],
    first: int,
    headings: Callable[[list[str]], tuple[str, ...]],
    begins: Callable[[int], bool],
) -> Iterator[Block]:
    cuts = [0, *(at for at in range(1, len(lines)) if begins(at)), len(lines)]
    for start, end in pairwise(cuts):
        if end > start:
            block = lines[start:end]
            yield Block(block, first + start, headings(block))


def _pack(blocks: Iterable[Block]) -> list[Piece]:
    """Join neighbouring blocks under the same headings up to the target; cut those that exceed it."""
    pieces: list[Piece] = []
    held: Block | None = None
    held_words = 0

    def flush() -> None:
        nonlocal held, held_words
        if held is not None:
            piece = _piece(held)
            if piece is not None:
                pieces.append(piece)
        held, held_words = None, 0

    for block in blocks:
        size = words("".join(block.lines))
        joins = held is not None and _may_join(held, held_words, block, size)
        if not joins:
            flush()
        if len(pieces) >= MAX_PASSAGES:
            return pieces[:MAX_PASSAGES]
        if joins and held is not None:
            # What stands before the first heading belongs to it once they are one passage.
            held = Block(held.lines + block.lines, held.first, held.headings or block.headings)
            held_words += size
        elif size > MAX_WORDS:
            pieces += _divide(block)
        else:
            held, held_words = block, size
    flush()
    return pieces[:MAX_PASSAGES]


def _may_join(held: Block, held_words: int, block: Block, size: int) -> bool:
    total = held_words + size
    if held.headings == block.headings:
        return total <= (TARGET_WORDS if held_words > TARGET_WORDS // 2 else MAX_WORDS)
    # A heading with hardly any text below it goes with the first section inside it.
    nested = block.headings[: len(held.headings)] == held.headings
    return nested and held_words <= TARGET_WORDS // 5 and total <= MAX_WORDS


def _piece(block: Block) -> Piece | None:
    lines, first = block.lines, block.first
    while lines and not lines[0].strip():
        lines, first = lines[1:], first + 1
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    if not lines:
        return None
    return Piece(
        text="".join(lines).rstrip("\r\n"),
        first_line=first,
        last_line=first + len(lines) - 1,
        heading=" > ".join(block.headings),
    )


def _divide(block: Block) -> list[Piece]:
    """Cut a block that is too long: between lines, and within a line where it alone is too long."""
    pieces: list[Piece] = []
    lines: list[str] = []
    first, size = block.first, 0
    total = words("".join(block.lines))
    # Parts of about equal length read better than full ones and a rest of a few words.
    target = max(total // -(-total // TARGET_WORDS), TARGET_WORDS // 2)

    def flush(following: int) -> None:
        nonlocal lines, first, size
        piece = _piece(Block(lines, first, block.headings))
        if piece is not None:
            pieces.append(piece)
        lines, first, size = [], following, 0

    for number, line in enumerate(block.lines, block.first):
        length = words(line)
        if length > MAX_WORDS:
            flush(number)
            heading = " > ".join(block.headings)
            pieces += [
                Piece(text=part, first_line=number, last_line=number, heading=heading)
                for part in _parts(line.rstrip("\r\n"))
            ]
            first = number + 1
        else:
            if lines and size + length > target + TARGET_WORDS // 10:
                flush(number)
            lines.append(line)
            size += length
    flush(0)
    return pieces


def _parts(line: str) -> Iterator[str]:
    """Cut one long line behind sentences, or behind words, or anywhere if it has neither."""
    start = 0
    size = 0
    ends = [match.end() for match in _SENTENCE_END.finditer(line)] + [len(line)]
    previous = 0
    sentence = 0
    """The last end of a sentence that lies in the second half of the part."""
    for end in ends:
        length = words(line[previous:end])
        while length > MAX_WORDS:
            # No space for long: cut by characters.
            if start < previous:
                yield line[start:previous].strip()
            cut = previous + (TARGET_WORDS * 4 if line[previous:end].isascii() else TARGET_WORDS)
            yield line[previous:cut].strip()
            start = previous = cut
            sentence = size = 0
            length = words(line[previous:end])
        if size + length > TARGET_WORDS and start < previous:
            cut = sentence if sentence > start else previous
            yield line[start:cut].strip()
            start = cut
            size = words(line[start:previous])
            sentence = 0
        size += length
        previous = end
        if size >= TARGET_WORDS // 2 and line[max(start, end - 8) : end].rstrip().endswith(_ENDS):
            sentence = end
    if line[start:].strip():
        yield line[start:].strip()
