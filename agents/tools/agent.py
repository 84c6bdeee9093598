"""The tools agent: checks a call, has it done in time, keeps it to once, logs it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from contextlib import AsyncExitStack

from agents.tools.builtin import built_in
from agents.tools.once import Once
from agents.tools.servers import Servers
from agents.tools.tool import Given, NotDoneError, Tool, Work
from bus.agent import Agent, answers, every
from schemas.documents import GetStorageStatus, Recall, Rescan
from schemas.errors import KaraisError, TimedOut, Unavailable
from schemas.failure import Code
from schemas.memory import AddFact
from schemas.projects import ReadProject
from schemas.tools import MAX_RESULT_CHARS, CallTool, ListTools, Outcome, ToolCalled, ToolList, ToolResult

log = logging.getLogger(__name__)

AT_A_TIME = 8
"""Calls of one source that run at a time: a server that hangs takes no more places than these."""
SLOTS = 64


class Tools(Agent):
    """Runs tools, in a process of its own: one that hangs, floods or dies hurts nobody else."""

    kind = "tools"
    calls = (Recall, AddFact, ReadProject, GetStorageStatus, Rescan)
    publishes = (ToolCalled,)

    async def start(self, resources: AsyncExitStack) -> None:
        """Begin to reach the servers; nothing waits for them."""
        self._built_in = {tool.entry.name: tool for tool in built_in(self.bus)}
        self._running: Counter[str] = Counter()
        self._once = Once()
        self._problem = ""
        self._servers = Servers(self.settings.mcp, self.settings.logs, self._tell)
        resources.push_async_callback(self._servers.close)
        resources.push_async_callback(self._once.close)
        await self._servers.look()

    @every(seconds=5)
    async def look_at_configuration(self) -> None:
        """Take in changes of the administrator's file."""
        await self._servers.look()
        self._show()

    @answers(ListTools)
    async def list_tools(self, ask: ListTools) -> ToolList:
        """Return what can be called now."""
        tools = [*self._built_in.values(), *self._servers.tools()]
        return ToolList(tools=tuple(tool.entry for tool in tools), servers=self._servers.states())

    @answers(CallTool, slots=SLOTS)
    async def call_tool(self, ask: CallTool) -> ToolResult:
        """Return what came of a call; one that is repeated joins the first."""
        tool = self._built_in.get(ask.name) or self._servers.tool(ask.name)
        try:
            known = self._once.known(ask)
            if known is not None:
                return await known
            work = self._admitted(ask, tool)
        except NotDoneError as error:
            return await self._ended(ask, tool, _not_done(ask, error))
        assert tool
        self._running[tool.entry.source] += 1
        return await self._once.run(ask, self._call(ask, tool, work))

    def _admitted(self, ask: CallTool, tool: Tool | None) -> Work:
        """Return the work of a call that may be done; raises NotDoneError."""
        if tool is None:
            raise NotDoneError("unknown", f"There is no tool {ask.name[:64]!r}.")
        work = tool.prepare(ask)
        if tool.entry.effect == "changes" and not ask.approved:
            raise NotDoneError("unapproved", f"{ask.name} changes something: the user has to say yes first.")
        if self._running[tool.entry.source] >= AT_A_TIME:
            raise NotDoneError(
                "busy", f"{AT_A_TIME} calls of {tool.entry.source} run already: try again later."
            )
        return work

    async def _call(self, ask: CallTool, tool: Tool, work: Work) -> ToolResult:
        source = tool.entry.source
        begun = time.monotonic()
        try:
            async with asyncio.timeout(ask.seconds):
                if tool.entry.effect == "changes":
                    await self._begin(ask, tool)
                result = _given(ask, tool, await work())
        except TimeoutError:
            may = " It may have been done all the same." if tool.entry.effect == "changes" else ""
            text = f"{ask.name} gave nothing within {ask.seconds:g} s and was given up.{may}"
            result = _not_done(ask, NotDoneError("timed_out", text))
        except NotDoneError as error:
            result = _not_done(ask, error)
        except KaraisError as error:
            outcome: Outcome = "failed"
            if isinstance(error, Unavailable | TimedOut):
                outcome = "timed_out" if tool.entry.effect == "changes" else "unavailable"
            result = _not_done(ask, NotDoneError(outcome, str(error)))
        except Exception:
            log.exception("the tool %s failed", ask.name)
            result = _not_done(ask, NotDoneError("failed", f"{ask.name} failed; the log of tools says why."))
        finally:
            self._running[source] -= 1
        return await self._ended(ask, tool, result, time.monotonic() - begun)

    async def _begin(self, ask: CallTool, tool: Tool) -> None:
        """Log that something is about to be changed; raises NotDoneError when it was begun before.

        The log refuses a second entry, so a call is done once even if this
        agent died of it, and never without an entry.
        """
        try:
            await self.bus.record(_entry(ask, tool, "begun"), expect=0)
        except KaraisError as error:
            if error.code is Code.CONFLICT:
                text = f"The call {ask.call} was begun before, and what came of it is not known."
                raise NotDoneError("repeated", text) from None
            text = f"{ask.name} was not called, for that could not be logged: {error}"
            raise NotDoneError("unavailable", text) from None

    async def _ended(
        self, ask: CallTool, tool: Tool | None, result: ToolResult, seconds: float = 0.0
    ) -> ToolResult:
        """Log how a call ended, and return its result."""
        entry = _entry(ask, tool, result.outcome, seconds=seconds, characters=len(result.text))
        try:
            await self.bus.record(entry)
        except KaraisError as error:
            log.error(
                "the call %s of %s (%s) is not logged: %s", ask.call, ask.name[:64], result.outcome, error
            )
        return ToolResult(
            call=result.call,
            name=result.name,
            outcome=result.outcome,
            text=result.text,
            field=result.field,
            truncated=result.truncated,
            untrusted=result.untrusted,
            seconds=seconds,
            passages=result.passages,
        )

    def _tell(self, problem: str) -> None:
        """Take what is wrong with the servers, in a sentence; an empty text for nothing."""
        self._problem = problem
        self._show()

    def _show(self) -> None:
        """Show in the heartbeat what is wrong. Before it answers, an agent is neither well nor ill."""
        if self.condition.state in ("ready", "degraded"):
            self.condition.state = "degraded" if self._problem else "ready"
            self.condition.detail = self._problem


