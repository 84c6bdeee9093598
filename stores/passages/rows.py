"""What a row of a table of passages is made of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
from msgspec import Struct

from schemas.base import HOME
from stores.chunking import Piece
from stores.scope import among

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb import AsyncTable

FORMAT = "3"
"""Of the rows: raised when columns, or what is embedded or searched, change; other tables are made anew."""

Kind = Literal["document", "turn", "fact"]

READ = ("words", "record")
"""Columns from which a reader's row is made; each further one costs a search about half a millisecond."""


class _Record(Struct, frozen=True, array_like=True):
    """What a row says that no filter asks for, and what a search would else read from a column each."""

    project: str
    kind: Kind
    source: str
    path: str
    number: int
    heading: str
    first_line: int
    last_line: int
    page: int
    at: float
    content_hash: str
    text_at: int
    """Where in ``words`` the text begins."""


NAMED = 500
"""Values in one filter."""


class SourcePassages(Struct, frozen=True, kw_only=True):
    """All passages of one source (a file, a turn, a fact) as they shall be known from now on."""

    source: str
    """Identity of the source: a plain token that no other source has, of whatever project."""
    kind: Kind = "document"
    path: str
    """Of a file: relative to the storage. Of a turn or a fact: its conversation."""
    at: float = 0.0
    """When the file was changed or the turn said, in seconds since the epoch."""
    content_hash: str
    """SHA-256 of what the passages were made of, hex."""
    pieces: tuple[Piece, ...]
    vectors: bytes
    """One float32 vector of length 1 for the ``embedded_text`` of each piece, little-endian."""
    project: str = HOME


class Moved(Struct, frozen=True, kw_only=True):
    """A source that is called otherwise now, with the same text."""

    source: str
    """Identity until now."""
    to: str
    """Identity from now on."""
    path: str
    project: str = HOME
    at: float | None = None
    """None leaves the time as it was."""


def embedded_text(piece: Piece) -> str:
    """Return what is embedded of a passage: its headings and its text.

    Without the path, so that a moved file keeps its vectors. A colon says that
    the one is about the other: with a mere break a speaker's name ran into what
    was said, and MiniLM found a fifth fewer of LoCoMo's turns.
    """
    return f"{piece.heading}: {piece.text}" if piece.heading else piece.text


def searched_words(kind: Kind, path: str, piece: Piece) -> str:
    """Return what full text searches of a passage: a file's name, headings, text.

    A section's text often does not repeat what it is about; the path of a turn
    or a fact is no name that anybody gave.
    """
    name = re.sub(r"[-_./]+", " ", path.rsplit(".", 1)[0]) if kind == "document" else ""
    above = " > ".join(part for part in (name, piece.heading) if part)
    return f"{above}\n{piece.text}" if above else piece.text


def text_hash(embedded: str) -> str:
    """Return what an embedded text is known by: 32 hex digits."""
    return hashlib.sha256(embedded.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def schema(dimensions: int, model: str) -> pa.Schema:
    """Return the table's schema; it says by which model the vectors were made."""
    import pyarrow as pa

    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in ("id", "project", "kind", "source")),
            pa.field("number", pa.int32(), nullable=False),
            pa.field("at", pa.float64(), nullable=False),
            pa.field("content_hash", pa.string(), nullable=False),
            pa.field("text_hash", pa.string(), nullable=False),
            pa.field("words", pa.string(), nullable=False),
            pa.field("record", pa.binary(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
        ],
        metadata={"karais.model": model, "karais.format": FORMAT},
    )


def is_current(found: pa.Schema, model: str) -> bool:
    """Return whether a table's rows are as this version of KARAIS writes them, of this model."""
    metadata = found.metadata or {}
    return (
        metadata.get(b"karais.model") == model.encode() and metadata.get(b"karais.format") == FORMAT.encode()
    )


