"""``GET /v1/models``: answered from what is known, whoever is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from agents.gateway.models import ServedModels
from agents.gateway.openapi import Operation
from agents.gateway.part import Part, as_json
from schemas.openai import ModelCard, ModelList, OpenAIFailure

if TYPE_CHECKING:
    from bus.connection import Bus


class ModelsPart(Part):
    """The language model and the embedding model."""

    def __init__(self, bus: Bus, models: ServedModels) -> None:
        super().__init__(bus)
        self._models = models

    def operations(self) -> list[Operation]:
        """Return the operations."""
        return [
            Operation(
                "GET", "/v1/models", "List models, as OpenAI does.", self.models, ModelList,
                failure=OpenAIFailure,
            ),
            Operation(
                "GET", "/v1/models/{model}", "Read of a model, as at OpenAI.", self.model, ModelCard,
                failure=OpenAIFailure,
            ),
        ]  # fmt: skip

    async def models(self, request: web.Request) -> web.Response:
        """List the models."""
        names = (self._models.language, self._models.embedding)
        return as_json(ModelList(data=tuple(ModelCard(id=name) for name in names)))

    async def model(self, request: web.Request) -> web.Response:
        """Return one model."""
        name = request.match_info["model"]
        if name == self._models.embedding:
            return as_json(ModelCard(id=name))
        return as_json(ModelCard(id=self._models.known(name)))
