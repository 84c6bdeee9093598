"""A short form of `karais bench soak`: every process is killed once under load."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.bench import soak


@pytest.mark.skipif(
    "KARAIS_TEST_MODELS" not in os.environ, reason="needs the default models: `make test` fetches them"
)
async def test_killing_any_process_loses_nothing_acknowledged() -> None:
    """After kill -9 of any one process the whole answers again, and the log holds what readers saw."""
    counts = await soak.run(Path(os.environ["KARAIS_TEST_MODELS"]), rounds=1, pause=1.0, talkers=3, seed=1)
    assert counts.wrong == []
    assert set(counts.healed) >= {"bus", "gateway", "brain", "memory", "supervisor", "guardian"}
    assert any(said.ending == "done" for said in counts.said)
