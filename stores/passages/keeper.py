"""Keeping the newest version of a table in memory: what came is read, what went is left out."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import time
from typing import TYPE_CHECKING, Any

import psutil

from stores.passages.resident import BYTES_A_ROW, TEXT_BYTES, Resident

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb import AsyncTable

log = logging.getLogger(__name__)

LOST = (RuntimeError, ValueError, OSError)
"""What LanceDB raises when the version that is read was removed meanwhile."""
AT_ONCE = 4096
"""New rows that are read while a look at the newest version waits; more take too long for that."""
READ_ROWS = 8192
"""Rows that are read at a time."""
TAKEN_SHARE = 0.2
"""Up to this share of a table new rows are looked up one by one; of more, the table is read as a whole."""
DEAD_SHARE = 0.25
"""Rows that are no longer in the table, among those held, from which on they are cleared away."""
MEMORY_SHARE = 8
"""One part in so many of the machine's memory is what a table may take.

Of one that takes more with its texts, these stay in its files; of one that takes
more without them, everything.
"""


class Keeper:
    """Holds the rows of one table and brings them up to its newest version."""

    def __init__(self) -> None:
        self._held: Resident | None = None
        self._busy = asyncio.Lock()

    async def at_once(self, table: AsyncTable) -> Resident | None:
        """Return a table's version in memory, or None when that takes longer (``loaded``) or has no room.

        Raises what is in LOST when the version is there no more.
        """
        if self._busy.locked():
            return None
        return await self._brought_up(table, AT_ONCE)

    async def loaded(self, table: AsyncTable) -> Resident | None:
        """Return a table's version in memory, or None when there is no room for it; raises as ``at_once``."""
        begun = time.monotonic()
        resident = await self._brought_up(table, None)
        if resident is not None:
            await asyncio.to_thread(_hand_back)
            rows, seconds = resident.rows, time.monotonic() - begun
            log.info("%d rows of %s were read into memory in %.1f s", rows, table.name, seconds)
        return resident

    async def _brought_up(self, table: AsyncTable, most: int | None) -> Resident | None:
        import numpy as np

        async with self._busy:
            dimensions = (await table.schema()).field("vector").type.list_size
            a_row = 2 * dimensions + BYTES_A_ROW
            if await table.count_rows() * a_row > _room():
                self._held = None
                return None
            ids = await _ids(table)
            held = self._held
            if held is None or held.dimensions != dimensions:
                held = None
                fresh = ids
                gone = np.empty(0, "<i8")
            else:
                fresh = ids[~_among(ids, held.ids)]
                gone = np.flatnonzero(~_among(held.ids, ids))
            if most is not None and len(fresh) > most:
                return None
            if held is not None and len(gone) > DEAD_SHARE * len(held.ids) and len(gone) > AT_ONCE:
                keeps = len(gone) < held.rows
                held = await asyncio.to_thread(held.without(gone).compacted, len(ids)) if keeps else None
                gone = gone[:0]
            if held is None:
                self._held = None  # frees its memory before it is taken again
                held = Resident(dimensions, len(ids), _room() // (a_row + TEXT_BYTES))
            try:
                if len(gone):
                    held = await asyncio.to_thread(held.without, gone)
                held = await self._with(held, table, fresh, len(ids))
                held = await asyncio.to_thread(held.sealed)
            except BaseException:
                self._held = None  # what it shares with the attempt may have been written to
                raise
            self._held = held
            return held

    async def _with(self, held: Resident, table: AsyncTable, fresh: Any, rows: int) -> Resident:
        """Return the rows held and these fresh ones, in the order of their ids."""
        if len(fresh) <= TAKEN_SHARE * rows:
            for start in range(0, len(fresh), READ_ROWS):
                part = fresh[start : start + READ_ROWS].tolist()
                found = await table.take_row_ids(part).select(held.columns).with_row_id().to_arrow()
                held = await asyncio.to_thread(_added, held, found, None)
            return held
        query = table.query().select(held.columns).with_row_id()
        async for batch in await query.to_batches(max_batch_length=READ_ROWS):
            held = await asyncio.to_thread(_added, held, batch, fresh)
        return held


def _added(held: Resident, found: pa.Table | pa.RecordBatch, wanted: Any) -> Resident:
    """Return the rows held and those found that are among the wanted ones; None wants all."""
    import pyarrow as pa

    table = found if isinstance(found, pa.Table) else pa.Table.from_batches([found])
    if wanted is not None:
        table = table.filter(pa.array(_among(table.column("_rowid").to_numpy(), wanted)))
    return held.extended(table) if table.num_rows else held


async def _ids(table: AsyncTable) -> Any:
    """Return the ids of a table's rows, ascending."""
    found = await table.query().select(["_rowid"]).to_arrow()
    ids = found.column("_rowid").to_numpy().copy()
    ids.sort()
    return ids


def _among(some: Any, others: Any) -> Any:
    """Return which of some ids are among others, which ascend."""
    import numpy as np

    if not len(others):
        return np.zeros(len(some), bool)
    at = np.minimum(np.searchsorted(others, some), len(others) - 1)
    return others[at] == some


def _hand_back() -> None:
    """Give the system back what reading took: twice what is kept, for as long as the process lives."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


def _room() -> int:
    return int(psutil.virtual_memory().total) // MEMORY_SHARE
