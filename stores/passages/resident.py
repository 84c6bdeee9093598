"""A table's vectors in memory, beside the table: what a reader looks into first.

LanceDB reads some hundred rows a search, each by a look of its own into its
files; that takes longer than finding them. So a reader keeps of each row what
finding and ranking need: its vector as 16-bit floats, the packed record that
says whose it is, project, kind and time as numbers, and, where there is room
for it, its text. It is made from the table and never stored; forgetting makes
another table, and nothing of the one before is kept.

Up to ``FLAT_ROWS`` rows every vector is compared. Above, they are in lists of
those that are near each other, and one bit for each number of each vector
(RaBitQ, by faiss) chooses some hundred in the nearest lists, which are then
compared as they are. Both are over all rows in one array; a scope is a mask
over it, made of the rows' own projects, kinds and times, so a row outside it
is never a result.

A ``Resident`` never changes: ``extended`` and ``without`` return another one,
which shares its memory. Rows are told apart by LanceDB's row ids, which are
addresses in the table's files: one that is gone never comes back, and a row
that is rewritten has another.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from schemas.base import GLOBAL
from stores.passages.rows import Kind, record_of
from stores.scope import Scope

if TYPE_CHECKING:
    import pyarrow as pa

FLAT_ROWS = 8192
"""Up to here all vectors are compared (float32, 0.2 to 1 ms); faiss is not loaded."""
CHOSEN = 300
"""Vectors that the bits choose, at least, to be compared as they are: their ten best are then exact."""
CHOSEN_SHARE = 2500
"""And one more for each so many rows."""
PROBED = 64
"""Lists that are looked into: they hold all but one or two in 1,000 of the best of 1,000,000 passages."""
TRAINING_ROWS = 40_000
RETRAIN = 4
"""The bits are made anew when there are this many times the rows that they were fitted to."""
WITHOUT_BITS = 1024
"""Rows that came last are compared as they are until there are more of them."""
STEP = 16_384
"""Rows that are encoded or compared at a time."""
KINDS: tuple[str, ...] = get_args(Kind)
MASKS = 8
"""Scopes of which the rows are kept in mind."""
BYTES_A_ROW = 400
"""Besides text and the vector's numbers: record, row id, bits and the rest, about."""
TEXT_BYTES = 800
"""Of a row's text, about."""


