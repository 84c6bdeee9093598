"""The storage: walking it, and keeping its passages in step with its files."""

from agents.librarian.agent import Librarian

__all__ = ["Librarian"]
