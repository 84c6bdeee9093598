"""What was said, what was learned, and what the storage knows about a question."""

from agents.memory.agent import Memory

__all__ = ["Memory"]
