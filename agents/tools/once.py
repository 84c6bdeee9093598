"""Calls of the last minutes: a call that is repeated is not done again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, NamedTuple

from agents.tools.tool import NotDoneError
from bus.tasks import end
from schemas.tools import CallTool, ToolResult

KEPT_SECONDS = 600.0
KEPT = 256
TRIED = ("done", "failed", "timed_out")
"""Outcomes that stay as they are; after any other the call may be sent again."""


class _Kept(NamedTuple):
    task: asyncio.Task[ToolResult]
    what: tuple[str, str]
    """Name and arguments."""
    at: float


class Once:
    """Running and recent calls, by who asked and the call's identity."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    def known(self, ask: CallTool) -> Awaitable[ToolResult] | None:
        """Return the result of the same call, running or ended; None for a new one.

        Raises NotDoneError when the identity was used for another call.
        """
        kept = self._kept.get(_key(ask))
        if kept is None:
            return None
        if kept.what != (ask.name, ask.arguments):
            raise NotDoneError("invalid", f"The call {ask.call} was another one: choose a new identity.")
        return asyncio.shield(kept.task)

    async def run(self, ask: CallTool, work: Coroutine[Any, Any, ToolResult]) -> ToolResult:
        """Do a new call; it goes on when the asker goes away."""
        self._tidy()
        task = asyncio.create_task(work)
        key = _key(ask)
        self._kept[key] = _Kept(task, (ask.name, ask.arguments), time.monotonic())
        try:
            result = await asyncio.shield(task)
        except BaseException:
            if task.done():
                self._kept.pop(key, None)
            raise
        if result.outcome not in TRIED:
            self._kept.pop(key, None)
        return result

    async def close(self) -> None:
        """End what still runs."""
        await end(kept.task for kept in self._kept.values())

    def _tidy(self) -> None:
        horizon = time.monotonic() - KEPT_SECONDS
        done = [key for key, kept in self._kept.items() if kept.task.done()]
        for number, key in enumerate(done):
            if self._kept[key].at < horizon or len(done) - number > KEPT:
                del self._kept[key]


def _key(ask: CallTool) -> tuple[str, str, str]:
    return ask.user, ask.project, ask.call
