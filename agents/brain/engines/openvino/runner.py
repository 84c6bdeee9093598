"""The forward pass: tokens of several lanes in one call, their keys and values in shared blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.brain.engines.openvino.graph import PLACES, Cache
from agents.brain.stepping.pages import PagedLane, Pages

if TYPE_CHECKING:
    from agents.brain.stepping.runner import Logits

BLOCK = 32
"""Tokens in a block: what OpenVINO's kernels for processors take."""


class OpenVinoRunner:
    """A ``Runner`` over a compiled model; ``tokens`` is what its blocks have room for."""

    def __init__(self, model: Any, caches: Sequence[Cache], tokens: int) -> None:
        import openvino

        self._count = -(-tokens // BLOCK)
        self._tensor = openvino.Tensor
        self._request = model.create_infer_request()
        self._blocks = []
        for cache in caches:
            tensor = openvino.Tensor(cache.element, openvino.Shape([self._count, *cache.shape]))
            self._request.set_tensor(cache.name, tensor)
            self._blocks.append(tensor)
        self._pages = Pages(self._count, BLOCK, self._copy)

    @property
    def capacity(self) -> int:
        """Tokens whose keys and values there is room for, over all lanes."""
        return self._count * BLOCK

    def begin(self, tokens: Sequence[int], most: int, space: str) -> PagedLane | None:
        """Return a lane for a prompt: see ``Runner.begin``."""
        return self._pages.begin(tokens, most, space)

    def forward(self, work: Sequence[tuple[PagedLane, Sequence[int]]]) -> Logits:
        """Append tokens to lanes; return the logits behind the last one of each, (lanes, vocabulary)."""
        tokens: list[int] = []
        positions: list[int] = []
        before, begins, blocks, block_begins, places = [], [0], [], [0], []
        longest = 0
        for lane, new in work:
            before.append(lane.length)
            positions += range(lane.length, lane.length + len(new))
            tokens += new
            self._pages.append(lane, new)
            begins.append(len(tokens))
            blocks += lane.blocks()
            block_begins.append(len(blocks))
            places.append(len(tokens) - 1)
            longest = max(longest, lane.length)
        give = self._request.set_tensor
        for name, values, kind in (
            ("input_ids", tokens, np.int64),
            ("position_ids", positions, np.int64),
            ("past_lens", before, np.int32),
            ("subsequence_begins", begins, np.int32),
            ("block_indices", blocks, np.int32),
            ("block_indices_begins", block_begins, np.int32),
            ("max_context_len", longest, np.int32),
            (PLACES, places, np.int64),
        ):
            give(name, self._tensor(np.array(values, dtype=kind)))
        self._request.infer()
        logits: Logits = self._request.get_output_tensor(0).data
        return logits.reshape(len(work), -1)

    def end(self, lane: PagedLane) -> None:
        """Take a lane back; its blocks stay until others need them."""
        self._pages.end(lane)

    def close(self) -> None:
        """Free the model."""
        self._request = None
        self._blocks.clear()

    def _copy(self, source: int, target: int) -> None:
        for tensor in self._blocks:
            data = tensor.data
            data[target] = data[source]
