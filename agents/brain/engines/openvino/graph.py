"""A language model in OpenVINO's format, made ready for paged keys and values.

The model comes with a state that grows by each token of one text. OpenVINO's
own transformation replaces it by blocks that are inputs; which tokens lie in
which block is then said with each call. What the last layer computes is cut
down to the places whose logits are wanted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agents.brain.engines.openvino import lora

if TYPE_CHECKING:
    from stores.weights.adapters import Shape

PLACES = "sampled_tokens_indices"
"""Input: the places, in the call's tokens, whose logits are wanted."""


class Cache(Struct, frozen=True):
    """One layer's blocks of keys, or of values."""

    name: str
    """Of the compiled model's input."""
    shape: tuple[int, ...]
    """Of one block."""
    element: Any
    """OpenVINO's element type."""


def compiled(core: Any, model: Path, threads: int, adapters: Shape | None = None) -> tuple[Any, list[Cache]]:
    """Return the compiled model and what it wants to be given as blocks. Blocks for a second or more.

    With ``adapters`` it has inputs for them, see ``lora``.
    """
    from openvino._offline_transformations import paged_attention_transformation

    graph = core.read_model(model)
    paged_attention_transformation(graph)
    _keep_wanted_places(graph)
    if adapters is not None:
        lora.extend(graph, adapters)
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    ready = core.compile_model(graph, "CPU", options)
    caches = []
    for port in ready.inputs:
        name = port.get_any_name()
        if name.startswith(("key_cache.", "value_cache.")):
            _, *block = list(port.get_partial_shape())
            shape = tuple(dimension.get_length() for dimension in block)
            caches.append(Cache(name, shape, port.get_element_type()))
    return ready, caches


def _keep_wanted_places(graph: Any) -> None:
    """Compute logits for the wanted places alone: the last layer is the largest."""
    import numpy as np
    from openvino import opset13 as ops

    node = graph.get_results()[0].input_value(0).get_node()
    while node.get_type_name() != "MatMul":
        node = node.input_value(0).get_node()
    places = ops.parameter([-1], np.int64, name=PLACES)
    places.get_output_tensor(0).set_names({PLACES})
    wanted = ops.gather(node.input_value(0), places, ops.constant(0, dtype=np.int64))
    node.input(0).replace_source_output(wanted.output(0))
    graph.add_parameters([places])
    graph.validate_nodes_and_infer_types()
