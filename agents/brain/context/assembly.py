"""The prompt: the stable part first, then what was said, then what is new.

The system text, then the summary and the exchanges of the conversation, each
as the model read and wrote it, then the question over what was found for it.
Passages stand over their own question alone: kept in later prompts they made
the tenth turn wait three times as long as the second, and filled the context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.brain.context import frames
from agents.brain.context.budget import SHARES, granted
from agents.brain.context.history import SEAM, Exchange, Story, beginning, exchanges
from agents.brain.context.tokens import Tokens
from agents.brain.engine import ChatMessage, Engine
from schemas.chat import Explanation, LeftOut, PartName, PromptPart, Turn, Usage
from schemas.documents import Passage
from schemas.errors import KaraisError
from schemas.failure import Code

LEAST_ANSWER = 64
"""Tokens that are kept free for an answer, however long the question is."""
CLOSE = 0.9
"""Share of the context from which a prompt is counted as a whole: its texts may merge badly."""
TRIES = 4
PASSAGES_FRAME = frames.WITH_PASSAGES.format(passages="", question="")
SUMMARY_FRAME = frames.WITH_SUMMARY.format(summary="", question="Question: ")


@dataclass
class Prompt:
    """A prompt and what became of each part."""

    messages: list[ChatMessage]
    passages: list[Passage]
    """Those that found room, best first."""
    context_tokens: int
    answer_tokens: int
    parts: list[PromptPart]
    left_out: list[LeftOut] = field(default_factory=list)
    instructions: str = ""
    """The project's, before any cut."""

    @property
    def tokens(self) -> int:
        """What its parts cost together, by their texts."""
        return sum(part.tokens for part in self.parts)

    def explained(self, usage: Usage) -> Explanation:
        """Return what went in, with what the engine counted and had in its cache."""
        parts: list[PromptPart] = []
        cached = usage.cached_tokens
        missing = usage.prompt_tokens - self.tokens if usage.prompt_tokens else 0
        for part in self.parts:
            tokens = max(0, part.tokens + missing) if part is self.parts[-1] else part.tokens
            hit = min(tokens, cached)
            cached -= hit
            parts.append(
                PromptPart(name=part.name, tokens=tokens, cached=hit, most=part.most, pieces=part.pieces)
            )
        return Explanation(
            context_tokens=self.context_tokens,
            answer_tokens=self.answer_tokens,
            prompt_tokens=usage.prompt_tokens or self.tokens,
            cached_tokens=usage.cached_tokens,
            parts=tuple(parts),
            left_out=tuple(self.left_out),
        )


