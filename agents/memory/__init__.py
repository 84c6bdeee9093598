"""What was said and what is known: conversations, facts, and finding passages."""

from agents.memory.agent import Memory

__all__ = ["Memory"]
