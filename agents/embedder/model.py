"""Embedding models behind one small interface."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from agents.embedder.adapters import Adapter
from schemas.errors import KaraisError
from schemas.failure import Code


class EmbeddingModel(Protocol):
    """Turns texts into vectors of length 1. Both methods may be called from several threads."""

    dimensions: int

    def prepare(self, texts: Sequence[str]) -> tuple[Sequence[Any], Sequence[int]]:
        """Return what ``embed`` takes, one item a text, and about how many tokens each has."""

    def embed(self, items: Sequence[Any]) -> bytes:
        """Return one vector an item: float32, little-endian, row by row."""


class SentenceTransformerEmbedding:
    """Any model that sentence-transformers can load from a folder."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # everything is in the folder; nothing is asked of a hub
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        self.dimensions = int(self._model.get_embedding_dimension() or 0)

    def prepare(self, texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """Return the texts themselves: the library tokenizes them."""
        limit = int(self._model.get_max_seq_length() or 512)
        return texts, [min(limit, 2 + len(text) // 4) for text in texts]

    def embed(self, items: Sequence[Any]) -> bytes:
        """Return one vector a text."""
        vectors = self._model.encode(
            list(items), batch_size=len(items), normalize_embeddings=True, show_progress_bar=False
        )
        return bytes(vectors.astype("<f4", copy=False).tobytes())


def load(folder: Path, adapter: Adapter | None = None) -> EmbeddingModel:
    """Load the embedding model in ``folder``, changed by an adapter; blocking, seconds.

    Raises KaraisError that names the folder when the model is not there or
    cannot be read, or is not the adapter's.
    """
    from agents.embedder.bert import BertEmbedding

    if not (folder / "config.json").exists():
        raise KaraisError(
            f"The embedding model is not in {folder}: `karais models pull` fetches it.", code=Code.UNAVAILABLE
        )
    is_bert = BertEmbedding.fits(folder)
    if adapter is not None and (adapter.model != folder.name or not is_bert):
        raise KaraisError(
            f"The adapter for {adapter.purpose} belongs to {adapter.model}, not to the model {folder.name}.",
            code=Code.UNAVAILABLE,
        )
    device = best_device()
    try:
        if is_bert:
            return BertEmbedding(folder, device, adapter)
        return SentenceTransformerEmbedding(folder, device)
    except Exception as error:
        raise KaraisError(
            f"The embedding model in {folder} cannot be loaded ({type(error).__name__}: {str(error)[:200]}): "
            "remove the folder and run `karais models pull`.",
            code=Code.UNAVAILABLE,
        ) from error


def best_device() -> str:
    """Return the device that models are loaded to."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
