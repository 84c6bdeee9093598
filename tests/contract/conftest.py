"""One engine of each kind for the tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agents.brain.engine import Engine
from agents.brain.engines import open_engine
from tests.contract.engines import KINDS, settings_for, until


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(KINDS))
async def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    folder = tmp_path_factory.mktemp(request.param)
    async with open_engine(settings_for(request.param, folder)) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def engine(shared: Engine) -> AsyncIterator[Engine]:
    """One engine for all tests of a module; each leaves it idle and healthy."""
    yield shared
    await until(lambda: not shared.running)
    assert shared.healthy
    assert shared.waiting == 0
