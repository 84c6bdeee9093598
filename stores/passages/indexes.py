"""The indexes of a table of passages: which there are, and from which size on.

Full text is searched by BM25 over Lance's own index with the ``icu/split``
tokenizer, which segments words by dictionary: Chinese, Japanese and Thai are
found by word as English is, and ``ACK_WAIT`` by either half. Latin words are
lower-cased, folded and stemmed as English, which does other languages little
harm. Vectors are compared exactly up to ``EXACT_ROWS`` rows and by an HNSW
index above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lancedb import AsyncTable

EXACT_ROWS = 30_000
"""Rows up to which every vector is compared (1 to 2 ms for 1,000 rows on one core)."""


async def begin(table: AsyncTable) -> None:
    """Create the indexes that every table has: without one, words cannot be searched."""
    from lancedb.index import FTS

    await table.create_index("words", config=FTS(base_tokenizer="icu/split"))


async def ensure(table: AsyncTable) -> None:
    """Create the indexes that a table of this size needs and has not."""
    from lancedb.index import BTree, HnswSq

    if await table.count_rows() <= EXACT_ROWS:
        return
    indexed = {index.columns[0] for index in await table.list_indices()}
    for column in ("source", "text_hash"):
        if column not in indexed:
            await table.create_index(column, config=BTree())
    if "vector" not in indexed:
        await table.create_index("vector", config=HnswSq(distance_type="cosine"))
