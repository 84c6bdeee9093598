"""``POST /v1/embeddings``."""

from __future__ import annotations

import base64
import itertools
import struct
from typing import TYPE_CHECKING, Any

from aiohttp import web

from agents.gateway.codec import read_prompt
from agents.gateway.models import ServedModels
from agents.gateway.openai.translate import invalid
from agents.gateway.openapi import Operation
from agents.gateway.part import Part, as_json
from schemas.embeddings import Embed, Vectors
from schemas.openai import Embedding, EmbeddingList, EmbeddingRequest, OpenAIFailure

if TYPE_CHECKING:
    from bus.connection import Bus

BATCH = 256
"""Texts that one Embed takes."""
FEW = 8
"""So many texts somebody waits for; more are embedded when no answer needs the machine."""
SECONDS = 120.0


class EmbeddingsPart(Part):
    """Vectors of texts."""

    def __init__(self, bus: Bus, models: ServedModels) -> None:
        super().__init__(bus)
        self._models = models

    def operations(self) -> list[Operation]:
        """Return the operation."""
        return [
            Operation(
                "POST",
                "/v1/embeddings",
                "Embed texts, as OpenAI does.",
                self.embeddings,
                EmbeddingList,
                body=EmbeddingRequest,
                failure=OpenAIFailure,
            )
        ]

    async def embeddings(self, request: web.Request) -> web.Response:
        """Embed texts."""
        body = await read_prompt(request, EmbeddingRequest)
        texts = texts_of(body)
        model = self._models.check_embedding(body.model)
        found: list[Embedding] = []
        for start in range(0, len(texts), BATCH):
            batch = Embed(
                texts=texts[start : start + BATCH], purpose="query" if len(texts) <= FEW else "passage"
            )
            vectors: Vectors = await self.call(batch, timeout=SECONDS)
            if body.dimensions not in (None, vectors.dimensions):
                raise invalid(
                    f"The vectors of {model} have {vectors.dimensions} dimensions and no others.",
                    "$.dimensions",
                )
            found += embeddings_of(vectors, start, encoded=body.encoding_format == "base64")
        return as_json(EmbeddingList(data=tuple(found), model=model))


def texts_of(body: EmbeddingRequest) -> tuple[str, ...]:
    """Return the texts of a request. Raises KaraisError when there is anything else."""
    given: tuple[Any, ...] = (body.input,) if isinstance(body.input, str) else body.input
    for number, text in enumerate(given):
        field = "$.input" if isinstance(body.input, str) else f"$.input[{number}]"
        if not isinstance(text, str):
            raise invalid("Numbers of tokens are another tokenizer's: send texts.", field)
        if not text:
            raise invalid("The text is empty.", field)
    return given


def embeddings_of(vectors: Vectors, start: int, *, encoded: bool) -> list[Embedding]:
    """Return vectors as clients read them, numbered from ``start``."""
    width = vectors.dimensions * 4
    rows = (vectors.data[at : at + width] for at in range(0, vectors.rows * width, width))
    if encoded:
        plain: Any = (base64.b64encode(row).decode() for row in rows)
    else:
        plain = (struct.unpack(f"<{vectors.dimensions}f", row) for row in rows)
    numbers = itertools.count(start)
    return [Embedding(index=next(numbers), embedding=each) for each in plain]
