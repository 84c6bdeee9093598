"""A short form of `karais bench soak_ingest`: processes are killed while a changing storage is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.bench import soak_ingest


@pytest.mark.skipif(
    "KARAIS_TEST_MODELS" not in os.environ, reason="needs the default models: `make test` fetches them"
)
async def test_killing_any_process_loses_and_doubles_no_passage() -> None:
    """After four kills the table holds every passage of every file once, and nothing else."""
    counts = await soak_ingest.run(Path(os.environ["KARAIS_TEST_MODELS"]), kills=4, pause=1.5, seed=3)
    assert counts.killed.total() == 4
    assert counts.passages > 50
    assert (counts.lost, counts.doubled, counts.strange) == ([], [], [])
