"""The indexes of a table of passages: which there are, and from which size on.

Full text is searched by BM25 over Lance's own index with the ``icu/split``
tokenizer, which segments words by dictionary: Chinese, Japanese and Thai are
found by word as English is, and ``ACK_WAIT`` by either half. Latin words are
lower-cased, folded and stemmed as English, which does other languages little
harm. Vectors are compared exactly up to ``EXACT_ROWS`` rows. Above, an index groups
them into partitions and keeps a byte of each number; what is best by these is
compared exactly, at no cost, as the vectors are read with the rows anyway.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lancedb import AsyncTable

log = logging.getLogger(__name__)

EXACT_ROWS = 30_000
"""Rows up to which every vector is compared (1 to 2 ms for 1,000 rows on one core)."""
GROWTH = 2
"""Partitions are made anew when there should be more than this times as many."""


async def begin(table: AsyncTable) -> None:
    """Create the indexes that every table has: without one, words cannot be searched."""
    from lancedb.index import FTS

    await table.create_index("words", config=FTS(base_tokenizer="icu/split"))


async def ensure(table: AsyncTable) -> None:
    """Create the indexes that a table of this size needs and has not."""
    from lancedb.index import Bitmap, BTree, IvfSq

    rows = await table.count_rows()
    if rows <= EXACT_ROWS:
        return
    indexed = {index.columns[0] for index in await table.list_indices()}
    for column, config in (("project", Bitmap()), ("source", BTree()), ("text_hash", BTree())):
        if column not in indexed:
            await table.create_index(column, config=config)
    wanted = math.isqrt(rows)
    if GROWTH * await asyncio.to_thread(_partitions, await table.uri()) < wanted:
        begun = time.monotonic()
        vectors = IvfSq(distance_type="cosine", num_partitions=wanted, max_iterations=15, sample_rate=64)
        # The annotation of this version names every kind of index but this one.
        await table.create_index("vector", config=vectors, replace=True)  # type: ignore[arg-type]
        log.info("vectors of %d rows were indexed in %.1f s", rows, time.monotonic() - begun)


async def probes(table: AsyncTable) -> int:
    """Return how many partitions of the vectors a search looks into; 0 where it compares all vectors."""
    if any(index.columns == ["vector"] for index in await table.list_indices()):
        # Of more rows than were there when it was made: rather too many than too few.
        return 2 * math.isqrt(math.isqrt(await table.count_rows()))
    return 0


def _partitions(uri: str) -> int:
    import lance

    table = lance.dataset(uri)
    for index in table.describe_indices():
        if index.field_names == ["vector"]:
            found: int = table.stats.index_stats(index.name)["indices"][0]["num_partitions"]
            return found
    return 0
