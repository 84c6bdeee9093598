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

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.quantise import quantise

if TYPE_CHECKING:
    from stores.weights.registry import Progress

Format = Literal["Q8_0", "Q4_0", "IQ4_NL"]

_FILE_TYPES = {"Q4_0": 2, "Q8_0": 7, "IQ4_NL": 25}
"""Numbers of ``general.file_type``."""


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

    partial = target.with_name(target.name + ".partial")
    try:
        reader = gguf.GGUFReader(source)
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise KaraisError(f"The GGUF file {source} cannot be read: {error}.", code=Code.INVALID) from None
    try:
        _write(gguf, reader, partial, recipe, progress, threads or os.cpu_count() or 1)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.rename(target)
    except OSError as error:
        raise KaraisError(
            f"{target} cannot be written: {error.strerror}; free some space and try again.",
            code=Code.UNAVAILABLE,
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _write(
    gguf: Any,
    reader: Any,
    target: Path,
    recipe: Recipe,
    progress: Progress | None,
    threads: int,
) -> None:
    types = gguf.GGMLQuantizationType
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    writer.data_alignment = reader.alignment
    try:
        for field in reader.fields.values():
            if field.name.startswith("GGUF.") or field.name == "general.architecture":
                continue
            value = field.contents()
            if field.name == "general.file_type":
                value = _FILE_TYPES[recipe.to]
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
        formats = {t.name: _format(t, types, recipe) for t in reader.tensors}
        for tensor in reader.tensors:
            kind = formats[tensor.name]
            shape = [int(n) for n in reversed(tensor.shape)]
            weights, size = gguf.GGML_QUANT_SIZES[kind]
            count = int(tensor.n_elements)
            writer.add_tensor_info(tensor.name, shape, None, count // weights * size, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        total = sum(int(t.n_bytes) for t in reader.tensors)
        done = 0
        for tensor in reader.tensors:
            writer.write_tensor_data(_data(gguf, tensor, formats[tensor.name], recipe.plain, threads))
            done += int(tensor.n_bytes)
            if progress:
                progress(done, total)
    finally:
        writer.close()


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
