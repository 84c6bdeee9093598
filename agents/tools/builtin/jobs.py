"""What runs in the background, and starting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from agents.tools.builtin.making import make
from agents.tools.tool import Given, Tool
from schemas.documents import GetStorageStatus, Rescan, StorageStatus
from schemas.tools import CallTool

if TYPE_CHECKING:
    from bus.connection import Bus

SECONDS = 10.0


class Jobs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``jobs``: none."""


class StartJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``start_job``."""

    job: Annotated[Literal["rescan"], Meta(description="rescan: look for changed files in the storage now.")]


def jobs(bus: Bus) -> Tool:
    """Return the tool that lists what runs in the background."""

    async def run(ask: CallTool, given: Jobs) -> Given:
        status: StorageStatus = await bus.call(
            GetStorageStatus(user=ask.user, project=ask.project), timeout=SECONDS
        )
        return Given(_described(status))

    return make(
        "jobs", "See what runs in the background: how far reading the user's files came.", "none", Jobs, run
    )


def start_job(bus: Bus) -> Tool:
    """Return the tool that starts a job."""

    async def run(ask: CallTool, given: StartJob) -> Given:
        status: StorageStatus = await bus.call(Rescan(user=ask.user, project=ask.project), timeout=SECONDS)
        return Given(f"The storage is looked through now. {_described(status)}")

    return make("start_job", "Start a job in the background.", "changes", StartJob, run)


def _described(status: StorageStatus) -> str:
    """Return how far indexing came, in numbers: names of files are text from outside."""
    if not status.folder:
        return "There is no storage, so nothing is indexed."
    state = "is being looked through" if status.scanning else "is known"
    parts = [
        f"Indexing of the storage, which {state}: {status.files} files, {status.indexed} indexed, "
        f"{status.waiting} waiting, {status.awaiting} waiting for another agent, {status.skipped} skipped; "
        f"{status.passages} passages."
    ]
    if status.waiting and status.seconds_left is not None:
        parts.append(f"About {status.seconds_left:.0f} s are left.")
    if status.problem:
        parts.append(f"Problem: {status.problem}")
    return " ".join(parts)
