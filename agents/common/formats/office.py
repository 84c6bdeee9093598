"""Word, Excel and PowerPoint of today (Office Open XML)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from agents.common.formats import archive, tables
from agents.common.formats.reading import Reading, clean, refusal
from schemas.errors import KaraisError
from stores.chunking import MAX_PASSAGES, Page, Piece, chunk_pages, chunk_sections

MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_HEADING = re.compile(r"heading (\d)$", re.I)


def read(content: bytes) -> Reading:
    """Return the passages of a Word document, a workbook or a presentation, told apart by their main part."""
    with archive.opened(content) as opened:
        names = set(opened.namelist())
        reader = next((reader for part, reader in _READERS.items() if part in names), None)
        if reader is None:
            raise refusal("It is a ZIP archive, and archives are not opened.")
        archive.check_xml(opened)
    try:
        return reader(BytesIO(content))
    except (KaraisError, MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001  # a damaged file breaks the parser in any way
        raise refusal(f"The document is damaged ({type(error).__name__}).") from None


def _word(file: BytesIO) -> Reading:
    from docx import Document

    return Reading(pieces=chunk_sections(_word_sections(Document(file))))


def _word_sections(document: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (headings, text): paragraphs and tables in their order."""
    headings: list[tuple[int, str]] = []
    texts: list[str] = []
    levels: dict[str, int] = {}
    for block in document.iter_inner_content():
        if hasattr(block, "_tbl"):
            texts.append("\n".join(_word_rows(block)))
            continue
        text = clean(block.text).strip()
        if not text:
            continue
        identity = block._p.style or ""
        if identity not in levels:
            levels[identity] = _level(block.style.name if block.style is not None else "")
        if level := levels[identity]:
            yield tuple(name for _, name in headings), "\n\n".join(texts)
            texts = [text]
            headings = [(depth, name) for depth, name in headings if depth < level] + [(level, text)]
        else:
            texts.append(text)
    yield tuple(name for _, name in headings), "\n\n".join(texts)


def _level(style: str) -> int:
    """Return the depth of a heading's style, from 1; 0 for what is none."""
    if style == "Title":
        return 1
    found = _HEADING.match(style)
    return int(found.group(1)) + 1 if found else 0


def _word_rows(table: Any) -> Iterator[str]:
    from docx.table import _Cell

    rows = (
        [" ".join(clean(_Cell(cell, table).text).split()) for cell in row.tc_lst] for row in table._tbl.tr_lst
    )
    for _, _, text in tables.named_rows((number, number, row) for number, row in enumerate(rows, 1)):
        yield text


def _presentation(file: BytesIO) -> Reading:
    from pptx import Presentation

    return Reading(pieces=chunk_pages(_slides(Presentation(file))))


def _slides(presentation: Any) -> Iterator[Page]:
    for number, slide in enumerate(presentation.slides, 1):
        title = slide.shapes.title
        name = " ".join(clean(title.text_frame.text).split()) if title is not None else ""
        texts = list(_shapes(slide.shapes))
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            texts.append(slide.notes_slide.notes_text_frame.text)
        yield Page(number, (name,) if name else (), clean("\n\n".join(filter(None, texts))))


def _shapes(shapes: Any) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        elif getattr(shape, "has_table", False):
            rows = ([" ".join(cell.text.split()) for cell in row.cells] for row in shape.table.rows)
            numbered = ((number, number, row) for number, row in enumerate(rows, 1))
            yield "\n".join(text for _, _, text in tables.named_rows(numbered))
        elif shape.has_text_frame:
            yield shape.text_frame.text.replace("\v", "\n").strip()


def _workbook(file: BytesIO) -> Reading:
    from openpyxl import load_workbook

    workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    pieces: list[Piece] = []
    for number, sheet in enumerate(workbook.worksheets, 1):
        sheet.reset_dimensions()  # what the file says of its size is not to be trusted
        rows = ((at, at, [_shown(value) for value in row]) for at, row in enumerate(sheet.values, 1))
        pieces += tables.pieces_of(
            rows, heading=clean(sheet.title), page=number, most=MAX_PASSAGES - len(pieces)
        )
        if len(pieces) >= MAX_PASSAGES:
            break
    return Reading(pieces=pieces)


def _shown(value: object) -> str:
    """Return a cell as a person reads it: dates without a time of midnight, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
    text = clean(str(value)).removesuffix(" 00:00:00")
    return " ".join(text.split())


_READERS = {
    "word/document.xml": _word,
    "xl/workbook.xml": _workbook,
    "ppt/presentation.xml": _presentation,
}
