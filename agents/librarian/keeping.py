"""Keeping up with the storage: looking through all of it now and then, and at what changes at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from agents.common.parsing import Parser
from agents.librarian.catalogue import Catalogue
from agents.librarian.ignoring import NAME as IGNORE_FILE
from agents.librarian.watch import Watcher
from schemas.errors import KaraisError

log = logging.getLogger(__name__)

POLL_SECONDS = 60.0
"""Between walks where the system does not tell of changes."""
RECONCILE_SECONDS = 3600.0
"""Between walks where it does: for what it may have missed."""
PROBLEM_SECONDS = 10.0
"""Until the next try, when the storage could not be walked, or what was found not be noted."""
WALK_SHARE = 0.005
"""Share of the time that walking an unchanged storage may take."""
MAX_SCOPES = 500
"""With more changed paths than this, the whole storage is walked."""


class Keeper:
    """Walks the storage at start and when it must, and watches it meanwhile."""

    def __init__(
        self,
        folder: Path,
        home: Path,
        catalogue: Catalogue,
        parser: Parser,
        looked: Callable[[], Awaitable[None]],
    ) -> None:
        """``looked`` is awaited after each look at the storage, or at a part of it."""
        self._folder = folder
        self._home = home
        self._catalogue = catalogue
        self._parser = parser
        self._looked = looked
        self._asked = asyncio.Event()
        self._ended = asyncio.Event()
        self._begun_count = self._ended_count = 0
        self.scanning = False
        """The whole storage is being walked."""
        self.problem = ""
        """Why it could not be, in one sentence; else empty."""
        self.polling = ""
        """Why the system does not tell of changes; empty where it does."""

    async def rescan(self, seconds: float) -> None:
        """Have the whole storage walked now, and wait for its end so long at most."""
        # A walk that is under way may have passed what has changed since.
        wanted = self._begun_count + 1
        self._asked.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._ended_count < wanted:
                    self._ended.clear()
                    await self._ended.wait()

    async def run(self) -> None:
        """Keep up for ever."""
        watcher = Watcher(self._folder)
        try:
            while True:
                self._asked.clear()
                watcher.take()
                self._begun_count += 1
                begun = time.monotonic()
                self.scanning = True
                await self._look(watcher, ("",))
                self.scanning = False
                self._ended_count += 1
                self._ended.set()
                await self._looked()
                usual = POLL_SECONDS if self.polling else RECONCILE_SECONDS
                usual = PROBLEM_SECONDS if self.problem else usual
                await self._follow(watcher, begun + max(usual, (time.monotonic() - begun) / WALK_SHARE))
        finally:
            await watcher.close()

    async def _follow(self, watcher: Watcher, until: float) -> None:
        """Look at what changes, until it is time for a walk or somebody asks for one."""
        asked = asyncio.create_task(self._asked.wait())
        try:
            while (left := until - time.monotonic()) > 0:
                changed = asyncio.create_task(watcher.changed.wait())
                try:
                    await asyncio.wait((asked, changed), timeout=left, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if asked.done():
                    return
                paths = watcher.take()
                # What a watched folder's own name is told of may be another folder by now.
                watcher.drop(paths & watcher.folders)
                scopes = self._scopes(paths)
                if "" in scopes:
                    return
                if scopes:
                    await self._look(watcher, scopes)
                    await self._looked()
                    if self.problem:  # what was told of this time is not told of again
                        until = min(until, time.monotonic() + PROBLEM_SECONDS)
        finally:
            asked.cancel()

    async def _look(self, watcher: Watcher, scopes: Collection[str]) -> None:
        """Walk below these paths; folders that are new are watched, then walked again."""
        try:
            await self._catalogue.check()
            walk = await self._catalogue.walk(self._folder, self._parser, scopes)
            found = set(walk.folders)
            kept = {folder for folder in watcher.folders if not within(folder, scopes)}
            fresh = found - watcher.folders
            if fresh or "" in scopes:
                # A folder of the same name may be another one by now, as after mounting a disk.
                self.polling = await watcher.watch(kept | found)
                if fresh and not self.polling:
                    # What came between walking and watching.
                    await self._catalogue.walk(self._folder, self._parser, scopes)
            self.problem = ""
        except KaraisError as error:
            self.problem = str(error)
            log.warning("%s", error)
            await self._cannot_watch(watcher)
        except Exception:
            log.exception("walking %s failed", self._folder)
            self.problem = f"Walking {self._folder} failed unexpectedly; the librarian's log says why."
            await self._cannot_watch(watcher)

    async def _cannot_watch(self, watcher: Watcher) -> None:
        await watcher.close()
        self.polling = self.problem

    def _scopes(self, paths: Collection[str]) -> set[str]:
        """Return the outermost of the changed paths that are not left out; "" is the whole storage."""
        scopes = set()
        home = self._home.resolve()
        for path in paths:
            *folders, name = path.split("/")
            if not path or path.startswith("../"):
                return {""}
            if name == IGNORE_FILE:
                scopes.add("/".join(folders))
            elif not (self._folder / path).is_relative_to(home):
                scopes.add(path)
        if len(scopes) > MAX_SCOPES:
            return {""}
        return {scope for scope in scopes if not within(scope, scopes - {scope})}


def within(path: str, scopes: Collection[str]) -> bool:
    """Return whether a path is one of these or lies below one."""
    if "" in scopes or path in scopes:
        return True
    parts = path.split("/")
    return any("/".join(parts[:count]) in scopes for count in range(1, len(parts)))
