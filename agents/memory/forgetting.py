"""Memory's part that forgets: for good, in every log, table, index and projection.

A marker without text goes into the log first. From then on the projections do
not know what was forgotten, and keep a line of what is left to erase; this
part works those lines off, at once or after the next start: passages, then
messages. Only when nothing is left does whoever asked get the reply.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import shutil
import time
from contextlib import AsyncExitStack

from agents.memory.conversations import Entry as ChatEntry
from agents.memory.learning import Learner
from agents.memory.projects import RESERVED, ProjectKeeper
from agents.memory.repeats import Plan, plan_for_fact, plan_for_project, plan_for_turns
from agents.memory.searching import Searcher
from bus import codec
from bus.agent import answers
from bus.erasing import all_entries, erase, purge
from bus.reading import batches
from bus.settings import Settings
from bus.streams import DAY
from bus.subjects import pattern_of
from schemas.base import Message
from schemas.chat import Compacted, Delta, Titled, Turn
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.forgetting import Forget, Forgotten, TurnsForgotten
from schemas.memory import FactEdited, FactForgotten, FactLearned
from schemas.projects import ChangeProject, ProjectChanged, ProjectFound, ProjectRemoved, RemoveProject
from stores.conversations import turn_source

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
SEEN_SECONDS = 30.0
"""How long the projections may take to reach the ends of the logs."""


class Forgetter(ProjectKeeper, Searcher):
    """Forgets for good."""

    erases = ("CHAT", "MEMORY", "ANSWER")
    learner: Learner

    async def open_forgetting(self, resources: AsyncExitStack) -> None:
        """Begin to complete what an earlier process left."""
        self._forgetting = asyncio.Lock()
        self._left = asyncio.Event()
        self._left.set()
        task = asyncio.create_task(self._complete_in_background())
        resources.callback(task.cancel)

    @answers(Forget)
    async def forget(self, ask: Forget) -> Forgotten:
        """Forget a fact, an exchange or a conversation, and what repeats it."""
        if sum(map(bool, (ask.fact, ask.answer, ask.conversation))) != 1:
            raise KaraisError(
                "Name one thing to forget: a fact, an answer or a conversation.", code=Code.INVALID
            )
        async with self._forgetting:
            plan = await asyncio.to_thread(self._plan, ask)
            if ask.dry_run:
                return await self._would_go(plan)
            await self._mark(plan)
            return await self._complete()

    @answers(RemoveProject)
    async def remove_project(self, ask: RemoveProject) -> Forgotten:
        """Forget a project with its conversations and facts."""
        if ask.project in RESERVED:
            raise KaraisError(
                f"The project {ask.project} belongs to KARAIS: forget its conversations and facts instead.",
                code=Code.INVALID,
                field="$.project",
            )
        async with self._forgetting:
            await self.known_project(ask.project)
            if ask.dry_run:
                wanted = (self.conversations, self.facts, ask.project)
                return await self._would_go(await asyncio.to_thread(plan_for_project, *wanted))
            await self.record_knowledge(ProjectRemoved(user=ask.user, project=ask.project, at=time.time()))
            return await self._complete()

    @answers(ChangeProject)
    async def change_project(self, ask: ChangeProject) -> ProjectFound:
        """Make a project, or change what is given of it."""
        if not ask.create:
            return await super().change_project(ask)
        async with self._forgetting:
            await self._complete()  # of one that had this name
            return await super().change_project(ask)

    def conversation_changed(self, entry: ChatEntry) -> None:
        """Have erased what came too late."""
        if not isinstance(entry, Turn) or entry.role == "assistant":
            self._left.set()

    def _plan(self, ask: Forget) -> Plan:
        """Return what goes; raises KaraisError with ``not_found`` when that was never there."""
        place = (ask.project, ask.user)
        if ask.fact:
            facts = self.facts.alike(*place, ask.fact)
            if not facts and not self.facts.is_forgotten(*place, ask.fact):
                raise _unknown(ask.project, f"fact {ask.fact}", "$.fact")
            return plan_for_fact(self.conversations, self.facts, *place, facts)
        named = {"conversation": ask.conversation} if ask.conversation else {"answer": ask.answer}
        turns = self.conversations.holds(*place, **named)
        if not turns and not self.conversations.knew(ask.project, **named):
            ((name, value),) = named.items()
            raise _unknown(ask.project, f"{name} {value}", f"$.{name}")
        return plan_for_turns(self.conversations, self.facts, turns)

    async def _would_go(self, plan: Plan) -> Forgotten:
        passages = await self.remembered.count(plan.sources()) if await self._loaded() else 0
        return self._forgotten(plan.turns(self.conversations), len(plan.facts), passages)

    def _forgotten(self, turns: int, facts: int, passages: int) -> Forgotten:
        days = self.settings.backup_days
        until = time.time() + days * DAY if days else None
        return Forgotten(turns=turns, facts=facts, passages=passages, kept_in_backups_until=until)

    async def _mark(self, plan: Plan) -> None:
        """Write the markers: from here on it is forgotten, whatever happens."""
        now = time.time()
        last = 0
        for (project, conversation, user), names in plan.exchanges.items():
            marker = TurnsForgotten(
                user=user, project=project, conversation=conversation, answers=tuple(sorted(names)), at=now
            )
            last = (await self.bus.record(marker)).sequence
        for project, user, fact in plan.facts:
            replaced = await asyncio.to_thread(self.facts.replaced_by, project, user, fact)
            await self.record_knowledge(
                FactForgotten(user=user, project=project, fact=fact, at=now, replaced=replaced)
            )
        await self._seen("CHAT", last)

    async def _complete_in_background(self) -> None:
        while True:
            await self._left.wait()
            self._left.clear()
            try:
                async with self._forgetting:
                    await self._complete()
            except KaraisError as error:
                log.info("forgetting waits: %s", error)
            except Exception:
                log.exception("forgetting failed; it is tried again")
            else:
                continue
            await asyncio.sleep(RETRY_SECONDS)
            self._left.set()

    async def _complete(self) -> Forgotten:
        """Erase all that is marked; returns what that was."""
        turns = facts = passages = 0
        while True:
            # The learner holds this while it writes: what it wrote of a turn is seen, and nothing
            # of a forgotten one comes after.
            async with self.learner.writing:
                await self._caught_up()
                if await self._mark_what_follows():
                    continue
                exchanges = await asyncio.to_thread(self.conversations.to_erase)
                learned = await asyncio.to_thread(self.facts.to_erase)
                if not exchanges and not learned:
                    break
                sources = [fact.fact for _, fact in learned]
                for _, _, gone in exchanges:
                    place = (gone.project, gone.conversation)
                    sources += [
                        turn_source(*place, answer, role)
                        for answer in gone.answers
                        for role in ("user", "assistant")
                    ]
                passages += await self.learner.forget(sources)
                for _, fact in learned:
                    facts += await self._erase_fact(fact)
                for _, _, gone in exchanges:
                    turns += await self._erase_turns(gone)
            await asyncio.to_thread(self.facts.erased, [number for number, _ in learned])
            await asyncio.to_thread(self.conversations.erased, [number for number, *_ in exchanges])
        removals = await asyncio.to_thread(self.projects.to_erase)
        for sequence, removed in removals:
            changed = await self._entries("MEMORY", pattern_of(ProjectChanged, project=removed.project))
            await erase(self.bus, "MEMORY", [at for at, _ in changed if at < sequence])
            await asyncio.to_thread(self.projects.erased, removed.project)
        if turns or facts or passages or removals:
            for projection in (self.conversations, self.facts, self.projects):
                await asyncio.to_thread(projection.scrub)
            await asyncio.to_thread(_drop_remains, self.settings)
            log.info("forgot %d turns, %d facts and %d passages", turns, facts, passages)
        return self._forgotten(turns, facts, passages)

    async def _mark_what_follows(self) -> bool:
        """Write the markers that follow from others; returns whether there were any."""
        plan = Plan()
        for _, removed in await asyncio.to_thread(self.projects.to_erase):
            plan.add(
                await asyncio.to_thread(plan_for_project, self.conversations, self.facts, removed.project)
            )
        numbers = []
        for number, marked, gone in await asyncio.to_thread(self.conversations.to_erase):
            if not marked:  # deleted in the old way: the log has no list of what went
                plan.exchanges.setdefault((gone.project, gone.conversation, gone.user), set()).update(
                    gone.answers
                )
                numbers.append(number)
            for user, fact in await asyncio.to_thread(self.facts.all, gone.project):
                if fact.conversation == gone.conversation and fact.answer in gone.answers:
                    plan.facts[gone.project, user, fact.id] = fact
        for turn in await asyncio.to_thread(self._late):
            plan.take(turn)
        if not plan.exchanges and not plan.facts:
            return False
        await self._mark(plan)
        await asyncio.to_thread(self.conversations.erased, numbers)
        return True

    def _late(self) -> list[Turn]:
        """Return the answers that were given what was being forgotten meanwhile."""
        late = list(self.conversations.recalled_too_late())
        for fact, at in self.facts.forgotten_at().items():
            late += [turn for turn in self.conversations.recalling(fact) if turn.at > at]
        return late

    async def _erase_fact(self, gone: FactForgotten) -> int:
        """Erase every message with this fact's text; returns how many facts that was, 0 or 1."""
        subjects = [pattern_of(FactLearned, project=gone.project, fact=gone.fact)]
        subjects += [pattern_of(FactEdited, project=gone.project, fact=wrong) for wrong in gone.replaced]
        found = []
        for subject in subjects:
            for sequence, entry in await self._entries("MEMORY", subject):
                if not isinstance(entry, FactEdited) or entry.replacement.id == gone.fact:
                    found.append(sequence)
        await erase(self.bus, "MEMORY", found)
        return min(len(found), 1)

    async def _erase_turns(self, gone: TurnsForgotten) -> int:
        """Erase exchanges and the titles that may repeat them; returns how many turns that was."""
        place = {"project": gone.project, "conversation": gone.conversation}
        left = await asyncio.to_thread(
            self.conversations.holds, gone.project, gone.user, conversation=gone.conversation
        )
        turns = [
            sequence
            for sequence, entry in await self._entries("CHAT", pattern_of(Turn, **place))
            if (entry.answer in gone.answers if isinstance(entry, Turn) else not left)
        ]
        kept = await asyncio.to_thread(self.conversations.title_by_user, *place.values())
        titles = [
            sequence
            for sequence, entry in await self._entries("CHAT", pattern_of(Titled, **place))
            if not (isinstance(entry, Titled) and entry.by_user and entry.title == kept)
        ]
        held = await asyncio.to_thread(self.conversations.summaries, *place.values())
        # What the projection holds no more stood for something that was forgotten, or follows such a one.
        summaries = [
            sequence
            for sequence, _ in await self._entries("CHAT", pattern_of(Compacted, **place))
            if sequence not in held
        ]
        await erase(self.bus, "CHAT", turns + titles + summaries)
        for answer in gone.answers:
            await purge(self.bus, "ANSWER", pattern_of(Delta, answer=answer))
        return len(turns)

    async def _entries(self, stream: str, subject: str) -> list[tuple[int, Message | None]]:
        """Return what is on a subject; None stands for what cannot be read."""
        found: list[tuple[int, Message | None]] = []
        for stored in await all_entries(self.bus, stream, subject):
            try:
                entry = codec.decode(
                    (Turn, Compacted, Titled, FactLearned, FactEdited, ProjectChanged), stored.payload
                )
            except KaraisError:
                entry = None
            found.append((stored.sequence, entry))
        return found

    async def _caught_up(self) -> None:
        """Return when the projections know all that the logs hold now."""
        for stream, subject in (("CHAT", "karais.chat.>"), ("MEMORY", "karais.memory.>")):
            last = 0
            async for behind in batches(self.bus, stream, subject, self.followed_until(stream)):
                last = behind[-1].sequence
            await self._seen(stream, last)

    async def _seen(self, stream: str, sequence: int) -> None:
        deadline = time.monotonic() + SEEN_SECONDS
        while self.followed_until(stream) < sequence:
            if time.monotonic() > deadline:
                log.warning("the entry %d of %s is not in its projection yet", sequence, stream)
                return
            await asyncio.sleep(0.02)


def _drop_remains(settings: Settings) -> None:
    """Remove what a rebuild that was killed has left; one that runs follows the log itself."""
    if not settings.rebuilding.exists():
        return
    with (settings.run / "rebuild.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        shutil.rmtree(settings.rebuilding, ignore_errors=True)


def _unknown(project: str, what: str, field: str) -> KaraisError:
    return KaraisError(f"There is no {what} in the project {project}.", code=Code.NOT_FOUND, field=field)
