"""The tools agent with played partners, over a real bus."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from agents.tools import Tools
from bus.agent import Agent, answers
from bus.connection import Bus
from bus.settings import Settings
from schemas.documents import GetStorageStatus, Passage, Recall, Recalled, Rescan, StorageStatus
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.memory import AddFact, Fact, FactWithHistory
from schemas.projects import Project, ProjectFound, ReadProject
from schemas.tools import CallTool, ListTools, ToolList, ToolResult


class Memory(Agent):
    """Recalls one passage, remembers what it is told; the project ``gone`` is not there."""

    kind = "memory"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.asked: list[Recall] = []
        self.added: list[AddFact] = []
        self.pause = 0.0

    @answers(Recall)
    async def recall(self, ask: Recall) -> Recalled:
        self.asked.append(ask)
        await asyncio.sleep(self.pause)
        passage = Passage(id="f-1", path="notes/boiler.md", text="It leaks.", first_line=3, last_line=4)
        return Recalled(passages=(passage,))

    @answers(AddFact)
    async def add(self, ask: AddFact) -> FactWithHistory:
        self.added.append(ask)
        await asyncio.sleep(self.pause)
        fact = Fact(
            id="f1", text=ask.text, subject="owner", attribute="note", valid_from=1, at=1, project=ask.project
        )
        return FactWithHistory(fact=fact)

    @answers(ReadProject)
    async def project(self, ask: ReadProject) -> ProjectFound:
        if ask.project == "gone":
            raise KaraisError("There is no project gone.", code=Code.NOT_FOUND)
        return ProjectFound(project=Project(project=ask.project, name="x", uses_global=ask.project == "boat"))


class Librarian(Agent):
    """Has read 3 of 5 files."""

    kind = "librarian"
    scans = 0

    @answers(GetStorageStatus)
    async def status(self, ask: GetStorageStatus) -> StorageStatus:
        return StorageStatus(folder="/s", files=5, indexed=3, waiting=2, passages=9, seconds_left=4.0)

    @answers(Rescan)
    async def rescan(self, ask: Rescan) -> StorageStatus:
        self.scans += 1
        return StorageStatus(folder="/s", scanning=True)


class House:
    """A bus with the agent and its partners."""

    def __init__(self, bus: Bus, running: Any, memory: Memory, librarian: Librarian, tools: Tools) -> None:
        self.bus = bus
        self.running = running
        self.memory = memory
        self.librarian = librarian
        self.tools = tools

    async def call(self, name: str, timeout: float = 60.0, /, **fields: Any) -> ToolResult:
        call = {"call": secrets.token_hex(8)} | fields
        arguments = call.pop("arguments", {})
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return await self.bus.call(CallTool(name=name, arguments=text, **call), timeout=timeout)

    async def listed(self) -> ToolList:
        return await self.bus.call(ListTools())

    async def log(self) -> list[dict[str, Any]]:
        info = await self.bus.jetstream.stream_info("EVT")
        entries = []
        for sequence in range(1, info.state.last_seq + 1):
            message = await self.bus.jetstream.get_msg("EVT", sequence)
            entries.append(json.loads(message.data))
        return entries