class Resident:
    """The rows of one version of a table, each at its place."""

    def __init__(self, dimensions: int, capacity: int = 0, text_rows: int = sys.maxsize) -> None:
        """Hold nothing; ``capacity`` is the number of rows to come, where it is known.

        With more than ``text_rows`` rows no texts are held: those that a
        search found are read from the table, in 5 to 10 ms.
        """
        import numpy as np

        self.dimensions = dimensions
        self.rows = 0
        """Including those that are no longer in the table (``dead``)."""
        self.dead = 0
        wide = np.dtype("<f4") if capacity <= FLAT_ROWS else np.dtype("<f2")
        self._columns = {
            "id": np.empty(capacity, "<u8"),
            "vector": np.empty((capacity, dimensions), wide),
            "project": np.empty(capacity, "<i4"),
            "kind": np.empty(capacity, "i1"),
            "at": np.empty(capacity, "<f8"),
            "source": np.empty(capacity, "<i8"),
        }
        self._records: list[bytes] = []
        self._texts: list[bytes] | None = [] if capacity <= text_rows else None
        """What full text searches of each row; it ends with its text."""
        self._text_rows = text_rows
        self._projects: dict[str, int] = {}
        self._alive = np.empty(0, bool)
        self.ids = np.empty(0, "<u8")
        """Row ids of all rows held, ascending, once they are ``sealed``."""
        self._order: Any = None
        """Their places; None where these ascend as well."""
        self._bits: _Bits | None = None
        self._masks: dict[tuple[object, ...], tuple[Any, int]] = {}

    @property
    def columns(self) -> list[str]:
        """What is read of further rows."""
        return ["record", "vector"] if self._texts is None else ["record", "vector", "words"]

    def extended(self, found: pa.Table) -> Resident:
        """Return one with further rows: ``columns`` and ``_rowid``.

        Call it on the newest one only, then ``sealed`` on the result.
        """
        import numpy as np

        more = self._another()
        count = found.num_rows
        more._reserve(self.rows + count)
        span = slice(self.rows, self.rows + count)
        packed = found.column("record").to_pylist()
        records = [record_of(one) for one in packed]
        columns = more._columns
        columns["id"][span] = found.column("_rowid").to_numpy()
        vectors = found.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        columns["vector"][span] = vectors.reshape(count, -1)
        columns["project"][span] = [
            more._projects.setdefault(record.project, len(more._projects)) for record in records
        ]
        columns["kind"][span] = [KINDS.index(record.kind) for record in records]
        columns["at"][span] = [record.at for record in records]
        columns["source"][span] = [hash(record.source) for record in records]
        del more._records[self.rows :]  # of an attempt that failed
        more._records += packed
        if more._texts is not None:
            import pyarrow as pa

            del more._texts[self.rows :]
            more._texts += found.column("words").cast(pa.binary()).to_pylist()
            if self.rows + count > self._text_rows:
                more._texts = None
        more._alive = np.concatenate([self._alive, np.ones(count, bool)])
        more.rows += count
        return more

    def without(self, gone: Any) -> Resident:
        """Return one in which the rows at these places are no longer found."""
        less = self._another()
        less._alive = self._alive.copy()
        less._alive[gone] = False
        less.dead = less.rows - int(less._alive.sum())
        return less

    def compacted(self, capacity: int) -> Resident:
        """Return a copy of what is still in the table, with room for ``capacity`` rows."""
        import numpy as np

        kept = np.flatnonzero(self._alive)
        copy = Resident(self.dimensions, max(capacity, len(kept)), self._text_rows)
        for name, column in copy._columns.items():
            for start in range(0, len(kept), STEP):
                part = kept[start : start + STEP]
                column[start : start + len(part)] = self._columns[name][part]
        copy._records = [self._records[at] for at in kept.tolist()]
        if copy._texts is not None and self._texts is not None:
            copy._texts = [self._texts[at] for at in kept.tolist()]
        else:
            copy._texts = None
        copy._projects = dict(self._projects)
        copy._alive = np.ones(len(kept), bool)
        copy.rows = len(kept)
        return copy

    def sealed(self) -> Resident:
        """Return it ready to be searched. Takes seconds for hundreds of thousands of fresh rows."""
        import numpy as np

        self.ids, self._order = self._columns["id"][: self.rows], None
        if not bool(np.all(self.ids[1:] > self.ids[:-1])):
            self._order = np.argsort(self.ids)
            self.ids = self.ids[self._order]
        if self.rows > FLAT_ROWS:
            vectors = self._columns["vector"][: self.rows]
            if self._bits is None or self.rows > RETRAIN * self._bits.fitted:
                self._bits = _Bits.of(vectors)
            elif self.rows > self._bits.rows + WITHOUT_BITS:
                self._bits = self._bits.extended(vectors)
        return self

    def nearest(self, query: Any, scope: Scope, limit: int) -> tuple[Any, Any]:
        """Return the places of the rows nearest to a vector of length 1, and their cosines, best first."""
        import numpy as np

        mask, count = self._within(scope)
        vectors = self._columns["vector"][: self.rows]
        if not count or not limit:
            return np.empty(0, "<i8"), np.empty(0, "<f4")
        if self._bits is None and vectors.dtype.itemsize == 4:
            places = np.flatnonzero(mask)
            cosines = np.vecdot(vectors, query)  # quicker than to leave some out
            if count < self.rows:
                cosines = cosines[places]
        else:
            few = self._bits is None or count <= FLAT_ROWS // 2
            places = np.flatnonzero(mask) if few else self._chosen(query, mask, count, limit)
            cosines = _compared(vectors, places, query)
        if len(places) > limit:
            best = np.argpartition(-cosines, limit - 1)[:limit]
            places, cosines = places[best], cosines[best]
        order = np.argsort(-cosines, kind="stable")
        return places[order], cosines[order]

    def places(self, ids: Any, scope: Scope) -> tuple[Any, Any]:
        """Return the places of those of these row ids that are in a scope, and which of them they are."""
        import numpy as np

        mask, _ = self._within(scope)
        if not self.rows:
            return np.empty(0, "<i8"), np.empty(0, "<i8")
        at = np.minimum(np.searchsorted(self.ids, ids), self.rows - 1)
        same = self.ids[at] == ids
        if self._order is not None:
            at = self._order[at]
        held = np.flatnonzero(same & mask[at])
        return at[held], held

    def said_around(self, moments: Sequence[float], seconds: float, scope: Scope, limit: int) -> Any:
        """Return the places of turns of a scope within ``seconds`` of these moments."""
        import numpy as np

        mask, _ = self._within(scope)
        turns = np.flatnonzero(mask & (self._columns["kind"][: self.rows] == KINDS.index("turn")))
        said = self._columns["at"][turns]
        near = np.zeros(len(turns), bool)
        for moment in set(moments):
            near |= (said >= round(moment - seconds, 6)) & (said <= round(moment + seconds, 6))
        return turns[near][:limit]

    def of_source(self, source: str, scope: Scope) -> Any:
        """Return the places of a source's rows in a scope (and, once in 2**60 times, another one's)."""
        import numpy as np

        mask, _ = self._within(scope)
        return np.flatnonzero((self._columns["source"][: self.rows] == hash(source)) & mask)

    def unpacked(self, places: Any) -> list[dict[str, Any]]:
        """Return rows as ``rows.unpacked`` does, each with its ``vector`` (numpy float32) and ``_rowid``.

        Where texts are not held, ``text`` is missing, and ``text_at`` says where it begins in ``words``.
        """
        from msgspec import structs

        vectors = _wide(self._columns["vector"].take(places, axis=0))
        ids = self._columns["id"][places].tolist()
        found = []
        for place, vector, id_ in zip(places.tolist(), vectors, ids, strict=True):
            record = record_of(self._records[place])
            row = structs.asdict(record)
            row["id"] = f"{record.source}-{record.number}"
            row["vector"] = vector
            row["_rowid"] = id_
            if self._texts is not None:
                row["text"] = self._texts[place].decode()[record.text_at :]
            found.append(row)
        return found

    def names(self, places: Any) -> list[str]:
        """Return the ids of the passages at these places."""
        records = [record_of(self._records[place]) for place in places.tolist()]
        return [f"{record.source}-{record.number}" for record in records]

    def _chosen(self, query: Any, mask: Any, count: int, limit: int) -> Any:
        """Return the places of a scope's rows that the bits say are nearest, some hundred."""
        import numpy as np

        assert self._bits is not None
        fresh = self._bits.rows + np.flatnonzero(mask[self._bits.rows :])
        wanted = min(count, max(CHOSEN, 2 * limit) + count // CHOSEN_SHARE)
        asked = wanted * self.rows // count
        while asked * 8 <= self.rows:
            places = self._bits.search(query, asked, -(-asked // wanted))
            places = places[mask[places]]
            if len(places) >= (wanted - len(fresh)) * 3 // 4:
                return np.concatenate([places, fresh])
            asked *= 4
        return np.flatnonzero(mask)

    def _within(self, scope: Scope) -> tuple[Any, int]:
        """Return which rows are in a scope, and how many."""
        import numpy as np

        key = (scope.project, scope.with_global, scope.kinds, scope.after, scope.before, scope.as_of)
        known: tuple[Any, int] | None = self._masks.get(key)
        if known is not None:
            return known
        scope.where()  # refuses what is no name or no moment
        columns = {name: column[: self.rows] for name, column in self._columns.items()}
        projects = (scope.project, GLOBAL) if scope.with_global else (scope.project,)
        codes = [self._projects.get(name, -1) for name in projects]
        mask = self._alive & np.isin(columns["project"], codes)
        if scope.kinds:
            mask &= np.isin(columns["kind"], [KINDS.index(kind) for kind in scope.kinds if kind in KINDS])
        if scope.after is not None:
            mask &= columns["at"] >= round(scope.after, 6)
        if scope.before is not None:
            mask &= columns["at"] < round(scope.before, 6)
        if scope.as_of is not None:
            facts = columns["kind"] == KINDS.index("fact")
            mask &= facts | (columns["at"] <= round(scope.as_of, 6))
        if len(self._masks) >= MASKS:
            self._masks = {}
        known = mask, int(mask.sum())
        self._masks[key] = known
        return known

    def _another(self) -> Resident:
        other = Resident.__new__(Resident)
        other.__dict__.update(self.__dict__)
        other._masks = {}
        return other

    def _reserve(self, rows: int) -> None:
        """Make room, in memory of its own where there is too little; numbers get narrower above FLAT_ROWS."""
        import numpy as np

        narrow = rows > FLAT_ROWS and self._columns["vector"].dtype != np.dtype("<f2")
        if rows <= len(self._columns["id"]) and not narrow:
            return
        capacity = max(rows + rows // 4, 1024)
        grown = {}
        for name, column in self._columns.items():
            dtype = np.dtype("<f2") if name == "vector" and narrow else column.dtype
            grown[name] = np.empty((capacity, *column.shape[1:]), dtype)
            grown[name][: self.rows] = column[: self.rows]
        self._columns = grown


class _Bits:
    """One bit for each number of each vector, in lists, fitted to the first ones; never changes."""

    def __init__(self, index: Any, fitted: int) -> None:
        self._index = index
        self.fitted = fitted
        self.rows: int = index.ntotal

    @classmethod
    def of(cls, vectors: Any) -> _Bits:
        """Return those of all these vectors."""
        import numpy as np

        faiss, dimensions = _faiss(), vectors.shape[1]
        lists = math.isqrt(len(vectors))
        index: Any = faiss.index_factory(dimensions, f"IVF{lists},RaBitQfs", faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # it would complain of less than 39
        step = max(1, len(vectors) // TRAINING_ROWS)
        index.train(np.ascontiguousarray(vectors[::step], dtype="<f4"))
        return cls(_filled(index, vectors), len(vectors))

    def extended(self, vectors: Any) -> _Bits:
        """Return those of all these vectors, of which the first are already here."""
        faiss = _faiss()
        copy = faiss.deserialize_index(faiss.serialize_index(self._index))
        return _Bits(_filled(copy, vectors), self.fitted)

    def search(self, query: Any, count: int, wider: int) -> Any:
        """Return the places that look nearest, in no order, of ``wider`` times as many lists as usual."""
        parameters = _faiss().SearchParametersIVF(nprobe=min(self._index.nlist, PROBED * wider))
        _, places = self._index.search(query.reshape(1, -1), count, params=parameters)
        return places[0][places[0] >= 0]


def _filled(index: Any, vectors: Any) -> Any:
    _faiss()
    for start in range(index.ntotal, len(vectors), STEP):
        index.add(vectors[start : start + STEP].astype("<f4"))
    return index


def _compared(vectors: Any, places: Any, query: Any) -> Any:
    """Return the cosines of the vectors at these places."""
    import numpy as np

    cosines = np.empty(len(places), "<f4")
    for start in range(0, len(places), STEP):
        part = places[start : start + STEP]
        cosines[start : start + len(part)] = np.vecdot(_wide(vectors.take(part, axis=0)), query)
    return cosines


def _wide(vectors: Any) -> Any:
    """Return vectors as float32."""
    if vectors.dtype.itemsize == 4:
        return vectors
    import numpy as np

    faiss = _faiss()
    # Twice as fast as numpy's own way, which does not use the processor's.
    half = faiss.ScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16)
    return half.decode(vectors.view(np.uint8))


def _faiss() -> Any:
    """Return faiss, set to work in the calling thread only."""
    if "faiss" not in sys.modules:
        # It reports at length which build of it fits the processor.
        logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    import faiss

    # Each thread that calls it would have threads of its own otherwise, which wait by spinning.
    faiss.omp_set_num_threads(1)
    return faiss
