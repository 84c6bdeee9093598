"""The forward pass: tokens of all lanes in one call.

Layers read their weights once for all lanes, which is most of what a step
costs. Whether a model can be run so is found out by trying: a few tokens of
two lanes have to give the logits that the model gives by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from agents.brain.engines.huggingface.adapting import Loaded
from agents.brain.engines.huggingface.attention import NAME, State, Step, attend, using
from agents.brain.engines.huggingface.lanes import Lane, Lanes
from agents.brain.stepping.runner import Logits
from schemas.errors import Unavailable

if TYPE_CHECKING:
    from stores.weights.adapters import Adapter

log = logging.getLogger(__name__)

_MOST_ADAPTERS = 8
_TRIED = (11, 7)
"""Tokens of the two lanes of the trial."""
_PORTIONS = ((5, 3), (5, 3), (1, 1))
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.2}
"""Largest difference between logits, as a part of the largest logit, that rounding may make."""


class PackedRunner:
    """A ``Runner`` over a model of transformers that ``can_be_packed``."""

    def __init__(self, model: Any, tokens: int, shapes: State) -> None:
        self._model = model
        self._shapes = shapes
        """For each layer keys and values of no tokens."""
        self._lanes = Lanes(tokens)
        self._loaded = Loaded(model)

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
        try:
            lane.state = self._room(most)
            if source is not None and common:
                for layer, pair in source.state.items():
                    for old, new in zip(pair, lane.state[layer], strict=True):
                        new[:, :common] = old[:, :common]
                lane.tokens = source.tokens[:common]
        except torch.OutOfMemoryError:
            self._lanes.drop(lane)
            free(self._lanes)
            return None
        return lane

    def adapt(self, adapter: Adapter) -> None:
        """Take an adapter: see ``Runner.adapt``."""
        if adapter.key in self._loaded.keys:
            return
        unused = [key for key in self._loaded.keys if not self._lanes.runs(key)]
        if len(self._loaded.keys) >= _MOST_ADAPTERS:
            for key in unused[:1]:
                self._loaded.drop(key)
                self._lanes.forget(key)
        self._loaded.put(adapter)

    def forward(self, work: Sequence[tuple[Lane, Sequence[int]]]) -> Logits:
        """Append tokens to lanes; return the logits behind the last one of each, (lanes, vocabulary)."""
        tokens: list[int] = []
        adapted: list[tuple[int, int, str]] = []
        for lane, new in work:
            if lane.space:
                adapted.append((len(tokens), len(tokens) + len(new), lane.space))
            tokens += new
        step = Step([(lane.state, lane.most, lane.length, len(new)) for lane, new in work], adapted)
        try:
            logits = _logits(self._model, step, tokens)
        except Exception as error:
            for lane, _ in work:
                lane.spoiled = True
            raise failed(error, self._lanes) from error
        for lane, new in work:
            lane.tokens += new
        return logits

    def end(self, lane: Lane) -> None:
        """Take a lane back. What it holds serves later prompts as long as there is room."""
        if not self._lanes.end(lane):
            lane.state = None
        elif self._model.device.type == "cuda":
            # what it was promised and did not need; on a CPU, memory that was never written to is not taken
            try:
                lane.state = {
                    layer: (keys[:, : lane.length].clone(), values[:, : lane.length].clone())
                    for layer, (keys, values) in lane.state.items()
                }
            except torch.OutOfMemoryError:
                self._lanes.drop(lane)
                lane.state = None

    def close(self) -> None:
        """Free the model."""
        self._model = self._loaded = None  # type: ignore[assignment]  # it is used no more
        self._lanes.clear()

    def _room(self, most: int) -> State:
        def empty(like: torch.Tensor) -> torch.Tensor:
            return like.new_empty(like.shape[0], most, like.shape[2])

        return {layer: (empty(keys), empty(values)) for layer, (keys, values) in self._shapes.items()}


def free(lanes: Lanes) -> None:
    """Give back the memory of lanes that ended."""
    lanes.clear()
    torch.cuda.empty_cache()


def failed(error: Exception, lanes: Lanes) -> Exception:
    """Return the error that a step's requests shall fail with; free what is kept when memory was short."""
    if not isinstance(error, torch.OutOfMemoryError):
        return error
    free(lanes)
    return Unavailable("the card's memory is full: ask again, or set a smaller `context`")


def can_be_packed(model: Any) -> State | None:
    """Return the shapes of each layer's keys and values when lanes can share a call, else None.

    Changes how the model computes attention, and back again when it cannot.
    """
    from transformers import AttentionInterface

    if not getattr(model, "_supports_attention_backend", False):
        return None
    before = model.config._attn_implementation
    size = int(model.config.get_text_config().vocab_size)
    texts = [[(7919 * (place + 1) + 31 * lane) % size for place in range(_TRIED[lane])] for lane in (0, 1)]
    try:
        expected = [_plain(model, text) for text in texts]
        AttentionInterface.register(NAME, attend)
        model.set_attn_implementation(NAME)
        states: list[State] = [{}, {}]
        done = [0, 0]
        for portions in _PORTIONS:
            step = Step([(states[lane], _TRIED[lane], done[lane], new) for lane, new in enumerate(portions)])
            tokens = [t for lane, new in enumerate(portions) for t in texts[lane][done[lane] :][:new]]
            logits = torch.from_numpy(_logits(model, step, tokens))
            done = [done[lane] + new for lane, new in enumerate(portions)]
        largest = max(float(row.abs().max()) for row in expected)
        apart = max(float((logits[lane] - expected[lane]).abs().max()) for lane in (0, 1))
        if not apart <= _TOLERANCE.get(model.dtype, 0.0) * largest:
            raise ValueError(f"the logits differ by {apart:.3g}, the largest is {largest:.3g}")
    except Exception as error:  # noqa: BLE001 - whatever a strange model raises, it can be run lane by lane
        log.info("%s is run lane by lane: %s", type(model).__name__, error or type(error).__name__)
        model.set_attn_implementation(before)
        return None
    return {
        layer: (keys[:, :0].clone(), values[:, :0].clone()) for layer, (keys, values) in states[0].items()
    }


@torch.inference_mode()
def _plain(model: Any, text: list[int]) -> torch.Tensor:
    ids = torch.tensor([text], device=model.device)
    row: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, -1]
    return row.float().cpu()


@torch.inference_mode()
def _logits(model: Any, step: Step, tokens: Sequence[int]) -> Logits:
    positions: list[int] = []
    places: list[int] = []
    for _, _, before, new in step.lanes:
        positions += range(before, before + new)
        places.append(len(positions) - 1)
    device = model.device
    with using(step):
        found = model(
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([positions], device=device),
            use_cache=False,
            logits_to_keep=torch.tensor(places, device=device),
        )
    logits: Logits = found.logits[0].float().cpu().numpy()
    return logits