def _entry(
    ask: CallTool, tool: Tool | None, outcome: Outcome, *, seconds: float = 0.0, characters: int = 0
) -> ToolCalled:
    return ToolCalled(
        user=ask.user,
        project=ask.project,
        call=ask.call,
        name=ask.name[:64],
        source=tool.entry.source if tool else "",
        effect=tool.entry.effect if tool else "",
        outcome=outcome,
        approved=ask.approved,
        arguments=hashlib.sha256(ask.arguments.encode()).hexdigest()[:32],
        answer=ask.answer,
        conversation=ask.conversation,
        seconds=round(seconds, 6),
        characters=characters,
        at=time.time(),
    )


def _given(ask: CallTool, tool: Tool, given: Given) -> ToolResult:
    text = given.text
    cut = len(text) > MAX_RESULT_CHARS
    if cut:
        note = f"\n[cut: {len(text) - MAX_RESULT_CHARS:,} more characters]"
        text = text[:MAX_RESULT_CHARS] + note
    return ToolResult(
        call=ask.call,
        name=ask.name,
        outcome="failed" if given.failed else "done",
        text=text,
        truncated=cut or given.truncated,
        untrusted=tool.entry.untrusted or tool.entry.effect == "reads",
        passages=given.passages,
    )


def _not_done(ask: CallTool, error: NotDoneError) -> ToolResult:
    return ToolResult(
        call=ask.call,
        name=ask.name[:64],
        outcome=error.outcome,
        text=str(error),
        field=error.field,
        untrusted=error.untrusted,
    )