class Assembler:
    """Makes prompts for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.tokens = Tokens(engine)

    @property
    def context(self) -> int:
        """Tokens that one prompt and its answer may have."""
        return self._engine.description.context_tokens

    async def check(self, question: str) -> None:
        """Raise KaraisError ``invalid``, with both numbers, for a question that no prompt can hold."""
        if len(question.encode()) + len(frames.INSTRUCTIONS) + LEAST_ANSWER + 256 < self.context:
            return  # a token has a byte at least
        least = await self._least(question) + LEAST_ANSWER
        if least > self.context:
            (tokens,) = await self.tokens.of([question])
            raise KaraisError(
                f"The question has {tokens:,} tokens, but the model's context holds {self.context:,}, of"
                f" which {self.context - least + tokens:,} are for a question: ask with less text.",
                code=Code.INVALID,
                field="$.text",
            )

    async def build(
        self,
        question: str,
        turns: Sequence[Turn],
        story: Story,
        *,
        passages: Sequence[Passage] = (),
        instructions: str = "",
        tools: str = "",
        max_tokens: int = 512,
    ) -> Prompt:
        """Return the prompt for the next question of a conversation.

        ``turns`` are the conversation's newest, ``tools`` the text that offers
        tools. The question always goes in whole.
        """
        free = self.context - await self._least(question)
        answer = min(max_tokens, max(LEAST_ANSWER, min(self.context // 2, free)))
        most = self.context - answer
        room = free - answer
        for _ in range(TRIES):
            prompt = await self._fill(room, question, turns, story, passages, instructions, tools)
            prompt.answer_tokens = answer
            if prompt.tokens < CLOSE * most:
                break
            over = await self._engine.count(prompt.messages) - most
            if over <= 0:
                break
            room -= over + SEAM
        return prompt

    async def fitting(
        self, passages: Sequence[Passage], messages: Sequence[ChatMessage], max_tokens: int
    ) -> list[Passage]:
        """Return the best passages that find room over the question of somebody else's prompt."""
        if not passages:
            return []
        costs = await self._of_passages(passages)
        (frame,) = await self.tokens.of([PASSAGES_FRAME])
        room = self.context - min(max_tokens, self.context // 2) - frame
        room -= await self._engine.count(messages)
        grants = granted(room, self.context, _by_kind(passages, costs))
        used, _ = self._kept_passages(passages, costs, grants, [])
        return used

    async def costs(self, said: Sequence[Exchange]) -> list[int]:
        """Return what exchanges cost in a prompt, in tokens; nothing for one that stands in none."""
        _, each = await self.tokens.of_template()
        counts = await self.tokens.of([text for exchange in said for text in exchange.texts])
        return [
            counts[2 * at] + counts[2 * at + 1] + 2 * each if exchange.reply else 0
            for at, exchange in enumerate(said)
        ]

    def share(self, name: PartName) -> int:
        """Return how many tokens a part may have at most."""
        return SHARES[name].tokens(self.context)

    async def _least(self, question: str) -> int:
        """Return what a prompt has that has nothing but the question."""
        fixed, each = await self.tokens.of_template()
        own, asked = await self.tokens.of([frames.INSTRUCTIONS, question])
        return fixed + 2 * each + own + asked

    async def _fill(
        self,
        room: int,
        question: str,
        turns: Sequence[Turn],
        story: Story,
        passages: Sequence[Passage],
        instructions: str,
        tools: str,
    ) -> Prompt:
        """Return the prompt that takes ``room`` tokens beside what it needs at least."""
        said = exchanges(turns, story.summary)
        lines = story.summary.text.splitlines() if story.summary else []
        costs = await self.costs(said)
        first = beginning(costs, self.share("history"))
        fixed, each = await self.tokens.of_template()
        own, asked, frame, head, for_tools, for_rules = await self.tokens.of(
            [
                frames.INSTRUCTIONS,
                question,
                PASSAGES_FRAME,
                SUMMARY_FRAME,
                tools.strip(),
                instructions.strip(),
            ]
        )
        of_lines = [cost + SEAM for cost in await self.tokens.of(lines)]
        of_passages = await self._of_passages(passages)
        room -= (frame + SEAM if passages else 0) + (head + SEAM if lines else 0)
        grants = granted(
            room,
            self.context,
            {
                "tools": for_tools + SEAM if for_tools else 0,
                "instructions": for_rules + SEAM if for_rules else 0,
                "summary": sum(of_lines),
                **_by_kind(passages, of_passages),
                "history": sum(costs[first:]),
            },
        )
        left_out: list[LeftOut] = []
        tools, for_tools = await self._cut("tools", tools.strip(), grants["tools"], left_out)
        rules, for_rules = await self._cut(
            "instructions", instructions.strip(), grants["instructions"], left_out
        )
        lines, for_lines = self._kept_lines(lines, of_lines, grants["summary"], left_out)
        used, spent = self._kept_passages(passages, of_passages, grants, left_out)
        first = self._first(said, costs, first, grants["history"], left_out, story)
        window = [exchange for exchange in said[first:] if exchange.reply]

        last = frames.with_passages(question, used)
        messages = [ChatMessage("system", frames.system(rules, tools))]
        for at, exchange in enumerate(window):
            begun = frames.with_summary(exchange.question, lines) if at == 0 else exchange.question
            messages += [ChatMessage("user", begun), ChatMessage("assistant", exchange.reply)]
        if not window:
            last = frames.with_summary(last, lines)
        messages.append(ChatMessage("user", last))

        named = [(_part(passage), frames.whence(passage)) for passage in used]
        parts = [
            PromptPart(name="system", tokens=own + fixed + each),
            self._told("instructions", for_rules),
            self._told("tools", for_tools),
            self._told("summary", for_lines and for_lines + head, tuple(lines)),
            self._told("history", sum(costs[first:]), (_exchanges(len(window)),)),
            *(
                self._told(kind, spent[kind], tuple(name for part, name in named if part == kind))
                for kind in ("memory", "passages")
            ),
            PromptPart(name="question", tokens=asked + each + (frame if used else 0)),
        ]
        return Prompt(
            messages,
            used,
            self.context,
            0,
            [part for part in parts if part.tokens],
            left_out,
            instructions,
        )

    async def _of_passages(self, passages: Sequence[Passage]) -> list[int]:
        shown = [frames.shown_passage(9, passage) for passage in passages]
        return [cost + 2 * SEAM for cost in await self.tokens.of(shown)]

    def _told(self, name: PartName, tokens: int, pieces: tuple[str, ...] = ()) -> PromptPart:
        return PromptPart(name=name, tokens=tokens, most=self.share(name), pieces=pieces)

    def _reason(self, name: PartName, granted_tokens: int) -> str:
        """Say what was short: the part's own share, or the context."""
        return "share" if granted_tokens >= self.share(name) else "budget"

    async def _cut(self, name: PartName, text: str, most: int, left_out: list[LeftOut]) -> tuple[str, int]:
        """Return the beginning of a text that has at most so many tokens, whole words, and its cost."""
        (tokens,) = await self.tokens.of([text])
        whole = tokens
        kept = text
        while kept and tokens + SEAM > most:
            chars = int(len(kept) * max(0, most - SEAM) / tokens * 0.97)
            kept = (kept[:chars].rpartition(" ")[0] or kept[:chars]).rstrip()
            (tokens,) = await self.tokens.of([kept])
        if kept != text:
            what = f"the end of the {name}" if kept else f"the {name}"
            left_out.append(
                LeftOut(name=name, what=what, tokens=whole - tokens, reason=self._reason(name, most))  # type: ignore[arg-type]  # one of its values
            )
        return kept, tokens + SEAM if kept else 0

    def _kept_lines(
        self, lines: list[str], costs: list[int], most: int, left_out: list[LeftOut]
    ) -> tuple[list[str], int]:
        """Return the first lines of a summary that find room, and their cost."""
        kept: list[str] = []
        spent = 0
        for line, cost in zip(lines, costs, strict=True):
            if spent + cost > most:
                break
            kept.append(line)
            spent += cost
        if len(kept) < len(lines):
            left_out.append(
                LeftOut(
                    name="summary",
                    what=f"{len(lines) - len(kept)} lines of the summary",
                    tokens=sum(costs) - spent,
                    reason=self._reason("summary", most),  # type: ignore[arg-type]  # one of its values
                )
            )
        return kept, spent

    def _kept_passages(
        self,
        passages: Sequence[Passage],
        costs: Sequence[int],
        grants: dict[PartName, int],
        left_out: list[LeftOut],
    ) -> tuple[list[Passage], dict[PartName, int]]:
        """Return the passages that find room, best first, and what each kind of them costs."""
        used: list[Passage] = []
        spent: dict[PartName, int] = {"memory": 0, "passages": 0}
        for passage, cost in zip(passages, costs, strict=True):
            part = _part(passage)
            if spent[part] + cost <= grants[part]:
                used.append(passage)
                spent[part] += cost
            else:
                left_out.append(
                    LeftOut(
                        name=part,
                        what=frames.whence(passage),
                        tokens=cost,
                        reason=self._reason(part, grants[part] + cost),  # type: ignore[arg-type]  # one of its values
                    )
                )
        return used, spent

    def _first(
        self,
        said: Sequence[Exchange],
        costs: Sequence[int],
        first: int,
        most: int,
        left_out: list[LeftOut],
        story: Story,
    ) -> int:
        """Return the first of the exchanges that stand in the prompt."""
        limit = self.share("history")
        while sum(costs[first:]) > most:
            limit //= 2  # again a large step: for the next question there may be more room
            first = beginning(costs, limit) if limit else len(costs)
        if story.summary:
            left_out.append(LeftOut(name="history", what="what the summary stands for", reason="summarised"))
        gone = [cost for cost in costs[:first] if cost]
        if gone:
            left_out.append(
                LeftOut(name="history", what=_exchanges(len(gone)), tokens=sum(gone), reason="too_old")
            )
        alone = sum(not exchange.reply for exchange in said)
        if alone:
            what = f"{alone} question{'s' * (alone > 1)} without an answer"
            left_out.append(LeftOut(name="history", what=what, reason="unanswered"))
        return first


def _by_kind(passages: Sequence[Passage], costs: Sequence[int]) -> dict[PartName, int]:
    """Return what the passages of each kind cost together."""
    found: dict[PartName, int] = {"memory": 0, "passages": 0}
    for passage, cost in zip(passages, costs, strict=True):
        found[_part(passage)] += cost
    return found


def _part(passage: Passage) -> PartName:
    return "passages" if passage.kind == "document" else "memory"


def _exchanges(count: int) -> str:
    return f"{count} exchange{'s' * (count != 1)}"
