"""Attention for tokens of several lanes in one call.

All layers but attention treat each token by itself, so tokens of different
lanes can go through them side by side, as one long text. Here each lane's new
keys and values are put behind those that it has, and its new tokens see
exactly those: no padding, no copies of what was there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from torch import Tensor

NAME = "karais"
"""Under which ``attend`` is registered with transformers."""
_ALTERING = ("softcap", "s_aux", "position_bias", "head_mask")
"""Arguments that change what attention computes and are not known here."""

State = dict[int, tuple["Tensor", "Tensor"]]
"""A lane's keys and values by layer, (heads, tokens, size) each, with room for all it may come to hold."""


class NotPacked(Exception):
    """The model's attention is of another kind: its lanes cannot share a call."""


class Step:
    """The lanes of one call: each with its keys and values, its tokens before and the number of new ones."""

    def __init__(
        self, lanes: Sequence[tuple[State, int, int, int]], adapted: Sequence[tuple[int, int, str]] = ()
    ) -> None:
        self.lanes = lanes
        """State, most, before, new."""
        self.adapted = adapted
        """First and last token, by their place in the call, that want an adapter, and its key."""
        self._masks: dict[tuple[int, int], Tensor] = {}

    def mask(self, number: int, window: int, device: torch.device) -> Tensor:
        """Return which tokens each new token of a lane sees, (new, before + new)."""
        found = self._masks.get((number, window))
        if found is None:
            _, _, before, new = self.lanes[number]
            found = torch.ones(new, before + new, dtype=torch.bool, device=device).tril_(before)
            if window:
                found.triu_(before - window + 1)
            self._masks[number, window] = found
        return found


_now = threading.local()


def current() -> Step:
    """Return the step that is computed in this thread."""
    step: Step = _now.step
    return step


@contextmanager
def using(step: Step) -> Iterator[None]:
    """Make ``attend`` compute for these lanes in this thread."""
    _now.step = step
    try:
        yield
    finally:
        del _now.step


def room_in(state: State, layer: int, most: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return a layer's keys and values of a lane; make room for ``most`` tokens unless there is some."""
    pair = state.get(layer)
    if pair is None:
        pair = (
            keys.new_empty(keys.shape[-3], most, keys.shape[-1]),
            values.new_empty(values.shape[-3], most, values.shape[-1]),
        )
        state[layer] = pair
    return pair


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Compute attention as transformers asks for it.

    Query, key and value are (1, heads, tokens, size), the tokens those of all
    lanes one after the other; the result is (1, tokens, heads, size).
    """
    if attention_mask is not None or any(others.get(name) is not None for name in _ALTERING):
        raise NotPacked
    step = current()
    results = []
    at = 0
    for number, (state, most, before, new) in enumerate(step.lanes):
        all_keys, all_values = room_in(state, module.layer_idx, most, key, value)
        after = before + new
        all_keys[:, before:after] = key[0, :, at : at + new]
        all_values[:, before:after] = value[0, :, at : at + new]
        asked = query[:, :, at : at + new]
        at += new
        first = max(0, after - sliding_window) if sliding_window and new == 1 else 0
        keys, values = all_keys[None, :, first:after], all_values[None, :, first:after]
        if new == 1:
            # queries that share a key-value head are its rows, so that no key is copied
            rows = asked.reshape(1, keys.shape[1], -1, asked.shape[-1])
            seen = scaled_dot_product_attention(rows, keys, values, scale=scaling)
            results.append(seen.reshape(1, 1, -1, values.shape[-1]))
            continue
        mask = step.mask(number, sliding_window or 0, query.device)
        if query.is_cuda and (groups := asked.shape[1] // keys.shape[1]) > 1:
            # with a mask, only equal heads have a kernel of their own there
            keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
        seen = scaled_dot_product_attention(
            asked, keys, values, attn_mask=mask, scale=scaling, enable_gqa=asked.shape[1] != keys.shape[1]
        )
        results.append(seen.transpose(1, 2))
    return results[0] if len(results) == 1 else torch.cat(results, 1), None
