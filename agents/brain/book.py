"""The answers that run in a brain and those that ended last: who is told of them, and who may stop them."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

from agents.brain.answer import AnyAnswer
from bus.connection import Bus
from schemas.chat import Answering
from schemas.completion import Complete
from schemas.errors import KaraisError

log = logging.getLogger(__name__)

ENDED_KEPT = 64
"""Ended answers that are kept, to publish them again if the bus loses them, and to know a repetition."""
STOPS_KEPT = 1024
"""Orders to stop that are remembered, for an answer that is asked for after its Cancel came."""


class AnswerBook:
    """What runs, by the answer's identity, and what ended last."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.running: dict[str, AnyAnswer] = {}
        self.ended: OrderedDict[str, AnyAnswer] = OrderedDict()
        self._stopped: OrderedDict[str, None] = OrderedDict()
        self._repeating: set[asyncio.Future[None]] = set()

    def known(self, name: str) -> AnyAnswer | None:
        """Return an answer that runs or ended not long ago."""
        return self.running.get(name) or self.ended.get(name)

    def add(self, answer: AnyAnswer) -> None:
        """Take in an answer that begins; one whose Cancel was faster is cancelled already."""
        name = answer.ask.answer
        self.running[name] = answer
        answer.cancelled = name in self._stopped

    def drop(self, answer: AnyAnswer) -> None:
        """Forget an answer that was not begun after all."""
        self.running.pop(answer.ask.answer, None)

    def close(self, answer: AnyAnswer) -> None:
        """Keep an ended answer's events for a while."""
        self.drop(answer)
        self.ended[answer.ask.answer] = answer
        while len(self.ended) > ENDED_KEPT:
            self.ended.popitem(last=False)

    def stop(self, name: str) -> None:
        """Stop an answer that runs here, or that will be asked for."""
        if name in self.running:
            self.running[name].stop(cancelled=True)
            return
        self._stopped[name] = None
        while len(self._stopped) > STOPS_KEPT:
            self._stopped.popitem(last=False)

    async def stop_all(self) -> None:
        """End what runs, as the brain has to leave; wait until it is told, for some seconds."""
        for answer in list(self.running.values()):
            answer.stop(cancelled=False)
        if tasks := [answer.task for answer in self.running.values() if answer.task]:
            await asyncio.wait(tasks, timeout=5)

    async def tell(self) -> None:
        """Have what works in the background leave the machine to the answers, or take it again."""
        urgent = sum(
            not (isinstance(answer.ask, Complete) and answer.ask.background)
            for answer in self.running.values()
        )
        try:
            await self._bus.publish(Answering(worker=self._bus.instance, running=urgent))
        except KaraisError as error:
            log.info("nobody was told of %d running answers: %s", urgent, error)

    async def tell_if_quiet(self) -> None:
        """Tell that the last answer ended, if it did."""
        if not self.running:
            await self.tell()

    def repeat_all(self) -> None:
        """Publish again what a restarted bus has lost."""
        for answer in [*self.running.values(), *self.ended.values()]:
            if answer.events:
                task = asyncio.ensure_future(answer.repeat())
                self._repeating.add(task)
                task.add_done_callback(self._repeating.discard)
