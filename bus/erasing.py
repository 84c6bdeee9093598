"""Removing messages from streams for good: what stood on the disk is overwritten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats.errors
import nats.js.errors

from bus.connection import Bus
from bus.reading import Stored, stored_entries
from schemas.errors import TimedOut, Unavailable

AT_A_TIME = 32
SEEN_SECONDS = 10.0
NO_SUCH_MESSAGE = (10037, 10057)
"""JetStream's codes for: no message found, message deletion failed (which says why)."""


async def erase(bus: Bus, stream: str, sequences: Sequence[int]) -> None:
    """Overwrite these messages of a stream on disk; on return they are gone, also if they were before.

    Raises Unavailable when the bus cannot do it now.
    """
    for start in range(0, len(sequences), AT_A_TIME):
        await asyncio.gather(*(_erase(bus, stream, one) for one in sequences[start : start + AT_A_TIME]))


async def purge(bus: Bus, stream: str, subject: str) -> None:
    """Remove all of a subject from a stream in memory."""
    try:
        await bus.jetstream.purge_stream(stream, subject=subject)
    except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
        raise Unavailable(f"The stream {stream} could not be emptied: {error}.") from None


async def all_entries(bus: Bus, stream: str, subject: str) -> list[Stored]:
    """Return every message of a subject (wildcards allowed), as the stream's leader knows them.

    A direct read may be answered by a replica that is behind, so it is
    repeated until it has what the leader counts. Raises TimedOut.
    """
    for _ in range(int(SEEN_SECONDS / 0.1)):
        try:
            info = await bus.jetstream.stream_info(stream, subjects_filter=subject)
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise Unavailable(f"The stream {stream} cannot be looked at: {error}.") from None
        counted = sum((info.state.subjects or {}).values())
        found = await stored_entries(bus, stream, subject) if counted else []
        if len(found) >= counted:
            return found
        await asyncio.sleep(0.1)
    raise TimedOut(f"The stream {stream} did not show all of {subject} within {SEEN_SECONDS:g} s.")


async def _erase(bus: Bus, stream: str, sequence: int) -> None:
    try:
        await bus.jetstream.delete_msg(stream, sequence)  # without ``no_erase`` the server overwrites
    except nats.js.errors.NotFoundError:
        return
    except nats.js.errors.APIError as error:
        if error.err_code in NO_SUCH_MESSAGE and "no message" in (error.description or ""):
            return
        raise Unavailable(f"{stream} could not erase message {sequence}: {error.description}.") from None
    except (nats.errors.Error, OSError) as error:
        raise Unavailable(f"The bus cannot erase now: {error}.") from None
