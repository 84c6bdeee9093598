"""REST: projects are listed, made, changed and removed."""

from __future__ import annotations

import msgspec
from aiohttp import web

from agents.gateway.codec import decode_body
from agents.gateway.conversations import FORGET_SECONDS
from agents.gateway.openapi import Operation
from agents.gateway.part import API, Part, as_json, given
from schemas.forgetting import Forgotten
from schemas.projects import (
    ChangeProject,
    ListProjects,
    Project,
    ProjectFound,
    Projects,
    ReadProject,
    RemoveProject,
)
from schemas.web import DryRun, NewProject, ProjectChange


class ProjectsPart(Part):
    """Projects."""

    def operations(self) -> list[Operation]:
        """Return the operations about projects."""
        one = f"{API}/projects/{{project}}"
        return [
            Operation("GET", f"{API}/projects", "List projects, home first.", self.projects, Projects),
            Operation(
                "POST", f"{API}/projects", "Make a project.", self.make_project, Project, body=NewProject
            ),
            Operation("GET", one, "Read a project.", self.project, Project),
            Operation("PATCH", one, "Change a project.", self.change_project, Project, body=ProjectChange),
            Operation(
                "DELETE",
                one,
                "Forget a project with its conversations and memories, for good; its files stay.",
                self.remove_project,
                Forgotten,
                query=DryRun,
            ),
        ]

    async def projects(self, request: web.Request) -> web.Response:
        """List all projects."""
        return await self.reply(ListProjects())

    async def project(self, request: web.Request) -> web.Response:
        """Return one project."""
        return await self._one(given(request, ReadProject))

    async def make_project(self, request: web.Request) -> web.Response:
        """Make a project; refused with ``conflict`` when there is one of this identity."""
        new = decode_body(NewProject, await request.read())
        return await self._one(ChangeProject(create=True, **msgspec.structs.asdict(new)))

    async def change_project(self, request: web.Request) -> web.Response:
        """Change what is given of a project."""
        change = decode_body(ProjectChange, await request.read())
        wanted = given(request, ReadProject)
        return await self._one(ChangeProject(project=wanted.project, **msgspec.structs.asdict(change)))

    async def remove_project(self, request: web.Request) -> web.Response:
        """Forget a project; ``dry_run`` only says what would go."""
        return await self.reply(given(request, RemoveProject), timeout=FORGET_SECONDS)

    async def _one(self, wanted: ReadProject | ChangeProject) -> web.Response:
        found: ProjectFound = await self.call(wanted)
        return as_json(found.project)
