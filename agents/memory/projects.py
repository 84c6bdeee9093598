"""Memory's part that keeps projects: their names, instructions and folders."""

from __future__ import annotations

import asyncio
import time
from pathlib import PurePosixPath

import msgspec

from agents.memory.knowledge import KnowledgeKeeper
from bus.agent import answers
from bus.settings import Settings
from schemas.base import GLOBAL, HOME
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.projects import (
    ChangeProject,
    ListProjects,
    Project,
    ProjectChanged,
    ProjectFound,
    Projects,
    ReadProject,
)


class ProjectKeeper(KnowledgeKeeper):
    """Makes and changes projects."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._changing = asyncio.Lock()

    @answers(ListProjects)
    async def list_projects(self, ask: ListProjects) -> Projects:
        """Return all projects."""
        return Projects(projects=await asyncio.to_thread(self.projects.all))

    @answers(ReadProject)
    async def read_project(self, ask: ReadProject) -> ProjectFound:
        """Return one project."""
        return ProjectFound(project=await self.known_project(ask.project))

    @answers(ChangeProject)
    async def change_project(self, ask: ChangeProject) -> ProjectFound:
        """Make a project, or change what is given of it."""
        async with self._changing:
            now = await self._changed(ask)
            await self.record_knowledge(ProjectChanged(user=ask.user, project=ask.project, now=now))
        return ProjectFound(project=now)

    async def known_project(self, project: str) -> Project:
        """Return a project; raises KaraisError with ``not_found`` when there is none of this name."""
        found = await asyncio.to_thread(self.projects.get, project)
        if found is None:
            raise KaraisError(
                f"There is no project {project}: `karais project list` shows those there are.",
                code=Code.NOT_FOUND,
                field="$.project",
            )
        return found

    async def _changed(self, ask: ChangeProject) -> Project:
        old = await asyncio.to_thread(self.projects.get, ask.project)
        if ask.create and old is not None:
            raise KaraisError(
                f"There is a project {ask.project} already.", code=Code.CONFLICT, field="$.project"
            )
        if not ask.create and old is None:
            old = await self.known_project(ask.project)
        if old is None:
            old = Project(project=ask.project, name=ask.name or ask.project, created=time.time())
        given = {
            name: value
            for name in ("name", "instructions", "folder", "uses_global", "adapter")
            if (value := getattr(ask, name)) is not None
        }
        if "folder" in given:
            given["folder"] = await self._free_folder(ask.project, given["folder"])
        return msgspec.structs.replace(old, **given, updated=time.time())

    async def _free_folder(self, project: str, folder: str) -> str:
        """Return the folder as paths have it; raises KaraisError when it cannot be this project's."""
        plain = folder.strip().strip("/")
        parts = PurePosixPath(plain).parts
        if not parts:
            return ""
        if project == HOME:
            raise KaraisError(
                "Home has no folder of its own: it holds every file that is in no other project's.",
                code=Code.INVALID,
                field="$.folder",
            )
        if ".." in parts or "\\" in plain or "\x00" in plain:
            raise KaraisError(
                f"{folder!r} is no folder in the storage: name it from there, such as boat/papers.",
                code=Code.INVALID,
                field="$.folder",
            )
        plain = "/".join(parts)
        for other in await asyncio.to_thread(self.projects.all):
            if other.project != project and other.folder == plain:
                raise KaraisError(
                    f"The folder {plain} is the project {other.project}'s: choose another.",
                    code=Code.CONFLICT,
                    field="$.folder",
                )
        return plain


RESERVED = (HOME, GLOBAL)
"""Projects that cannot be removed."""
