"""Tables: every row is written with the names of its columns, so that it can be understood alone."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from agents.common.formats.reading import Reading
from stores.chunking import MAX_PASSAGES, Piece, chunk_rows

Row = tuple[int, int, list[str]]
"""First and last line, and the cells."""
_DELIMITERS = {"csv": ",;\t|", "tsv": "\t", "tab": "\t"}
_NUMBER = re.compile(r"[-+(]?[$\u20ac\u00a3]?[\d.,'\s]*\d[\d.,:/%)-]*$")
_LOOK_ROWS = 50


def read(extension: str, text: str) -> Reading | None:
    """Return the passages of CSV or TSV; None for what is no table."""
    delimiter = _delimiter(text, _DELIMITERS[extension]) if extension in _DELIMITERS else ""
    if not delimiter:
        return None
    return Reading(pieces=pieces_of(_rows(text, delimiter)))


def pieces_of(
    rows: Iterable[Row], *, heading: str = "", page: int = 0, most: int = MAX_PASSAGES
) -> list[Piece]:
    """Return the passages of a table; stops reading at ``most`` of them."""
    return chunk_rows(named_rows(rows), (heading,) if heading else (), page=page, most=most)


def named_rows(rows: Iterable[Row]) -> Iterator[tuple[int, int, str]]:
    """Yield (first line, last line, text) of each row: ``name: value; name: value``.

    Names are the cells of the first row, if it looks like a header; without
    one the cells stand alone. Empty cells are left out.
    """
    filled = ((first, last, cells) for first, last, cells in rows if any(cells))
    head = list(islice(filled, 2))
    names: list[str] = []
    if len(head) == 2 and _is_header(head[0][2]):
        names = head.pop(0)[2]
    for first, last, cells in chain(head, filled):
        yield first, last, _named(names, cells)


def _named(names: list[str], cells: list[str]) -> str:
    if not names:
        return " | ".join(filter(None, cells))
    titles = (*names, *[""] * (len(cells) - len(names)))
    return "; ".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(titles, cells, strict=False) if cell
    )


def _is_header(cells: list[str]) -> bool:
    """Tell whether a first row names columns: several different words, none of them a number."""
    names = [cell for cell in cells if cell]
    return (
        len(names) > 1
        and len(names) >= len(cells) * 0.5
        and len(set(names)) == len(names)
        and all(len(name) <= 80 and not _NUMBER.match(name) for name in names)
    )


def _delimiter(text: str, candidates: str) -> str:
    """Return what separates the cells: what gives most rows the same number of columns, above one."""
    best, most = "", 0.0
    for candidate in candidates:
        widths = [len(row) for _, _, row in islice(_rows(text[:65_536], candidate), _LOOK_ROWS)]
        if not widths:
            continue
        usual = max(set(widths), key=widths.count)
        share = widths.count(usual) / len(widths)
        if usual > 1 and share > most:
            best, most = candidate, share
    return best


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    first = 1
    for row in reader:
        if any(row):
            yield first, reader.line_num, [" ".join(cell.split()) for cell in row]
        first = reader.line_num + 1
