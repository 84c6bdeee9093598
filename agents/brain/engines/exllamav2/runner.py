"""The forward pass of exllamav2, in its two ways.

With flash-attn, keys and values lie in pages of 256 tokens, and lanes with
equally many new tokens go through the model in one call. Without it there are
no pages, and the library keeps the keys and values of one text at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.brain.stepping.pages import PagedLane, Pages
from agents.brain.stepping.runner import Logits
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

if TYPE_CHECKING:
    from stores.weights.adapters import Adapter

PAGE = 256
"""Tokens in a page: what flash-attn takes."""


class PagedRunner:
    """A ``Runner`` over a model and one cache of pages; ``params`` makes ``PagedParams`` for a call."""

    def __init__(self, model: Any, cache: Any, params: Callable[..., Any]) -> None:
        self._model = model
        self._cache = cache
        self._params = params
        self._count = int(cache.max_seq_len) // PAGE
        self._pages = Pages(self._count, PAGE, self._copy)
        self._running: set[PagedLane] = set()

    @property
    def capacity(self) -> int:
        """Tokens whose keys and values there is room for, over all lanes."""
        return self._count * PAGE

    def begin(self, tokens: Sequence[int], most: int, space: str) -> PagedLane | None:
        """Return a lane for a prompt: see ``Runner.begin``."""
        lane = self._pages.begin(tokens, most, space)
        if lane is not None:
            self._running.add(lane)
        return lane

    def adapt(self, adapter: Adapter) -> None:
        """Refuse an adapter."""
        raise _no_adapters(adapter)

    def forward(self, work: Sequence[tuple[PagedLane, Sequence[int]]]) -> Logits:
        """Append tokens to lanes; return the logits behind the last one of each, (lanes, vocabulary)."""
        order = sorted(range(len(work)), key=lambda number: len(work[number][1]))
        rows: dict[int, Logits] = {}
        for _, numbers in groupby(order, key=lambda number: len(work[number][1])):
            together = list(numbers)
            try:
                found = self._together([work[number] for number in together])
            except Exception:
                # The books count tokens that were not computed, and all that runs fails with this step.
                self._pages = Pages(self._count, PAGE, self._copy)
                self._running.clear()
                raise
            rows.update(zip(together, found, strict=True))
        return np.stack([rows[number] for number in range(len(work))])

    def end(self, lane: PagedLane) -> None:
        """Take a lane back; its pages stay until others need them."""
        if lane in self._running:
            self._running.remove(lane)
            self._pages.end(lane)

    def close(self) -> None:
        """Free the model."""
        self._cache = None
        self._model.unload()

    def _together(self, work: Sequence[tuple[PagedLane, Sequence[int]]]) -> Logits:
        """Run lanes with equally many new tokens."""
        before = [lane.length for lane, _ in work]
        for lane, new in work:
            self._pages.append(lane, new)
        blocks = [lane.blocks() for lane, _ in work]
        table = torch.zeros(len(work), max(map(len, blocks)), dtype=torch.int32)
        for row, found in zip(table, blocks, strict=True):
            row[: len(found)] = torch.tensor(found, dtype=torch.int32)
        params = self._params(
            batch_size=len(work),
            block_index=table,
            cache_seqlens=torch.tensor(before, dtype=torch.int32),
            max_cache_seqlen=max(before),
            page_size=PAGE,
            q_len=len(work[0][1]),
        )
        ids = torch.tensor([list(new) for _, new in work], dtype=torch.long)
        self._cache.current_seq_len = 0  # counted by the library, read by nobody when there are pages
        return _logits(self._model, self._cache, ids, params)

    def _copy(self, source: int, target: int) -> None:
        with torch.inference_mode():
            for tensor in self._cache.all_tensors():
                pages = tensor.view(-1, PAGE, *tensor.shape[2:])
                pages[target].copy_(pages[source])


class OneLane:
    """The lane of ``SingleRunner``; a later one has its keys and values."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens

    @property
    def length(self) -> int:
        """Tokens that need not be computed any more."""
        return len(self.tokens)


class SingleRunner:
    """A ``Runner`` for one lane at a time, over a model and a cache of one row."""

    def __init__(self, model: Any, cache: Any) -> None:
        self._model = model
        self._cache = cache
        self._lane: OneLane | None = None
        self._there: tuple[str, list[int]] = ("", [])
        """The space and the tokens of the keys and values that the last lane left."""

    @property
    def capacity(self) -> int:
        """Tokens whose keys and values there is room for."""
        return int(self._cache.max_seq_len)

    def begin(self, tokens: Sequence[int], most: int, space: str) -> OneLane | None:
        """Return a lane for a prompt: see ``Runner.begin``; None while there is one."""
        if self._lane is not None or most > self.capacity:
            return None
        known, there = self._there
        common = 0
        if known == space:
            usable = min(len(there), len(tokens) - 1)
            common = next((at for at in range(usable) if there[at] != tokens[at]), usable)
        self._lane = OneLane(there[:common])
        self._there = (space, [])
        return self._lane

    def adapt(self, adapter: Adapter) -> None:
        """Refuse an adapter."""
        raise _no_adapters(adapter)

    def forward(self, work: Sequence[tuple[OneLane, Sequence[int]]]) -> Logits:
        """Append tokens to the lane; return the logits behind the last one, (1, vocabulary)."""
        ((lane, new),) = work
        self._cache.current_seq_len = lane.length
        ids = torch.tensor([list(new)], dtype=torch.long)
        try:
            found = _logits(self._model, self._cache, ids, None)
        except Exception:
            lane.tokens.clear()
            raise
        lane.tokens += new
        return found

    def end(self, lane: OneLane) -> None:
        """Take the lane back; what it holds serves the next prompt that begins like it."""
        space, _ = self._there
        self._there = (space, lane.tokens)
        self._lane = None

    def close(self) -> None:
        """Free the model."""
        self._cache = None
        self._model.unload()


def _no_adapters(adapter: Adapter) -> KaraisError:
    return KaraisError(
        f"The engine exllamav2 takes no adapters such as {adapter.name}: choose the engine llamacpp.",
        code=Code.INVALID,
        field="$.sampling.adapter",
    )


def _logits(model: Any, cache: Any, ids: torch.Tensor, params: Any) -> Logits:
    """Return the logits behind the last token of each row of ``ids``."""
    try:
        found = model.forward_chunk(ids, cache=cache, last_id_only=True, attn_params=params)["logits"]
        rows: Logits = found[:, -1, : model.config.vocab_size].float().cpu().numpy()
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise Unavailable("the card's memory is full: ask again, or set a smaller `context`") from None
    return rows
