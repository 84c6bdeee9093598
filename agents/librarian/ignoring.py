"""What is left out of the storage: hidden and generated things, and what ``.karaisignore`` says.

``.karaisignore`` has gitignore's syntax and may stand in any folder; one that
lies deeper goes before one above, and any of them before the defaults, so that
``!package-lock.json`` or ``!.notes/`` takes in what is left out by default. As
with git, nothing below a folder that is left out can be taken in again.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from agents.common.beneath import open_beneath
from schemas.errors import KaraisError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

log = logging.getLogger(__name__)

NAME = ".karaisignore"
MAX_BYTES = 256 * 1024
MAX_STARS = 6
"""In one pattern: matching takes time that grows by a power of their number."""

_GENERATED = """
node_modules __pycache__ site-packages lost+found $RECYCLE.BIN Thumbs.db desktop.ini ehthumbs.db
package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock poetry.lock uv.lock pdm.lock
Pipfile.lock Cargo.lock Gemfile.lock composer.lock flake.lock go.sum Podfile.lock mix.lock
"""
_NAMES = frozenset(_GENERATED.split()) | {"System Volume Information"}
_BEGINNINGS = (".", "~$", ".~lock.")
_ENDINGS = ("~", ".swp", ".swo", ".part", ".crdownload", ".partial", ".pyc")


def left_out_by_default(name: str) -> bool:
    """Return whether a file or folder of this name is left out where no ``.karaisignore`` speaks of it."""
    return name.startswith(_BEGINNINGS) or name in _NAMES or name.endswith(_ENDINGS)


class Ignoring:
    """The rules that hold in one folder: its own and those of the folders above."""

    def __init__(self, folder: str = "", above: tuple[tuple[str, GitIgnoreSpec], ...] = ()) -> None:
        self._folder = folder
        self._specs = above
        """(Folder, rules), the deepest first."""

    def inside(self, root: str, folder: str) -> Ignoring:
        """Return the rules in ``folder``, which lies in this one or is it; ``root`` is the storage."""
        spec = _read(root, folder)
        return Ignoring(folder, ((folder, spec), *self._specs) if spec is not None else self._specs)

    def leaves_out(self, path: str, *, folder: bool) -> bool:
        """Return whether a file or folder directly in this one is left out."""
        shown = f"{path}/" if folder else path
        for above, spec in self._specs:
            said = spec.check_file(shown[len(above) + 1 :] if above else shown).include
            if said is not None:
                return said
        return left_out_by_default(path.rsplit("/", 1)[-1])


def _read(root: str, folder: str) -> GitIgnoreSpec | None:
    """Return what a folder's own ``.karaisignore`` says; None without one."""
    path = f"{folder}/{NAME}" if folder else NAME
    try:
        descriptor = open_beneath(root, path)
    except KaraisError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        lines = file.read(MAX_BYTES).decode("utf-8", "replace").splitlines()
    from pathspec import GitIgnoreSpec

    kept = []
    for line in lines:
        if line.count("*") > MAX_STARS:
            log.warning("%s: the pattern %.60r has too many stars and is left out", path, line)
            continue
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError as error:
            log.warning("%s: %s", path, error)
        else:
            kept.append(line)
    return GitIgnoreSpec.from_lines(kept)
