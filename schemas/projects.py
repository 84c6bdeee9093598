"""Projects: each has its own instructions, documents, conversations and memories.

Two names are reserved. ``home`` is what belongs to no other project.
``global`` holds documents and facts that other projects may use, where they
say so (``Project.uses_global``): nothing else crosses from one to another.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.base import OWNER, Acting, AdapterName, Message, Token

MAX_INSTRUCTIONS_CHARS = 4_000

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Instructions = Annotated[str, Meta(max_length=MAX_INSTRUCTIONS_CHARS)]
Folder = Annotated[str, Meta(max_length=1000)]


class Project(Struct, frozen=True, kw_only=True):
    """A project as it stands now."""

    project: Token
    """Its identity, chosen when it is made; a token, such as ``boat``."""
    name: Name
    """What people call it."""
    instructions: Instructions = ""
    """What the assistant shall keep to in every answer of this project."""
    folder: Folder = ""
    """Folder of the storage whose files belong to it, relative, with ``/``; empty for none.

    A file belongs to the project with the longest folder that holds it, else to ``home``.
    """
    uses_global: bool = False
    """Answers may rest on documents and facts of the project ``global`` as well."""
    adapter: AdapterName = ""
    """Adapter over the model's weights with which its questions are answered; empty for none."""
    created: float = 0.0
    """Seconds since the epoch, UTC."""
    updated: float = 0.0


class ProjectChanged(Acting, frozen=True, kw_only=True):
    """Log: the project is now as it stands here. ``project`` names it."""

    now: Project


class ProjectRemoved(Acting, frozen=True, kw_only=True):
    """Log: the project, its conversations and its memories are gone; its files stay in the storage."""

    at: float


class ListProjects(Message, frozen=True, kw_only=True):
    """Ask memory for all projects, ``home`` first, the others by name."""

    user: Token = OWNER


class Projects(Message, frozen=True, kw_only=True):
    """Reply to ListProjects."""

    projects: tuple[Project, ...]


class ReadProject(Acting, frozen=True, kw_only=True):
    """Ask memory for one project; refused with ``not_found`` when there is none of this name."""


class ProjectFound(Message, frozen=True, kw_only=True):
    """Reply to ReadProject and ChangeProject."""

    project: Project


class ChangeProject(Acting, frozen=True, kw_only=True):
    """Make a project, or change what is given of it."""

    create: bool = False
    """Make it: refused with ``conflict`` when there is one of this name."""
    name: Name | None = None
    instructions: Instructions | None = None
    folder: Folder | None = None
    uses_global: bool | None = None
    adapter: AdapterName | None = None


class RemoveProject(Acting, frozen=True, kw_only=True):
    """Forget a project with its conversations and memories. Replied with Forgotten."""

    dry_run: bool = False
    """Only say what would go."""
