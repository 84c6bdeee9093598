"""The tools that KARAIS brings with it, each scoped to the user and project that ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.tools.builtin.calculator import calculator
from agents.tools.builtin.clock import clock
from agents.tools.builtin.jobs import jobs, start_job
from agents.tools.builtin.memory import recall, remember, search_storage

if TYPE_CHECKING:
    from agents.tools.tool import Tool
    from bus.connection import Bus


def built_in(bus: Bus) -> list[Tool]:
    """Return all of them, made for this connection."""
    return [search_storage(bus), recall(bus), remember(bus), calculator(), clock(), jobs(bus), start_job(bus)]
