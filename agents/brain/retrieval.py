"""What an answer rests on: passages from the memory before it, citations behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from agents.brain import citations
from agents.brain.answer import AnyAnswer
from agents.brain.questions_kinds import asks_what_was_said
from bus.connection import Bus
from schemas.chat import Citation
from schemas.documents import MAX_QUERY_CHARS, Passage, Recall, Recalled
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError
from schemas.projects import Project

log = logging.getLogger(__name__)

RECALL_SECONDS = 6.0
"""How long an answer waits for what helps; memory itself waits for a hanging embedder for less."""
CITING_SECONDS = 3.0
"""How long the end of an answer may wait for vectors; without them it is cited by its words alone.
They take some 100 ms; on a busy machine, though, half a second cost half of the citations."""
PASSAGES = 4
CONTEXT = 3
"""Earlier questions of the conversation that a search may need to understand the next one."""


async def recall(
    bus: Bus,
    answer: AnyAnswer,
    project: Project,
    question: str,
    asked: Sequence[str],
    as_of: float | None = None,
) -> list[Passage] | None:
    """Return passages that help; None when memory cannot be asked now.

    ``asked`` are the conversation's earlier questions, oldest first.
    """
    wanted = Recall(
        user=answer.ask.user,
        project=answer.ask.project,
        query=question[-MAX_QUERY_CHARS:],
        limit=PASSAGES,
        as_of=as_of,
        with_global=project.uses_global,
        context=tuple(asked[-CONTEXT:]),
        conversation=answer.conversation,
        # A model that reads its own invention takes it for knowledge.
        unsupported=asks_what_was_said(question),
    )
    try:
        recalled: Recalled = await bus.call(wanted, timeout=RECALL_SECONDS)
    except KaraisError as error:
        log.warning("answering without the storage: %s", error)
        return None
    return list(recalled.passages)


async def cite(
    bus: Bus, answer: AnyAnswer, question: str, before: str, *, quote: bool
) -> tuple[Citation, ...]:
    """Return which sentences of an answer rest on which passages; where none does, quote one.

    ``before`` is the question before this one.
    """
    text = "".join(answer.text)
    found = await asyncio.to_thread(citations.find, question, text, answer.passages, before)
    if len(found.texts) == 1:
        return ()
    vectors: Vectors | None = None
    try:
        embed = Embed(texts=found.texts, purpose="query")
        vectors = await bus.call(embed, timeout=CITING_SECONDS)
    except KaraisError as error:
        log.info("citing by the words alone: %s", error)
    chosen = citations.choose(found, vectors.data if vectors else None)
    if chosen.quote is None or not quote:
        return chosen.citations
    passage = answer.passages[chosen.quote.passage - 1]
    more, citation = citations.quotation(chosen.quote, passage, len(text))
    await answer.delta(more)
    return (citation,)
