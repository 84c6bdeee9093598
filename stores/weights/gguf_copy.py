"""Copying a GGUF file with some of its tensors in another format or with other values."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import KaraisError
from schemas.failure import Code

if TYPE_CHECKING:
    from stores.weights.registry import Progress

FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "IQ4_NL": 25}
"""Numbers of ``general.file_type``."""


def copy(
    source: Path,
    target: Path,
    format_of: Callable[[Any], Any],
    data_of: Callable[[Any, Any], Any],
    *,
    file_type: str = "",
    progress: Progress | None = None,
) -> None:
    """Write a copy of a GGUF file; it may replace its source.

    ``format_of(tensor)`` returns the type (``gguf.GGMLQuantizationType``) that
    a tensor gets, ``data_of(tensor, type)`` its bytes. ``target`` appears when
    it is whole and on disk. Raises KaraisError ``invalid`` when the file
    cannot be read, ``unavailable`` when the disk is full.
    """
    import gguf

    partial = target.with_name(target.name + ".partial")
    try:
        reader = gguf.GGUFReader(source)
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise KaraisError(f"The GGUF file {source} cannot be read: {error}.", code=Code.INVALID) from None
    try:
        _write(gguf, reader, partial, format_of, data_of, file_type, progress)
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
    format_of: Callable[[Any], Any],
    data_of: Callable[[Any, Any], Any],
    file_type: str,
    progress: Progress | None,
) -> None:
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    writer.data_alignment = reader.alignment
    try:
        for field in reader.fields.values():
            if field.name.startswith("GGUF.") or field.name == "general.architecture":
                continue
            value = field.contents()
            if field.name == "general.file_type" and file_type:
                value = FILE_TYPES[file_type]
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
        formats = {tensor.name: format_of(tensor) for tensor in reader.tensors}
        for tensor in reader.tensors:
            kind = formats[tensor.name]
            shape = [int(n) for n in reversed(tensor.shape)]
            weights, size = gguf.GGML_QUANT_SIZES[kind]
            count = int(tensor.n_elements)
            writer.add_tensor_info(tensor.name, shape, None, count // weights * size, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        total = sum(int(tensor.n_bytes) for tensor in reader.tensors)
        done = 0
        for tensor in reader.tensors:
            writer.write_tensor_data(data_of(tensor, formats[tensor.name]))
            done += int(tensor.n_bytes)
            if progress:
                progress(done, total)
    finally:
        writer.close()
