"""Ends the answers of brains that died, so that no question stays open for ever."""

from __future__ import annotations

import logging
import time

import msgspec
import nats.errors

from bus.connection import Bus
from bus.reading import ANSWER_STREAM, stored
from bus.subjects import subject_of
from schemas.chat import Delta, Failed, OpenAnswers, Turn, Unanswered
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

log = logging.getLogger(__name__)

MESSAGE = "The brain died while it answered; ask again."
ANOTHER_LOOK_SECONDS = 1.5
"""A worker must be missing for so long: while the bus restarts, everyone is."""


class Watch:
    """Looks for open questions whose worker is gone."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._missing: dict[str, float] = {}
        """Since when an answer's worker is missing (monotonic seconds)."""

    async def look(self, own: set[str]) -> None:
        """End what is orphaned; ``own`` are the answers under way in this brain."""
        if not self._bus.connected:
            self._missing.clear()
            return
        try:
            unanswered: Unanswered = await self._bus.call(OpenAnswers())
        except Unavailable:
            return  # memory is away; nothing is lost by waiting
        missing: dict[str, float] = {}
        for turn in unanswered.turns:
            if turn.answer in own or (turn.worker != self._bus.instance and await self._lives(turn.worker)):
                continue
            missing[turn.answer] = self._missing.get(turn.answer, time.monotonic())
            if time.monotonic() - missing[turn.answer] >= ANOTHER_LOOK_SECONDS:
                await self._end(turn)
        self._missing = missing

    async def _lives(self, worker: str) -> bool:
        """Tell whether a brain still listens; without one the server says so at once."""
        try:
            await self._bus.client.request(f"$SRV.PING.brain.{worker}", timeout=2)
        except nats.errors.NoRespondersError:
            return False
        except nats.errors.Error:
            return True  # it is there but slow, or the bus is away
        return True

    async def _end(self, question: Turn) -> None:
        """Write and publish the failure, with what the dead brain had published."""
        subject = subject_of(Delta(answer=question.answer, index=0, text=""))
        events = await stored(self._bus, ANSWER_STREAM, subject)
        decoder = msgspec.json.Decoder(dict)
        parts: dict[int, str] = {}
        last = -1
        for event in map(decoder.decode, events):
            last = max(last, event["index"])
            if event["type"] == "delta":
                parts[event["index"]] = event["text"]
        turn = msgspec.structs.replace(
            question,
            role="assistant",
            text="".join(parts[i] for i in sorted(parts)),
            at=time.time(),
            finish_reason="failed",
            code=Code.INTERRUPTED,
            message=MESSAGE,
        )
        recorded = await self._bus.record(turn, id=f"{question.answer}.answer")
        if recorded.duplicate:
            return  # it was ended meanwhile
        log.warning("ended the answer %s of the dead brain %s", question.answer, question.worker)
        try:
            await self._bus.publish(
                Failed(answer=question.answer, index=last + 1, code=Code.INTERRUPTED, message=MESSAGE)
            )
        except KaraisError as error:
            log.warning("could not tell readers: %s", error)
