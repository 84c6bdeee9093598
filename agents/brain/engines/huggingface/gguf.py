"""A GGUF file as transformers wants to read it.

Its loader asks the ``gguf`` library's reader, which makes several arrays of
every entry of the vocabulary: three times 8 s for 50,000 tokens. The tokenizer
is not wanted here, so the loader gets a reader that leaves it out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from stores.weights.gguf_header import Header, bytes_of, read_header

_TOKENIZER = "tokenizer.ggml."
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _UINT64, _FLOAT64 = 4, 5, 6, 7, 8, 9, 10, 12
_PLAIN = {0: np.float32, 1: np.float16, 24: np.int8, 25: np.int16, 26: np.int32, 27: np.int64, 28: np.float64}
"""ggml types that are numbers and not blocks; of others the loader wants bytes."""

_patching = threading.Lock()


class _Field(Struct):
    """One entry of the metadata: values, the places of those that count, and the numbers of their types."""

    parts: list[Any]
    data: list[int]
    types: list[int]


class _Tensor(Struct):
    name: str
    tensor_type: Any
    shape: tuple[int, ...]
    """Fastest-running dimension first."""
    data: Any


class Reader:
    """What the loader uses of ``gguf.GGUFReader``."""

    def __init__(self, path: str | Path) -> None:
        header = read_header(Path(path))
        self.fields = _fields(header)
        self.tensors = _tensors(Path(path), header)


@contextmanager
def reading_quickly() -> Iterator[None]:
    """Let the loader read with ``Reader`` in the meantime."""
    import gguf

    with _patching:
        before = gguf.GGUFReader
        gguf.GGUFReader = Reader
        try:
            yield
        finally:
            gguf.GGUFReader = before


def _fields(header: Header) -> dict[str, _Field]:
    meta = header.metadata
    fields = {
        name: _field(value)
        for name, value in meta.items()
        if not (name.startswith(_TOKENIZER) and isinstance(value, list))
    }
    size = f"{meta.get('general.architecture', '')}.vocab_size"
    if size not in fields and (tokens := meta.get("tokenizer.ggml.tokens")):
        fields[size] = _field(len(tokens))
    return fields


def _field(value: Any) -> _Field:
    if isinstance(value, list):
        inner = [_field(item) for item in value]
        kinds = inner[0].types if inner else [_INT32]
        return _Field([item.parts[0] for item in inner], list(range(len(inner))), [_ARRAY, *kinds])
    if isinstance(value, str):
        return _Field([value.encode()], [0], [_STRING])
    kind = _BOOL if isinstance(value, bool) else _INT32 if isinstance(value, int) else _FLOAT64
    return _Field([[value]], [0], [kind])


def _tensors(path: Path, header: Header) -> list[_Tensor]:
    """Return the tensors, their data mapped from the file."""
    import gguf

    file = np.memmap(path, np.uint8, "r")
    found = []
    for info in header.tensors:
        kind = gguf.GGMLQuantizationType(info.type)
        at = header.data + info.offset
        data: Any = file[at : at + bytes_of(info)]
        rows = tuple(reversed(info.shape))
        if info.type in _PLAIN:
            data = data.view(_PLAIN[info.type]).reshape(rows)
        else:
            weights, size = gguf.GGML_QUANT_SIZES[kind]
            data = data.reshape(*rows[:-1], rows[-1] // weights * size)
        found.append(_Tensor(info.name, kind, info.shape, data))
    return found
