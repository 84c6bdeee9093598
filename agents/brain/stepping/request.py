"""One answer while it is generated: its tokens, its text, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.brain.engine import Piece
from agents.brain.mailbox import Mailbox
from agents.brain.stepping.sampling import Sampler, likelihoods
from agents.brain.stepping.text import Decoder, Stops
from schemas.chat import FinishReason, Likelihood, Usage

if TYPE_CHECKING:
    from agents.brain.stepping.grammar import Guide
    from agents.brain.stepping.sampling import Row
    from agents.brain.stepping.vocabulary import Vocabulary
    from schemas.chat import Sampling
    from stores.weights.adapters import Adapter
    from stores.weights.registry import Profile


class Request:
    """What was asked, for both sides; what came of it so far, for the engine's thread alone."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        profile: Profile,
        prompt: list[int],
        sampling: Sampling,
        most: int,
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.most = most
        """Tokens that prompt and answer may have together."""
        self.guide: Guide | None = None
        """Holds the answer to a schema."""
        self.adapter: Adapter | None = None

        # the event loop's
        self.mailbox = Mailbox()
        self.cancelled = False
        """Set by the event loop, read by the thread."""

        # the thread's
        self.lane: Any = None
        self.computed = 0
        """Tokens of the prompt that are in the cache."""
        self.cached = 0
        """Of them, those that were there before."""
        self.answer: list[int] = []
        self.finished: FinishReason | None = None
        self._vocabulary = vocabulary
        self._sampler = Sampler(profile, sampling, prompt)
        self._decoder = Decoder()
        self._stops = Stops([*profile.stop, *sampling.stop])

    @property
    def reading(self) -> bool:
        """Tokens of the prompt are still to be computed."""
        return self.computed < len(self.prompt)

    @property
    def usage(self) -> Usage:
        """What it cost until now."""
        return Usage(
            prompt_tokens=len(self.prompt), cached_tokens=self.cached, completion_tokens=len(self.answer)
        )

    def take(self, row: Row) -> Piece | None:
        """Choose the next token from its logits; return what there is to tell. Changes ``row``.

        Raises KaraisError when the schema turns out to be too complex.
        """
        others = self.sampling.logprobs
        plain = row.copy() if others is not None else row
        guide = self.guide
        if self.sampling.ignore_end:
            row[list(self._vocabulary.ends)] = float("-inf")
        if guide is not None:
            guide.restrict(row)
        token = self._sampler.choose(row)
        self._sampler.took(token)
        if token in self._vocabulary.ends:
            return self._end("stop")
        self.answer.append(token)
        if guide is not None:
            guide.took(token)
        likely = (self._likelihood(plain, token, others),) if others is not None else ()
        data = self._vocabulary.bytes_of(token)
        text = self._stops.feed(self._decoder.feed(data)) if data else ""
        if self._stops.found or (guide is not None and guide.complete):
            return self._end("stop", text, likely)
        if len(self.answer) >= self.sampling.max_tokens or len(self.prompt) + len(self.answer) >= self.most:
            return self._end("length", text, likely)
        return Piece(text, 1, logprobs=likely) if text or likely else None

    def _end(self, reason: FinishReason, text: str = "", likely: tuple[Likelihood, ...] = ()) -> Piece:
        self.finished = reason
        if not self._stops.found:
            text += self._stops.feed(self._decoder.feed(b"", final=True), final=True)
        return Piece(text, len(likely), reason, self.usage, likely)

    def _likelihood(self, row: Row, token: int, others: int) -> Likelihood:
        logprob, top = likelihoods(row, token, others)
        return self._shown(token, logprob, tuple(self._shown(*entry) for entry in top))

    def _shown(self, token: int, logprob: float, top: tuple[Likelihood, ...] = ()) -> Likelihood:
        data = self._vocabulary.bytes_of(token)
        return Likelihood(token=data.decode("utf-8", "replace"), logprob=logprob, bytes=tuple(data), top=top)
