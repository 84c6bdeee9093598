"""The header of a GGUF file, read without NumPy: quick enough for every check."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from schemas.errors import KaraisError
from schemas.failure import Code

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_ITEMS = 1 << 28

# ggml type: (weights in a block, bytes of a block)
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class TensorInfo(Struct, frozen=True):
    """A tensor's place in the file."""

    name: str
    shape: tuple[int, ...]
    """Fastest-running dimension first."""
    type: int
    """Number of the ggml type."""
    offset: int
    """From the start of the data."""


class Header(Struct, frozen=True):
    """What a GGUF file says about itself."""

    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    data: int
    """Where the data begins, in bytes."""
    bytes: int
    """How long the file has to be; tensors of a type that is not known here do not count."""


def read_header(path: Path) -> Header:
    """Read a GGUF file's header. Raises KaraisError ``invalid``, naming the file, when it is damaged."""
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size)
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise KaraisError(
            f"The GGUF file {path} is truncated or damaged in its header ({error}): get it again.",
            code=Code.INVALID,
        ) from None


def control_tokens(header: Header) -> tuple[str, ...]:
    """Return the tokens that structure a prompt (``<|im_start|>``), which text must not contain."""
    tokens = header.metadata.get("tokenizer.ggml.tokens") or []
    types = header.metadata.get("tokenizer.ggml.token_type") or []
    control = 3
    return tuple(t for t, kind in zip(tokens, types, strict=False) if kind == control and len(t) > 1)


def training_context(header: Header) -> int:
    """Return the tokens that the model was trained for; 0 when the file does not say."""
    architecture = header.metadata.get("general.architecture", "")
    return int(header.metadata.get(f"{architecture}.context_length", 0))


def chat_templates(header: Header) -> list[str]:
    """Return the model's own chat templates, the named ones too."""
    key = "tokenizer.chat_template"
    return [
        value
        for name, value in header.metadata.items()
        if (name == key or name.startswith(f"{key}.")) and isinstance(value, str) and value
    ]


def _read(file: BinaryIO, size: int) -> Header:
    magic, version, tensors, pairs = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"version {version} of {magic!r} is not known")
    if tensors > _MAX_ITEMS or pairs > _MAX_ITEMS:
        raise ValueError("it claims too many entries")
    metadata = {}
    for _ in range(pairs):
        key = _string(file, size)
        (kind,) = struct.unpack("<I", file.read(4))
        metadata[key] = _value(file, kind, size)
    infos = []
    for _ in range(tensors):
        name = _string(file, size)
        (dimensions,) = struct.unpack("<I", file.read(4))
        if dimensions > 8:
            raise ValueError(f"tensor {name} has {dimensions} dimensions")
        shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
        kind, offset = struct.unpack("<IQ", file.read(12))
        infos.append(TensorInfo(name, shape, kind, offset))
    alignment = int(metadata.get("general.alignment", 32)) or 32
    data = -(-file.tell() // alignment) * alignment
    ends = [info.offset + bytes_of(info) for info in infos]
    return Header(metadata, tuple(infos), data, data + max(ends, default=0))


def bytes_of(info: TensorInfo) -> int:
    """Return the size of a tensor's data; 0 for a type that is not known here."""
    weights, size = _BLOCKS.get(info.type, (1, 0))
    count = 1
    for dimension in info.shape:
        count *= dimension
    return count // weights * size


def _string(file: BinaryIO, size: int) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > size:
        raise ValueError("a string is longer than the file")
    data = file.read(length)
    if len(data) != length:
        raise ValueError("it ends in a string")
    return data.decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int, size: int) -> Any:
    if kind == _STRING:
        return _string(file, size)
    if kind != _ARRAY:
        code = _SCALARS[kind]
        return struct.unpack(f"<{code}", file.read(struct.calcsize(code)))[0]
    inner, count = struct.unpack("<IQ", file.read(12))
    if count > size:
        raise ValueError("an array is longer than the file")
    if inner in (_STRING, _ARRAY):
        return [_value(file, inner, size) for _ in range(count)]
    code = _SCALARS[inner]
    return list(struct.unpack(f"<{count}{code}", file.read(count * struct.calcsize(code))))
