"""One agent in the foreground, as the supervisor and systemd start it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from bus.settings import Settings
from ops import exits, light, roster
from schemas.errors import KaraisError

if TYPE_CHECKING:
    from bus.agent import Agent

log = logging.getLogger("karais")


def run_agent(kind: str, settings: Settings) -> int:
    """Run an agent until SIGTERM; return the exit code. The last line of the log says why it ended."""
    logging.basicConfig(
        level=os.environ.get("KARAIS_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        light.import_nats(settings.nats)
        _loop(_serve(roster.load(kind)(settings), settings))
    except KaraisError as error:
        return _end(error)
    except OSError as error:
        log.exception("%s ended", kind)
        return _end(exits.explained(error))
    except Exception as error:
        log.exception("%s failed", kind)
        print(f"karais: {kind} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return exits.DEFECT
    return exits.OK


async def _serve(agent: Agent, settings: Settings) -> None:
    from bus.runtime import serve
    from ops.revival import reviving

    async with reviving(settings):
        await serve(agent)


def _loop(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(work)


def _end(error: KaraisError) -> int:
    print(f"karais: {error}", file=sys.stderr, flush=True)  # noqa: T201
    return exits.exit_code(error)
