"""Embedding: from texts to vectors."""

from agents.embedder.agent import Embedder

__all__ = ["Embedder"]
