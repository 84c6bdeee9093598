"""The projects, as a projection of the log MEMORY in SQLite.

As with conversations, the log is the truth and the file can be built again.
"""

from __future__ import annotations

import msgspec

from schemas.base import GLOBAL, HOME
from schemas.projects import Project, ProjectChanged, ProjectRemoved
from stores.projection import Projection

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE projects (project TEXT PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID;
"""

ALWAYS = {
    HOME: Project(project=HOME, name="Home"),
    GLOBAL: Project(project=GLOBAL, name="Global"),
}
"""Projects that there are without being made; changing one puts it into the log."""


class ProjectBook(Projection):
    """The projection. Its methods block for milliseconds and may be called from any thread."""

    schema = _SCHEMA
    version = 1

    def apply(self, entry: ProjectChanged | ProjectRemoved, sequence: int) -> None:
        """Take in the log's entry at ``sequence``; one that was taken in before changes nothing."""
        with self._applying(sequence) as is_new:
            if not is_new:
                return
            if isinstance(entry, ProjectChanged):
                self._database.execute(
                    "INSERT OR REPLACE INTO projects VALUES (?, ?)",
                    (entry.project, msgspec.json.encode(entry.now)),
                )
            else:
                self._database.execute("DELETE FROM projects WHERE project = ?", (entry.project,))

    def all(self) -> tuple[Project, ...]:
        """Return every project: ``home``, then the others by name, ``global`` last."""
        with self._lock:
            rows = self._database.execute("SELECT entry FROM projects").fetchall()
        found = dict(ALWAYS) | {one.project: one for one in map(_project, rows)}
        order = {HOME: 0, GLOBAL: 2}
        return tuple(sorted(found.values(), key=lambda p: (order.get(p.project, 1), p.name.casefold())))

    def get(self, project: str) -> Project | None:
        """Return a project, or None when there is none of this name."""
        with self._lock:
            row = self._database.execute(
                "SELECT entry FROM projects WHERE project = ?", (project,)
            ).fetchone()
        return _project(row) if row else ALWAYS.get(project)


def _project(row: tuple[bytes]) -> Project:
    return msgspec.json.decode(row[0], type=Project)
