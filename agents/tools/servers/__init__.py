"""Servers of tools that speak MCP (Model Context Protocol). Nothing heavy is imported without one."""

from agents.tools.servers.all import Servers

__all__ = ["Servers"]
