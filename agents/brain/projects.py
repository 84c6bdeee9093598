"""What the brain knows of projects, so that a question waits for no look-up."""

from __future__ import annotations

import logging

import msgspec

from bus.connection import Bus
from schemas.base import HOME
from schemas.chat import Sampling
from schemas.errors import KaraisError, Refused
from schemas.failure import Code
from schemas.projects import Project, ProjectChanged, ProjectFound, ProjectRemoved, ReadProject

log = logging.getLogger(__name__)

SECONDS = 2.0


class KnownProjects:
    """Projects as memory last said; ``take`` keeps them true."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, Project] = {}

    async def get(self, user: str, project: str) -> Project:
        """Return a project; refused with ``not_found`` when there is none of this name.

        While memory cannot be asked, ``home`` has no instructions and every
        other project is unavailable: its rules must not be left out.
        """
        known = self._known.get(project)
        if known is None:
            try:
                found: ProjectFound = await self._bus.call(
                    ReadProject(user=user, project=project), timeout=SECONDS, patience=SECONDS
                )
            except Refused:
                raise
            except KaraisError as error:
                if project != HOME:
                    raise KaraisError(
                        f"The project {project} cannot be looked up ({error}): ask again in a moment.",
                        code=Code.UNAVAILABLE,
                    ) from None
                log.warning("answering without the instructions of %s: %s", project, error)
                return Project(project=HOME, name=HOME)
            known = self._known[project] = found.project
        return known

    def take(self, entry: ProjectChanged | ProjectRemoved) -> None:
        """Take in that a project changed or went."""
        if isinstance(entry, ProjectChanged):
            self._known[entry.project] = entry.now
        else:
            self._known.pop(entry.project, None)

    def forget(self) -> None:
        """Ask anew for all: changes may have been missed while the bus was away."""
        self._known.clear()


def sampling_in(project: Project, sampling: Sampling) -> Sampling:
    """Return how tokens are chosen in a project: with its adapter, unless the request names one."""
    if sampling.adapter or not project.adapter:
        return sampling
    return msgspec.structs.replace(sampling, adapter=project.adapter)
