"""One call per lane, with the library's own cache: for models whose lanes cannot share a call.

Such as have states instead of keys and values, or biases by distance. Slower,
but it is the library's own way of generating.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.brain.engines.huggingface.adapting import no_adapters
from agents.brain.engines.huggingface.lanes import Lane, Lanes
from agents.brain.engines.huggingface.packed import TOLERANCE, failed, free
from agents.brain.stepping.runner import Logits

if TYPE_CHECKING:
    from stores.weights.adapters import Adapter


class AloneRunner:
    """A ``Runner`` over any causal model of transformers."""

    def __init__(self, model: Any, tokens: int) -> None:
        self._model = model
        self._lanes = Lanes(tokens)
        takes = inspect.signature(model.forward).parameters
        self._cache = "cache_params" if "cache_params" in takes else "past_key_values"
        """What the model calls its cache."""
        self._portions = self._reads_portions()

    @property
    def capacity(self) -> int:
        """Tokens whose keys and values there is room for, over all lanes."""
        return self._lanes.capacity

    def begin(self, tokens: Sequence[int], most: int, space: str) -> Lane | None:
        """Return a lane for a prompt: see ``Runner.begin``."""
        source, common = self._lanes.alike(tokens, space)
        lane = self._lanes.begin(most, space, source)
        if lane is None:
            return None
        lane.state = self._empty()
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

    def _row(self, lane: Lane, new: Sequence[int]) -> Logits:
        """Append tokens to one lane; return the logits behind the last."""
        parts = [new] if self._portions or not lane.length else [[token] for token in new]
        for part in parts:
            found = self._called(part, lane.state)
        row: Logits = found.float().cpu().numpy()
        return row

    @torch.inference_mode()
    def _called(self, tokens: Sequence[int], cache: Any) -> torch.Tensor:
        found = self._model(
            input_ids=torch.tensor([list(tokens)], device=self._model.device),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache: cache},
        )
        row: torch.Tensor = found.logits[0, -1]
        return row

    def _reads_portions(self) -> bool:
        """Tell whether prompts may be read in portions: the first Mamba's code drops its state in between."""
        size = int(self._model.config.get_text_config().vocab_size)
        text = [(7919 * (place + 1)) % size for place in range(12)]
        one, two = self._empty(), self._empty()
        whole = self._called(text, one)
        self._called(text[:5], two)
        apart = float((self._called(text[5:], two) - whole).abs().max())
        return apart <= TOLERANCE.get(self._model.dtype, 0.0) * float(whole.abs().max())

    def _empty(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config)


def _can_be_cut(cache: Any) -> bool:
    """Tell whether a cache is plain keys and values, so that its end can be taken off."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)
