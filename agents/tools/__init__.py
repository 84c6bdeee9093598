"""The only place that runs tools: built-in ones, and those of the servers that the administrator named."""

from agents.tools.agent import Tools

__all__ = ["Tools"]
