"""Which project a file of the storage belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.base import HOME


def project_of(path: str, folders: Mapping[str, str]) -> str:
    """Return the project of a file: the one with the longest folder that holds it, else ``home``.

    ``path`` and the folders are relative to the storage, with ``/``;
    ``folders`` gives each project its folder, an empty one for none. Of two
    projects with the same folder, the first by name has it.
    """
    best, longest = HOME, -1
    for project in sorted(folders):
        folder = folders[project].strip("/")
        if folder and (path == folder or path.startswith(f"{folder}/")) and len(folder) > longest:
            best, longest = project, len(folder)
    return best
