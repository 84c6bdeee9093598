"""Adapters in the compiled model: their matrices are inputs, and each token says which of them it wants.

Behind each linear layer y = x · Wᵀ stands y + ((x · Aᵀ) * wanted) · Bᵀ, where A
and B hold the matrices of all loaded adapters side by side, and ``wanted``
holds, for each token, 1 in the columns of its adapter and 0 in the others. So
adapters come and go by setting inputs, and answers with different ones are
computed together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stores.weights.adapters import PARTS

if TYPE_CHECKING:
    from stores.weights.adapters import Adapter, Array, Place, Shape

WANTED = "adapters_wanted"
"""Input: (tokens, 1, ranks of all loaded adapters)."""


def extend(graph: Any, shape: Shape) -> None:
    """Put the inputs for adapters into a model whose linear layers come in the order of PARTS.

    Raises ValueError when they do not.
    """
    from openvino import opset13 as ops

    wanted = ops.parameter([-1, 1, -1], np.float32, name=WANTED)
    wanted.get_output_tensor(0).set_names({WANTED})
    inputs = [wanted]
    for place, linear in zip(_places(shape), _linear_layers(graph, shape), strict=True):
        out, into = shape.sizes[place[1]]
        a = ops.parameter([-1, into], np.float32, name=_name("a", place))
        b = ops.parameter([out, -1], np.float32, name=_name("b", place))
        for matrix, half in ((a, "a"), (b, "b")):
            matrix.get_output_tensor(0).set_names({_name(half, place)})
        inputs += [a, b]
        output = linear.output(0)
        readers = output.get_target_inputs()
        inner = ops.matmul(linear.input_value(0), a, transpose_a=False, transpose_b=True)
        added = ops.matmul(ops.multiply(inner, wanted), b, transpose_a=False, transpose_b=True)
        whole = ops.add(output, added)
        for reader in readers:
            reader.replace_source_output(whole.output(0))
    graph.add_parameters(inputs)
    graph.validate_nodes_and_infer_types()


class Loaded:
    """The adapters that are loaded, as the model's inputs want them."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._adapters: list[Adapter] = []

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of what is loaded, the least recently added first."""
        return tuple(adapter.key for adapter in self._adapters)

    def put(self, adapter: Adapter) -> None:
        """Load an adapter."""
        self._adapters.append(adapter)

    def keep(self, keys: Collection[str]) -> None:
        """Unload all adapters but these."""
        self._adapters = [adapter for adapter in self._adapters if adapter.key in keys]

    def matrices(self) -> Iterator[tuple[str, Array]]:
        """Yield the name and the value of every input but WANTED."""
        for place in _places(self._shape):
            out, into = self._shape.sizes[place[1]]
            a = np.zeros((self._ranks, into), np.float32)
            b = np.zeros((out, self._ranks), np.float32)
            at = 0
            for adapter in self._adapters:
                low = adapter.places.get(place)
                if low is not None:
                    rank = low.a.shape[0]
                    a[at : at + rank] = low.a
                    b[:, at : at + rank] = low.b * low.scale
                at += adapter.rank
            yield _name("a", place), a
            yield _name("b", place), b

    def wanted(self, lanes: Sequence[tuple[str, int]]) -> Array:
        """Return WANTED for lanes, each with its adapter's key (empty for none) and its tokens."""
        starts = {}
        at = 0
        for adapter in self._adapters:
            starts[adapter.key] = (at, at + adapter.rank)
            at += adapter.rank
        wanted = np.zeros((sum(count for _, count in lanes), 1, at), np.float32)
        token = 0
        for key, count in lanes:
            if key:
                begin, end = starts[key]
                wanted[token : token + count, 0, begin:end] = 1.0
            token += count
        return wanted

    @property
    def _ranks(self) -> int:
        return sum(adapter.rank for adapter in self._adapters)


def _name(half: str, place: Place) -> str:
    return f"lora_{half}.{place[0]}.{place[1]}"


def _places(shape: Shape) -> Iterator[Place]:
    for layer in range(shape.layers):
        for part in PARTS:
            yield layer, part


def _linear_layers(graph: Any, shape: Shape) -> list[Any]:
    """Return the multiplications by weights, the last one (of the vocabulary) left out."""
    found = [
        node
        for node in graph.get_ordered_ops()
        if node.get_type_name() == "MatMul" and node.get_attributes()["transpose_b"]
    ]
    # The order of computation is free where layers do not depend on one another; numbers tell when
    # openvino-genai made them, which is the order of PARTS.
    found.sort(key=lambda node: int(node.get_friendly_name().rpartition("_")[2]))
    linear = found[:-1]
    expected = [shape.sizes[part] for _, part in _places(shape)]
    there = [tuple(d.get_length() for d in node.input_value(1).get_partial_shape()) for node in linear]
    if there != expected:
        raise ValueError("the converted model's layers are in an order that is not known")
    return linear
