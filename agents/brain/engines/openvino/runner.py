"""The forward pass: tokens of several lanes in one call, their keys and values in shared blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.brain.engines.openvino.graph import PLACES, Cache
from agents.brain.engines.openvino.lora import WANTED, Loaded
from agents.brain.stepping.pages import PagedLane, Pages

if TYPE_CHECKING:
    from agents.brain.stepping.runner import Logits
    from stores.weights.adapters import Adapter, Shape

_MOST_ADAPTERS = 8
"""More of them make every answer with one slower."""
BLOCK = 32
"""Tokens in a block: what OpenVINO's kernels for processors take."""


class OpenVinoRunner:
    """A ``Runner`` over a compiled model; ``tokens`` is what its blocks have room for."""

    def __init__(self, model: Any, caches: Sequence[Cache], tokens: int, shape: Shape) -> None:
        import openvino

        self._count = -(-tokens // BLOCK)
        self._tensor = openvino.Tensor
        self._caches = {
            cache.name: openvino.Tensor(cache.element, openvino.Shape([self._count, *cache.shape]))
            for cache in caches
        }
        self._request = self._requested(model)
        self._adaptable: Any = None
        """A request to the model with inputs for adapters, on the same blocks."""
        self._loaded = Loaded(shape)
        self._spaces: Counter[str] = Counter()
        """Lanes of each adapter."""
        self._pages = Pages(self._count, BLOCK, self._copy)
        self._lanes: set[PagedLane] = set()

    def take_adaptable(self, model: Any) -> None:
        """Take the same model, compiled with inputs for adapters. May be called by another thread."""
        self._adaptable = self._requested(model)

    @property
    def adaptable(self) -> bool:
        """Whether adapters can be taken now."""
        return self._adaptable is not None

    @property
    def capacity(self) -> int:
        """Tokens whose keys and values there is room for, over all lanes."""
        return self._count * BLOCK

    def begin(self, tokens: Sequence[int], most: int, space: str) -> PagedLane | None:
        """Return a lane for a prompt: see ``Runner.begin``."""
        lane = self._pages.begin(tokens, most, space)
        if lane is not None:
            self._lanes.add(lane)
            self._spaces[space] += 1
        return lane

    def adapt(self, adapter: Adapter) -> None:
        """Take an adapter: see ``Runner.adapt``."""
        if adapter.key in self._loaded.keys:
            return
        if len(self._loaded.keys) >= _MOST_ADAPTERS:
            unused = [key for key in self._loaded.keys if not self._spaces[key]]
            self._loaded.keep(set(self._loaded.keys) - set(unused[:1]))
            for key in unused[:1]:
                self._pages.forget(key)
        self._loaded.put(adapter)
        for name, matrix in self._loaded.matrices():
            self._adaptable.set_tensor(name, self._tensor(matrix))

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
        adapted = any(lane.space for lane, _ in work)
        request = self._adaptable if adapted else self._request
        give = request.set_tensor
        if adapted:
            wanted = self._loaded.wanted([(lane.space, len(new)) for lane, new in work])
            give(WANTED, self._tensor(wanted))
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
        try:
            request.infer()
        except BaseException:
            # What was booked as computed is not: nothing that was kept can be trusted any more.
            self._pages = Pages(self._count, BLOCK, self._copy)
            self._lanes.clear()
            self._spaces.clear()
            raise
        logits: Logits = request.get_output_tensor(0).data
        return logits.reshape(len(work), -1)

    def warm_up(self) -> None:
        """Compute once what is computed only once: the weights in the orders that the kernels want.

        There is one for a token or a few, and one for many.
        """
        lane = self.begin([0] * 2 * BLOCK, 2 * BLOCK, "")
        assert lane is not None
        self.forward([(lane, [0])])
        self.forward([(lane, [0] * BLOCK)])
        self.end(lane)
        self._pages.forget("")

    def end(self, lane: PagedLane) -> None:
        """Take a lane back; its blocks stay until others need them."""
        if lane in self._lanes:  # else it went with a call that failed
            self._lanes.remove(lane)
            self._pages.end(lane)
            self._spaces[lane.space] -= 1

    def close(self) -> None:
        """Free the model."""
        self._request = self._adaptable = None
        self._caches.clear()

    def _copy(self, source: int, target: int) -> None:
        for tensor in self._caches.values():
            data = tensor.data
            data[target] = data[source]

    def _requested(self, model: Any) -> Any:
        request = model.create_infer_request()
        for name, tensor in self._caches.items():
            request.set_tensor(name, tensor)
        return request
