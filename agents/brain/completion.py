"""Completions: prompts that their askers keep, continued; KARAIS' own memory is used if they want it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence

import msgspec

from agents.brain import hermes
from agents.brain.answer import Ending, RunningAnswer, ending_of, published
from agents.brain.book import AnswerBook
from agents.brain.context import Assembler
from agents.brain.context.frames import with_passages
from agents.brain.engine import ChatMessage, Constraint, Engine, Place
from agents.brain.generation import Generation
from agents.brain.histories import Histories
from agents.brain.projects import KnownProjects, sampling_in
from agents.brain.retrieval import cite, recall
from bus.connection import Bus
from schemas.base import HOME
from schemas.chat import MAX_QUESTION_CHARS, Accepted, Citation, Likelihood
from schemas.completion import MAX_DEPTH, MAX_PROMPT_CHARS, Complete, CompletionMessage, Tool, is_deeper
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.projects import Project

log = logging.getLogger(__name__)


class Plan(msgspec.Struct, frozen=True):
    """What a completion asks of the engine, found out before it is accepted."""

    question: str
    """The last message of the user; empty when there is none."""
    asked: tuple[str, ...]
    """Those before it."""
    tools: tuple[Tool, ...]
    manner: hermes.Manner
    constraint: Constraint | None
    project: Project | None
    """Whose instructions hold; None when the asker keeps to its own prompt."""


class Completions:
    """Continues prompts beside the brain's own conversations."""

    def __init__(
        self,
        bus: Bus,
        engine: Engine,
        assembler: Assembler,
        book: AnswerBook,
        projects: KnownProjects,
        histories: Histories,
    ) -> None:
        self._bus = bus
        self._engine = engine
        self._assembler = assembler
        self._book = book
        self._projects = projects
        self._histories = histories

    async def begin(self, ask: Complete) -> Accepted:
        """Begin a completion; its events follow. Raises KaraisError naming the field that is wrong."""
        users = [message.content for message in ask.messages if message.role == "user"]
        conversation = ask.conversation or (conversation_of(ask.project, users[0]) if users else ask.answer)
        accepted = Accepted(answer=ask.answer, conversation=conversation, worker=self._bus.instance)
        if self._book.known(ask.answer):  # asked again after a lost reply
            return accepted
        answer = RunningAnswer(self._bus, ask, conversation if ask.remember else "")
        self._book.add(answer)
        try:
            plan = await self._plan(ask, users, conversation)
            await self._book.tell()
        except BaseException:
            self._book.drop(answer)
            await self._book.tell_if_quiet()
            raise
        answer.recorded.set()
        answer.task = asyncio.create_task(self._run(answer, plan))
        return accepted

    async def _plan(self, ask: Complete, users: Sequence[str], conversation: str) -> Plan:
        _check(ask)
        question = users[-1] if users else ""
        if (ask.retrieve or ask.remember) and not question.strip():
            raise _invalid("Without a question of the user nothing can be looked up or kept.", "$.messages")
        if ask.remember and len(question) > MAX_QUESTION_CHARS:
            raise _invalid(
                f"A question that is kept may have {MAX_QUESTION_CHARS:,} characters: ask with less text.",
                "$.messages",
            )
        kept = self._histories.get((ask.project, conversation))
        if ask.remember and kept is not None and kept.temporary:
            raise KaraisError(
                f"The conversation {conversation} is temporary: nothing of it is kept.",
                code=Code.CONFLICT,
                field="$.conversation",
            )
        project = None
        if ask.retrieve or ask.remember or ask.project != HOME:
            project = await self._projects.get(ask.user, ask.project)
        tools = hermes.offered(ask)
        return Plan(question, tuple(users[:-1]), tools, *hermes.constraint(ask, tools), project)

    async def _run(self, answer: RunningAnswer[Complete], plan: Plan) -> None:
        """Generate one completion; whatever happens, it ends on the bus."""
        try:
            ending = await ending_of(answer, self._generate(answer, plan))
            answer.ending = True
            await self._end(answer, plan, ending)
        except KaraisError as error:
            log.error("the completion %s could not be kept: %s", answer.ask.answer, error)
            await answer.failed(error.code, f"The answer could not be kept: {error}")
        except Exception:
            log.exception("the end of the completion %s failed", answer.ask.answer)
            await answer.failed(Code.INTERNAL, "The brain failed unexpectedly; its log says why.")
        finally:
            self._book.close(answer)
            await self._book.tell_if_quiet()

    async def _generate(self, answer: RunningAnswer[Complete], plan: Plan) -> Ending:
        ask = answer.ask
        if answer.cancelled:
            raise asyncio.CancelledError
        instructions = plan.project.instructions if plan.project else ""
        messages = as_chat(ask.messages, plan.tools, instructions)
        if ask.retrieve and plan.project is not None:
            passages = await recall(self._bus, answer, plan.project, plan.question, plan.asked)
            answer.searched = passages is not None
            used = await self._assembler.fitting(passages or (), messages, ask.sampling.max_tokens)
            asked = over_passages(ask.messages, with_passages(plan.question, used))
            messages = as_chat(asked, plan.tools, instructions)
            if used:
                await answer.sources(used)
        reader = hermes.CallReader(plan.manner, plan.tools)

        async def publish(text: str, logprobs: tuple[Likelihood, ...]) -> None:
            text, logprobs = reader.take(text, logprobs)
            if text:
                await answer.delta(text, logprobs)

        place = Place(f"{ask.user}/{ask.share}" if ask.share else ask.user, ask.background)
        sampling = sampling_in(plan.project, ask.sampling) if plan.project else ask.sampling
        pieces = self._engine.generate(messages, sampling, constraint=plan.constraint, place=place)
        async with Generation(pieces) as generation:
            ending = await published(generation, publish)
        rest, logprobs, calls = reader.end(complete=ending.finish_reason == "stop")
        if rest:
            await answer.delta(rest, logprobs)
        if calls:
            await answer.tool_calls(calls)
            return msgspec.structs.replace(ending, finish_reason="tool_calls")
        return ending

    async def _end(self, answer: RunningAnswer[Complete], plan: Plan, ending: Ending) -> None:
        """Cite, keep what shall be kept, and tell readers that it ended."""
        ask = answer.ask
        complete = ending.finish_reason in ("stop", "length")
        found: tuple[Citation, ...] = ()
        if complete and answer.passages and not ask.format:
            before = plan.asked[-1] if plan.asked else ""
            # Whoever calls tools of its own, or measures, expects the model's text alone.
            quote = not plan.tools and not ask.sampling.ignore_end
            found = await cite(self._bus, answer, plan.question, before, quote=quote)
        question = answer.question(plan.question)
        turn = answer.turn(question, ending, self._engine.description.model, found)
        if ask.remember and complete:
            await self._bus.record(question, id=f"{ask.answer}.question")
            await self._bus.record(turn, id=f"{ask.answer}.answer", patience=20)
        await answer.end(ending, cited=turn.cited, citations=found, grounding=turn.grounding)


