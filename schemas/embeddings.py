"""Vectors. Texts travel as JSON, vectors as raw little-endian float32."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from schemas.base import Message


class Embed(Message, frozen=True, kw_only=True):
    """Ask for the vectors of texts. Replied with Vectors."""

    texts: Annotated[tuple[str, ...], Meta(min_length=1, max_length=256)]
    purpose: Literal["query", "passage", "statement"] = "passage"
    """Queries go before passages that wait.

    Vectors of a ``statement`` tell whether it states a fact, and not what it is about: they come
    from the model with an adapter, and cannot be compared with the others.
    """


class Vectors(Message, frozen=True, kw_only=True):
    """Reply to Embed: its fields are headers, ``data`` is the raw payload."""

    model: str
    """Name of the embedding model; vectors of different models are not comparable."""
    rows: int
    dimensions: int
    data: bytes
    """``rows`` x ``dimensions`` float32, little-endian, row by row, each of length 1."""
