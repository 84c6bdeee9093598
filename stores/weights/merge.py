"""Adding an adapter to a model's weights for good: a model of its own, as fast as the one without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights import adapters, registry
from stores.weights.gguf_copy import copy
from stores.weights.gguf_header import read_header

if TYPE_CHECKING:
    from stores.weights.adapters import Adapter, Array, Place, Shape
    from stores.weights.registry import Model, Progress


_WRITABLE = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def merge(models: Path, base: Model, adapter: Model, name: str, progress: Progress | None = None) -> Model:
    """Register ``base`` with ``adapter`` in its weights under a name.

    Tensors that change keep their format where it can be written, and become
    Q8_0 otherwise. Blocks for seconds. Raises KaraisError: ``invalid`` when
    the adapter does not fit or the model is no GGUF file, ``conflict`` when
    the name is taken, ``unavailable`` without room.
    """
    if base.manifest.kind != "gguf":
        raise KaraisError(
            f"The model {base.name} is {base.manifest.kind}: adapters are merged into GGUF models alone.",
            code=Code.INVALID,
        )
    shape = adapters.shape_of(base.name, read_header(base.weights))
    change = _Change(adapters.read(adapter, shape), shape)
    with registry.adding(models, name) as folder:
        target = folder / Path(base.manifest.main).name
        copy(base.weights, target, change.format_of, change.data_of, progress=progress)
        return registry.commit(
            models,
            folder,
            name=name,
            kind="gguf",
            main=target.name,
            source=f"merge:{base.name}+{adapters.key_of(adapter)}",
            profile=base.manifest.profile,
            checked_template=base.manifest.checked_template,
        )


class _Change:
    """What becomes of each tensor."""

    def __init__(self, adapter: Adapter, shape: Shape) -> None:
        import gguf

        self._gguf: Any = gguf
        self._adapter = adapter
        self._shape = shape

    def format_of(self, tensor: Any) -> Any:
        """Return the type that a tensor gets."""
        kind = tensor.tensor_type
        types = self._gguf.GGMLQuantizationType
        writable = {types[name] for name in _WRITABLE}
        return kind if self._place(tensor) is None or kind in writable else types.Q8_0

    def data_of(self, tensor: Any, kind: Any) -> Any:
        """Return a tensor's bytes, with what the adapter adds to it."""
        place = self._place(tensor)
        if place is None:
            return tensor.data
        weights = self._gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()
        low = self._adapter.places[place]
        added: Array = np.matmul(low.b * np.float32(low.scale), low.a)
        if place[1] in ("q", "k"):
            heads = self._shape.heads if place[1] == "q" else self._shape.kv_heads
            added = adapters.permuted(added, heads)
        weights += added.reshape(weights.shape)
        return self._gguf.quants.quantize(weights, kind)

    def _place(self, tensor: Any) -> Place | None:
        place = adapters.place_of(tensor.name)
        return place if place in self._adapter.places else None
