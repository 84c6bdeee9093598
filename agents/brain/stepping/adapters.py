"""The adapters that requests name: read from the Tier-0 folder when they are first wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from schemas.errors import KaraisError
from stores.weights import adapters, registry

if TYPE_CHECKING:
    from pathlib import Path

    from stores.weights.adapters import Adapter, Shape


class Adapters:
    """Reads adapters for one model, and again when another one is put under the same name."""

    def __init__(self, models: Path, shape: Shape, prepare: Callable[[], None]) -> None:
        self._models = models
        self._shape = shape
        self._prepare = prepare
        self._read: dict[str, Adapter] = {}
        self._lock = asyncio.Lock()

    async def get(self, name: str) -> Adapter:
        """Return an adapter. Raises KaraisError ``not_found``, or ``invalid`` where it does not fit."""
        async with self._lock:
            return await asyncio.to_thread(self._get, name)

    def _get(self, name: str) -> Adapter:
        try:
            model = registry.find(self._models, name)
        except KaraisError as error:
            raise KaraisError(
                str(error).replace("There is no model", "There is no adapter", 1),
                code=error.code,
                field="$.sampling.adapter",
            ) from None
        known = self._read.get(name)
        if known is not None and known.key == adapters.key_of(model):
            return known
        adapter = adapters.read(model, self._shape)
        self._prepare()
        self._read[name] = adapter
        return adapter
