"""Summaries of long conversations, and prompts read ahead: both while nobody waits.

A summary is one more entry of the log and stands for the turns that it names;
they stay where they are. The next prompt is read ahead when what the engine
has in its cache is not how the next one begins: behind an answer over
passages, which stand over their own question alone, and behind a summary.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from agents.brain.context import summary
from agents.brain.context.assembly import Assembler, Prompt
from agents.brain.context.history import SEAM, Exchange, Story, exchanges
from agents.brain.engine import Engine, Place
from bus.connection import Bus
from schemas.chat import Compacted, Sampling, Turn
from schemas.errors import KaraisError, Refused
from schemas.failure import Code

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Project and conversation."""
FULL, KEPT = 0.8, 0.4
"""Shares of the history's share: from the first on a conversation is compacted, down to the second."""
READ_TOKENS = 1500
"""Of the newest of the turns that the model reads to write of them."""
WRITE_TOKENS = 160
QUIET_SECONDS = 30.0
"""For how long a quiet engine is waited for; then the summary does without what the model would write."""
LOOK_SECONDS = 0.25


class Compactor:
    """Works behind the answers of one brain."""

    def __init__(self, bus: Bus, engine: Engine, assembler: Assembler) -> None:
        self._bus = bus
        self._engine = engine
        self._assembler = assembler
        self._reading: dict[Key, asyncio.Task[None]] = {}
        self._writing: dict[Key, asyncio.Task[None]] = {}
        self._one = asyncio.Lock()

    def ended(
        self, turn: Turn, turns: Sequence[Turn], story: Story, prompt: Prompt, *, temporary: bool
    ) -> None:
        """An exchange ended with ``turn``: do what it leaves to do."""
        key = (turn.project, turn.conversation)

        async def work() -> None:
            compacted = await self._compact(turn, turns, story, temporary=temporary)
            if compacted or prompt.passages:
                self._begin(self._reading, key, self._read_ahead(turns, story, prompt.instructions))

        if key not in self._writing:
            self._begin(self._writing, key, work())

    def asked(self, key: Key) -> None:
        """The next question is there: what is read ahead of it comes too late."""
        if task := self._reading.get(key):
            task.cancel()

    async def close(self) -> None:
        """End what runs; an unwritten summary is written behind a later answer."""
        tasks = [*self._reading.values(), *self._writing.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    def _begin(self, tasks: dict[Key, asyncio.Task[None]], key: Key, work: Coroutine[Any, Any, None]) -> None:
        async def safe() -> None:
            try:
                await work
            except KaraisError as error:
                log.info("nothing is prepared for the next question: %s", error)
            except Exception:
                log.exception("preparing the next question failed")

        tasks[key] = task = asyncio.create_task(safe())

        def done(_: object) -> None:
            if tasks.get(key) is task:
                del tasks[key]

        task.add_done_callback(done)

    async def _compact(self, turn: Turn, turns: Sequence[Turn], story: Story, *, temporary: bool) -> bool:
        """Write a summary if the conversation is long enough for one; returns whether it did."""
        said = exchanges(turns, story.summary)
        costs = await self._assembler.costs(said)
        share = self._assembler.share("history")
        left = sum(costs)
        if left <= FULL * share:
            return False
        old = 0
        while old < len(said) and left > KEPT * share:
            left -= costs[old]
            old += 1
        before = story.summary
        async with self._one:
            written = await self._written(said[:old], turn.user)
            lines = [summary.line_of(line) for line in before.text.splitlines()] if before else []
            lines += summary.lines_of(said[:old]) + written
            of_lines = await self._assembler.tokens.of([line.text for line in lines])
            # Most of its share: lines are never cut off again for want of a token.
            limit = int(0.95 * self._assembler.share("summary"))
            kept = summary.chosen(lines, [cost + 2 * SEAM for cost in of_lines], limit)
        compacted = Compacted(
            user=turn.user,
            project=turn.project,
            conversation=turn.conversation,
            text="\n".join(kept),
            turns=tuple(exchange.answer for exchange in said[:old]),
            after=before.turns[-1] if before else "",
            at=time.time(),
            model=self._engine.description.model if any(line.text in kept for line in written) else "",
        )
        if story.dropped or story.summary is not before:
            return False
        if not temporary:
            try:
                recorded = await self._bus.record(
                    compacted, id=f"{compacted.turns[-1]}.compacted", expect=story.sequence
                )
            except Refused as error:
                # Another brain was first, or a summary was forgotten: the next question reads it anew.
                story.dropped = story.dropped or error.code is Code.CONFLICT
                raise
            story.sequence = recorded.sequence
        story.summary = compacted
        log.info("%d exchanges are compacted into %d lines", old, len(kept))
        return True

    async def _written(self, said: Sequence[Exchange], user: str) -> list[summary.Line]:
        """Return what the model writes of exchanges; nothing when it has no time."""
        read: list[Exchange] = []
        left = min(READ_TOKENS, self._assembler.context // 2)
        for exchange, cost in zip(reversed(said), reversed(await self._assembler.costs(said)), strict=True):
            left -= cost
            if left < 0:
                break
            read.insert(0, exchange)
        if not any(exchange.reply for exchange in read) or not await self._quiet(QUIET_SECONDS):
            return []
        text = ""
        sampling = Sampling(max_tokens=WRITE_TOKENS, temperature=0)
        place = Place(user, background=True)
        try:
            async with aclosing(self._engine.generate(summary.asking(read), sampling, place=place)) as pieces:
                async for piece in pieces:
                    text += piece.text
                    if self._engine.running > 1 or self._engine.waiting:
                        break  # somebody waits: what there is has to do
        except KaraisError as error:
            log.info("a summary does without what the model would write: %s", error)
        return summary.checked(text, read)

    async def _read_ahead(self, turns: Sequence[Turn], story: Story, instructions: str) -> None:
        """Have the engine read how the next prompt begins, if it has nothing else to do."""
        if not await self._quiet(0):
            return
        next_one = await self._assembler.build("?", turns, story, instructions=instructions, max_tokens=1)
        pieces = self._engine.generate(
            next_one.messages, Sampling(max_tokens=1), place=Place(turns[-1].user, background=True)
        )
        async with aclosing(pieces):
            async for _ in pieces:
                pass

    async def _quiet(self, seconds: float) -> bool:
        """Return when the engine has nothing to do, at the latest after ``seconds``; whether it has not."""
        until = time.monotonic() + seconds
        while self._engine.running or self._engine.waiting:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True
