"""Which models are served, as the brain last said: known without asking it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.health import DescribeEngine, EngineDescription

if TYPE_CHECKING:
    from bus.connection import Bus

log = logging.getLogger(__name__)

ALIASES = ("", "karais", "default")
"""Names that mean the model that is served, whichever it is."""
FRESH_SECONDS = 10.0
RETRY_SECONDS = 1.0
ASK_SECONDS = 2.0
NAME_SECONDS = 0.5
"""How long a request with a name that is not known may wait for the brain's word."""


class ServedModels:
    """The names of the models; a task keeps them true while the brain can be asked."""

    def __init__(self, bus: Bus, language: str, embedding: str) -> None:
        self._bus = bus
        self.language = language
        """Name of the language model."""
        self.embedding = embedding
        """Name of the embedding model."""
        self.engine: EngineDescription | None = None
        """What runs, once the brain said so."""
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Ask the brain now and then, until cancelled."""
        self._bus.reconnected.append(self._wanted.set)
        while True:
            known = await self._ask(ASK_SECONDS)
            if not known:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(FRESH_SECONDS):
                    await self._wanted.wait()

    async def check_language(self, name: str) -> str:
        """Return the language model's own name for one that a request gives; raises KaraisError."""
        if name not in (*ALIASES, self.language):
            await self._ask(NAME_SECONDS)
        return self.known(name)

    def known(self, name: str) -> str:
        """Return the language model's own name, as far as it is known; raises KaraisError for another."""
        if name not in (*ALIASES, self.language):
            raise self._unknown(name)
        return self.language

    def check_embedding(self, name: str) -> str:
        """Return the embedding model's own name for one that a request gives; raises KaraisError."""
        if name not in (*ALIASES, self.embedding):
            raise self._unknown(name)
        return self.embedding

    async def _ask(self, seconds: float) -> bool:
        if not self._bus.connected:
            return False
        try:
            self.engine = await self._bus.call(DescribeEngine(), timeout=seconds)
        except KaraisError as error:
            log.debug("the model is the one that was last known: %s", error)
            return False
        self.language = self.engine.model
        return True

    def _unknown(self, name: str) -> KaraisError:
        return KaraisError(
            f"There is no model {name[:100]!r} for this: there is {self.language!r} (also as 'karais' or "
            f"'default'), and {self.embedding!r} for embeddings.",
            code=Code.NOT_FOUND,
            field="$.model",
        )
