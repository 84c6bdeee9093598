"""Making weights ready for their engine.

llama.cpp has no quick kernels on the CPU for Q4_1, the format in which the
default model is published. Q8_0 holds the same values nearly exactly and is
quicker for several users and for long prompts. Q4_0 and IQ4_NL are quicker
still, but rounding four bits to other four bits costs a model this small a
fifth of its perplexity (`karais bench prepare` measures both). Everything else
of the file stays as it is, types of metadata included.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from stores.weights.gguf_copy import copy
from stores.weights.quantise import quantise

if TYPE_CHECKING:
    from stores.weights.registry import Progress

Format = Literal["Q8_0", "Q4_0", "IQ4_NL"]


class Recipe(Struct, frozen=True, kw_only=True):
    """How Q4_1 tensors are rewritten."""

    to: Format
    overrides: dict[str, str] = {}
    """Other formats (``Q8_0``) for tensors whose name contains the key."""
    plain: bool = False
    """Round to nearest instead of searching the scales; for comparison."""

    @property
    def text(self) -> str:
        """The recipe as the manifest keeps it."""
        exceptions = "".join(f", {part} {kind}" for part, kind in self.overrides.items())
        return f"Q4_1 -> {self.to}{' (to nearest)' if self.plain else ''}{exceptions}"


def rewrite(
    source: Path,
    target: Path,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
    threads: int = 0,
) -> None:
    """Write a copy of a GGUF file whose Q4_1 tensors are in another format; it may replace its source.

    ``target`` appears when it is whole and on disk. Raises KaraisError
    ``invalid`` when the file cannot be read, ``unavailable`` when the disk is full.
    """
    import gguf

    types = gguf.GGMLQuantizationType
    workers = threads or os.cpu_count() or 1
    copy(
        source,
        target,
        lambda tensor: _format(tensor, types, recipe),
        lambda tensor, kind: _data(gguf, tensor, kind, recipe.plain, workers),
        file_type=recipe.to,
        progress=progress,
    )


def _format(tensor: Any, types: Any, recipe: Recipe) -> Any:
    if tensor.tensor_type != types.Q4_1:
        return tensor.tensor_type
    return types[next((kind for part, kind in recipe.overrides.items() if part in tensor.name), recipe.to)]


def _data(gguf: Any, tensor: Any, kind: Any, plain: bool, threads: int) -> Any:
    """Return the tensor's bytes in a format."""
    if tensor.tensor_type == kind:
        return tensor.data
    weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    if kind.name in ("Q4_0", "IQ4_NL") and not plain:
        return quantise(weights, kind.name, threads)
    return gguf.quants.quantize(weights, kind)
