"""One call per lane, with the library's own cache: for models whose lanes cannot share a call.

Such as have states instead of keys and values, or biases by distance. Slower,
but it is the library's own way of generating.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.brain.engines.huggingface.adapting import no_adapters
from agents.brain.engines.huggingface.lanes import Lane, Lanes
from agents.brain.engines.huggingface.packed import failed, free
from agents.brain.stepping.runner import Logits

if TYPE_CHECKING:
    from stores.weights.adapters import Adapter


class AloneRunner:
    """A ``Runner`` over any causal model of transformers."""

    def __init__(self, model: Any, tokens: int) -> None:
        self._model = model
        self._lanes = Lanes(tokens)

    @property
    def capacity(self) -> int:
        """Tokens whose keys and values there is room for, over all lanes."""
        return self._lanes.capacity

    def begin(self, tokens: Sequence[int], most: int, space: str) -> Lane | None:
        """Return a lane for a prompt: see ``Runner.begin``."""
        from transformers import DynamicCache

        source, common = self._lanes.alike(tokens, space)
        lane = self._lanes.begin(most, space, source)
        if lane is None:
            return None
        lane.state = DynamicCache(config=self._model.config)
        if source is not None and common and (common == source.length or _can_be_cut(source.state)):
            try:
                state = copy.deepcopy(source.state)
            except torch.OutOfMemoryError:  # then all of it is computed again
                free(self._lanes)
                return lane
            if common < source.length:
                state.crop(common - source.length)
            lane.state = state
            lane.tokens = source.tokens[:common]
        return lane

    def adapt(self, adapter: Adapter) -> None:
        """Refuse an adapter."""
        raise no_adapters(adapter)

    def forward(self, work: Sequence[tuple[Lane, Sequence[int]]]) -> Logits:
        """Append tokens to lanes; return the logits behind the last one of each, (lanes, vocabulary)."""
        rows = []
        try:
            for lane, new in work:
                rows.append(self._row(lane, new))
                lane.tokens += new
        except Exception as error:
            for lane, _ in work:
                lane.spoiled = True
            raise failed(error, self._lanes) from error
        return np.stack(rows)

    def end(self, lane: Lane) -> None:
        """Take a lane back. What it holds serves later prompts as long as there is room."""
        if not self._lanes.end(lane):
            lane.state = None

    def close(self) -> None:
        """Free the model."""
        self._model = None
        self._lanes.clear()

    @torch.inference_mode()
    def _row(self, lane: Lane, new: Sequence[int]) -> Logits:
        found = self._model(
            input_ids=torch.tensor([list(new)], device=self._model.device),
            past_key_values=lane.state,
            use_cache=True,
            logits_to_keep=1,
        )
        lane.state = found.past_key_values
        row: Logits = found.logits[0, -1].float().cpu().numpy()
        return row


def _can_be_cut(cache: Any) -> bool:
    """Tell whether a cache is plain keys and values, so that its end can be taken off."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)