def conversation_of(project: str, first: str) -> str:
    """Return the identity of the conversation that begins with this question, always the same."""
    return hashlib.sha256(f"{project}\0{first}".encode()).hexdigest()[:32]


def as_chat(
    messages: Sequence[CompletionMessage], tools: Sequence[Tool], instructions: str = ""
) -> list[ChatMessage]:
    """Return a prompt's messages as an engine takes them.

    The first system text gets the project's ``instructions`` and the tools
    behind it. What a tool answered becomes a user's message; neighbours of one
    role become one message, as many templates demand that roles take turns.
    """
    names = {call.id: call.name for message in messages for call in message.calls}
    plain: list[ChatMessage] = []
    for message in messages:
        match message.role:
            case "tool":
                text = hermes.answered(names.get(message.call, ""), message.content)
                plain.append(ChatMessage("user", text))
            case "assistant" if message.calls:
                parts = (message.content.strip(), hermes.called(message.calls))
                plain.append(ChatMessage("assistant", "\n".join(part for part in parts if part)))
            case role:
                plain.append(ChatMessage(role, message.content))
    more = [instructions.strip(), hermes.shown(tools) if tools else ""]
    if any(more):
        first = plain.pop(0).content if plain[0].role == "system" else ""
        plain.insert(0, ChatMessage("system", "\n\n".join(part for part in (first, *more) if part)))
    merged = plain[:1]
    for each in plain[1:]:
        if each.role == merged[-1].role:
            merged[-1] = ChatMessage(each.role, f"{merged[-1].content}\n\n{each.content}")
        else:
            merged.append(each)
    return merged


def over_passages(messages: Sequence[CompletionMessage], asked: str) -> list[CompletionMessage]:
    """Return the messages with ``asked`` in place of the user's last one."""
    changed = list(messages)
    last = max(at for at, message in enumerate(changed) if message.role == "user")
    changed[last] = msgspec.structs.replace(changed[last], content=asked)
    return changed


def _check(ask: Complete) -> None:
    """Raise KaraisError when a prompt or a schema is larger than KARAIS takes."""
    for number, tool in enumerate(ask.tools):
        _check_schema(tool.parameters, f"$.tools[{number}].parameters")
    chars = sum(len(m.content) + sum(len(c.name + c.arguments) for c in m.calls) for m in ask.messages)
    chars += sum(len(msgspec.json.encode(tool)) for tool in ask.tools)
    if chars > MAX_PROMPT_CHARS:
        raise KaraisError(
            f"The prompt has {chars:,} characters and may have {MAX_PROMPT_CHARS:,}: ask with less text.",
            code=Code.TOO_LARGE,
            field="$.messages",
        )
    if ask.format:
        try:
            schema = msgspec.json.decode(ask.format)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _invalid(f"The format is no valid JSON: {error}.", "$.format") from None
        if not isinstance(schema, dict):
            raise _invalid("The format is no JSON schema: expected an object.", "$.format")
        _check_schema(schema, "$.format")


def _check_schema(schema: object, field: str) -> None:
    if is_deeper(schema, MAX_DEPTH):
        raise _invalid(f"The schema is nested deeper than {MAX_DEPTH} levels.", field)


def _invalid(message: str, field: str) -> KaraisError:
    return KaraisError(message, code=Code.INVALID, field=field)
