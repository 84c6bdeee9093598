"""Keeping a table quick and small: merging fragments and index parts, dropping old versions.

Each commit leaves a fragment, and each fragment costs every search; what no
index covers yet is searched row by row. So after some commits ``freshen``
merges the small fragments and takes what is new into the indexes' newest part:
its price depends on what is new and not on the table, and a write may wait for
it. ``tidy`` merges parts into larger ones, and is for quiet moments. Sizes grow
by steps, so that a row is copied a few times in its life and not with each
tidying.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

SMALL_ROWS = 1024
"""Fragments below it are merged by ``freshen``."""
LARGE_ROWS = 128 * 1024
"""Fragments below it are merged by ``tidy``."""
GROWTH = 4
"""``freshen`` merges index parts that are smaller than this times what comes to them."""
MOST_ROWS = 32 * 1024
"""Index parts above it are merged by ``tidy`` only."""
PART_SHARE = 0.1
"""Share of an index that its smaller parts may be before ``tidy`` merges all."""
MOST_PARTS = 3
KEEP_VERSIONS = timedelta(seconds=10)
"""How long a reader may stay at a version that is not the newest; then it must open the table anew.

Readers hear of a change within milliseconds; thirty single writes a second
leave a hundred files each second of it.
"""


def freshen(files: Path) -> None:
    """Merge small fragments and index what is new, at a price that is bounded. Blocking."""
    import lance

    begun = time.monotonic()
    table = lance.dataset(str(files))
    table.optimize.compact_files(target_rows_per_fragment=SMALL_ROWS, num_threads=1)
    for name in _names(table):
        parts, fresh = _parts(table, name)
        merged, total = 0, fresh
        while merged < len(parts) and parts[-1 - merged] < min(GROWTH * total, MOST_ROWS):
            total += parts[-1 - merged]
            merged += 1
        if fresh:
            table.optimize.optimize_indices(num_indices_to_merge=merged, index_names=[name])
    table.cleanup_old_versions(KEEP_VERSIONS)
    log.info("%s: what is new was merged and indexed in %.2f s", files.name, time.monotonic() - begun)


def tidy(files: Path) -> None:
    """Merge fragments and index parts as far as it pays. Blocking, for seconds or minutes.

    What was deleted leaves the newest version's files, however little it is;
    the versions before it go with the next tidying after ``KEEP_VERSIONS``.
    """
    import lance

    begun = time.monotonic()
    table = lance.dataset(str(files))
    # Before the fragments: those that different parts of an index cover are not merged.
    _merge_parts(table)
    table.optimize.compact_files(
        target_rows_per_fragment=LARGE_ROWS,
        materialize_deletions=True,
        materialize_deletions_threshold=0.0,
        num_threads=1,
    )
    _merge_parts(table)
    table.cleanup_old_versions(KEEP_VERSIONS)
    log.info("%s: tidied in %.2f s", files.name, time.monotonic() - begun)


def _merge_parts(table: Any) -> None:
    for name in _names(table):
        parts, fresh = _parts(table, name)
        newer = fresh + sum(parts[1:])
        merge_all = newer > PART_SHARE * sum(parts) or sum(parts) + fresh < MOST_ROWS
        if newer and (merge_all or len(parts) > MOST_PARTS or fresh):
            merged = len(parts) if merge_all else len(parts) - 1
            table.optimize.optimize_indices(num_indices_to_merge=merged, index_names=[name])


def _names(table: Any) -> list[str]:
    return sorted({index.name for index in table.describe_indices()})


def _parts(table: Any, name: str) -> tuple[list[int], int]:
    """Return the rows of each part of an index, the oldest first, and the rows that no part has."""
    stats = table.stats.index_stats(name)
    return stats.get("num_indexed_rows_per_delta", []), stats["num_unindexed_rows"]
