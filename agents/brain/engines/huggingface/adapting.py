"""Adapters over a model of transformers, chosen token by token, so that answers with others share a call.

Behind each linear layer that an adapter changes, what it adds is computed for
the tokens that want it. Nothing of the model's own weights is changed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from agents.brain.engines.huggingface.attention import current
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.adapters import PARTS, Adapter, Place, Shape

if TYPE_CHECKING:
    from torch import Tensor

_LINEAR = re.compile(r"\.layers\.(\d+)\.\w+\.(\w+)_proj$")


class Loaded:
    """The adapters that are loaded over one model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._matrices: dict[str, dict[Place, tuple[Tensor, Tensor]]] = {}
        """By the adapter's key: A and B transposed, (in, rank) and (rank, out), B with the scale."""
        self._hooked = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of what is loaded, the least recently added first."""
        return tuple(self._matrices)

    def put(self, adapter: Adapter) -> None:
        """Load an adapter that fits the model's shape."""
        like = next(self._model.parameters())
        self._matrices[adapter.key] = {
            place: (
                torch.from_numpy(low.a.T.copy()).to(like),
                torch.from_numpy((low.b.T * low.scale).copy()).to(like),
            )
            for place, low in adapter.places.items()
        }
        if not self._hooked:
            for place, linear in _linears(self._model).items():
                linear.register_forward_hook(self._hook(place))
            self._hooked = True

    def drop(self, key: str) -> None:
        """Unload an adapter."""
        del self._matrices[key]

    def _hook(self, place: Place) -> Any:
        def add(_: Any, given: tuple[Tensor], found: Tensor) -> None:
            for begin, end, key in current().adapted:
                pair = self._matrices[key].get(place)
                if pair is not None:
                    found[:, begin:end] += given[0][:, begin:end] @ pair[0] @ pair[1]

        return add


def shape_of(name: str, model: Any) -> Shape:
    """Return what an adapter has to fit to; without any parts when the model's layers are of another kind."""
    config = model.config.get_text_config()
    linears = _linears(model)
    heads = int(getattr(config, "num_attention_heads", 1))
    return Shape(
        name=name,
        layers=1 + max((layer for layer, _ in linears), default=-1),
        heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        sizes={
            part: (linears[0, part].out_features, linears[0, part].in_features)
            for part in PARTS
            if (0, part) in linears
        },
    )


def no_adapters(adapter: Adapter) -> KaraisError:
    """Return the error for a model whose lanes do not share a call."""
    return KaraisError(
        f"The adapter {adapter.name} cannot be used: the engine transformers runs this model lane by lane,"
        " and takes no adapters then.",
        code=Code.INVALID,
        field="$.sampling.adapter",
    )


def _linears(model: Any) -> dict[Place, Any]:
    found: dict[Place, Any] = {}
    for name, module in model.named_modules():
        match = _LINEAR.search(name)
        if match and match[2] in PARTS and isinstance(module, torch.nn.Linear):
            found[int(match[1]), match[2]] = module
    return found
