"""The projects, as a projection of the log MEMORY in SQLite.

As with conversations, the log is the truth and the file can be built again.
"""

from __future__ import annotations

import msgspec

from schemas.base import GLOBAL, HOME
from schemas.projects import Project, ProjectChanged, ProjectRemoved
from stores.projection import Projection
from stores.rebuildable import transaction

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE projects (project TEXT PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE to_erase (
    project TEXT PRIMARY KEY, sequence INTEGER NOT NULL, entry BLOB NOT NULL
) WITHOUT ROWID;
"""

ALWAYS = {
    HOME: Project(project=HOME, name="Home"),
    GLOBAL: Project(project=GLOBAL, name="Global"),
}
"""Projects that there are without being made; changing one puts it into the log."""


class ProjectBook(Projection):
    """The projection. Its methods block for milliseconds and may be called from any thread."""

    schema = _SCHEMA
    version = 2

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
                # One of a name is made anew only after the one before is gone entirely.
                self._database.execute("DELETE FROM to_erase WHERE project = ?", (entry.project,))
            else:
                self._database.execute("DELETE FROM projects WHERE project = ?", (entry.project,))
                self._database.execute(
                    "INSERT OR REPLACE INTO to_erase VALUES (?, ?, ?)",
                    (entry.project, sequence, msgspec.json.encode(entry)),
                )
        if is_new and isinstance(entry, ProjectRemoved):
            self.scrub()

    def to_erase(self) -> tuple[tuple[int, ProjectRemoved], ...]:
        """Return the removals whose project is not erased everywhere yet, with their sequences."""
        with self._lock:
            rows = self._database.execute("SELECT sequence, entry FROM to_erase ORDER BY sequence").fetchall()
        return tuple((sequence, msgspec.json.decode(entry, type=ProjectRemoved)) for sequence, entry in rows)

    def erased(self, project: str) -> None:
        """Take note that nothing of a removed project is left anywhere."""
        with self._lock, transaction(self._database):
            self._database.execute("DELETE FROM to_erase WHERE project = ?", (project,))

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