def rows(sources: Sequence[SourcePassages], model: str) -> pa.Table:
    """Return the rows of these sources; a table without columns when there are none."""
    import numpy as np
    import pyarrow as pa

    count = sum(len(source.pieces) for source in sources)
    vectors = np.frombuffer(b"".join(source.vectors for source in sources), dtype="<f4")
    if count == 0:
        return pa.table({})
    if not vectors.size or vectors.size % count:
        raise ValueError(f"{vectors.size} numbers are no vectors for {count} passages.")
    found = [
        _row(
            source.source, source.path, source.project, source.at, source.kind, source.content_hash, at, piece
        )
        for source in sources
        for at, piece in enumerate(source.pieces)
    ]
    return _with_vectors(found, vectors, schema(vectors.size // count, model))


def renamed(before: pa.Table, moves: Sequence[Moved]) -> pa.Table:
    """Return rows of moved sources under their new names, with the vectors that they had."""
    by_source = {move.source: move for move in moves}
    found = []
    for row in unpacked(before):
        move = by_source[row["source"]]
        at = row["at"] if move.at is None else move.at
        piece = Piece(**{name: row[name] for name in Piece.__struct_fields__})
        found.append(
            _row(move.to, move.path, move.project, at, row["kind"], row["content_hash"], row["number"], piece)
        )
    vectors = before.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return _with_vectors(found, vectors, before.schema)


def unpacked(found: pa.Table) -> list[dict[str, Any]]:
    """Return rows of which ``READ`` was selected as dictionaries, with whatever else was selected.

    Each has id, project, kind, source, path, number, text, heading,
    first_line, last_line, page, at and content_hash.
    """
    rest = [name for name in found.column_names if name not in READ]
    unpacked = []
    for words, packed, row in zip(
        found.column("words").to_pylist(),
        found.column("record").to_pylist(),
        listed(found.select(rest)) if rest else [{} for _ in range(found.num_rows)],
        strict=True,
    ):
        record = _decoder.decode(packed)
        row |= msgspec.structs.asdict(record)
        row["id"] = f"{record.source}-{record.number}"
        row["text"] = words[row.pop("text_at") :]
        unpacked.append(row)
    return unpacked


def listed(found: pa.Table) -> list[dict[str, Any]]:
    """Return rows as dictionaries; a ``vector`` is a numpy array of float32."""
    if "vector" not in found.column_names or not found.num_rows:
        return cast(list[dict[str, Any]], found.to_pylist())
    column = found.column("vector").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(found), -1)
    listed = cast(list[dict[str, Any]], found.drop_columns(["vector"]).to_pylist())
    for row, vector in zip(listed, vectors, strict=True):
        row["vector"] = vector
    return listed


def _with_vectors(found: list[dict[str, Any]], vectors: Any, columns: pa.Schema) -> pa.Table:
    import pyarrow as pa

    at = columns.get_field_index("vector")
    field = columns.field(at)
    table = pa.Table.from_pylist(found, schema=columns.remove(at))
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors, pa.float32()), field.type.list_size)
    return table.append_column(field, column).replace_schema_metadata(columns.metadata)


def _row(
    source: str,
    path: str,
    project: str,
    at: float,
    kind: Kind,
    content_hash: str,
    number: int,
    piece: Piece,
) -> dict[str, Any]:
    words = searched_words(kind, path, piece)
    record = _Record(
        project=project,
        kind=kind,
        source=source,
        path=path,
        number=number,
        heading=piece.heading,
        first_line=piece.first_line,
        last_line=piece.last_line,
        page=piece.page,
        at=at,
        content_hash=content_hash,
        text_at=len(words) - len(piece.text),
    )
    return {
        "id": f"{source}-{number}",
        "project": project,
        "kind": kind,
        "source": source,
        "number": number,
        "at": at,
        "content_hash": content_hash,
        "text_hash": text_hash(embedded_text(piece)),
        "words": words,
        "record": msgspec.msgpack.encode(record),
    }


_decoder = msgspec.msgpack.Decoder(_Record)


def record_of(packed: bytes) -> _Record:
    """Return what a row's ``record`` says."""
    return _decoder.decode(packed)


async def vectors_of(table: AsyncTable, hashes: Collection[str]) -> dict[str, bytes]:
    """Return the vectors that a table has of texts, by their ``text_hash``."""
    found: dict[str, bytes] = {}
    wanted = list(hashes)
    for start in range(0, len(wanted), NAMED):
        query = table.query().where(among("text_hash", tuple(wanted[start : start + NAMED])))
        for row in listed(await query.select(["text_hash", "vector"]).to_arrow()):
            found[row["text_hash"]] = row["vector"].astype("<f4").tobytes()
    return found
