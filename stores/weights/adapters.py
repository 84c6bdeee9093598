"""LoRA adapters: small matrices that are added to a model's own.

Read from what PEFT writes (``adapter_config.json`` and safetensors) and from
what llama.cpp takes (GGUF). In both a linear layer's weights W, of shape
(out, in), become W + scale · B · A, with A of shape (rank, in) and B of shape
(out, rank). GGUF files of the Llama family have the rows of q and k in another
order, one half of a head beside the other; here they are as PEFT has them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.gguf_header import Header

if TYPE_CHECKING:
    from stores.weights.registry import Model

Array = NDArray[np.float32]
Place = tuple[int, str]
"""Number of a layer, from 0, and one of PARTS."""

PARTS = ("q", "k", "v", "o", "gate", "up", "down")
MODULES = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip
"""What transformers calls each of PARTS within a layer."""
_PEFT = {module.partition(".")[2]: part for part, module in MODULES.items()}
_GGUF = {"attn_q": "q", "attn_k": "k", "attn_v": "v", "attn_output": "o", "ffn_gate": "gate", "ffn_up": "up",
         "ffn_down": "down"}  # fmt: skip
_PEFT_NAME = re.compile(r"\.layers\.(\d+)\.\w+\.(\w+_proj)\.lora_([AB])(?:\.default)?\.weight$")
_GGUF_NAME = re.compile(r"^blk\.(\d+)\.(\w+)\.weight\.lora_([ab])$")
_GGUF_WEIGHT = re.compile(r"^blk\.(\d+)\.(\w+)\.weight$")
_MOST_RANK = 512


@dataclass(frozen=True)
class Low:
    """What is added to one layer's weights: scale · ``b`` · ``a``."""

    a: Array
    """(rank, in)."""
    b: Array
    """(out, rank)."""
    scale: float


@dataclass(frozen=True)
class Adapter:
    """All that is added to a model's weights."""

    name: str
    key: str
    """Another one under the same name has another key."""
    places: Mapping[Place, Low]

    @property
    def rank(self) -> int:
        """The largest rank."""
        return max(int(low.a.shape[0]) for low in self.places.values())


class Shape(Struct, frozen=True):
    """What an adapter has to fit to."""

    name: str
    """Of the model."""
    layers: int
    heads: int
    kv_heads: int
    sizes: dict[str, tuple[int, int]]
    """(out, in) of each of PARTS."""


def shape_of(name: str, header: Header) -> Shape:
    """Return the shape of a model of the Llama family, from its GGUF header."""
    meta = header.metadata
    kind = meta.get("general.architecture", "llama")
    heads = int(meta[f"{kind}.attention.head_count"])
    sizes = {}
    for info in header.tensors:
        place = place_of(info.name)
        if place is not None and place[0] == 0:
            sizes[place[1]] = (int(info.shape[1]), int(info.shape[0]))
    return Shape(
        name=name,
        layers=int(meta[f"{kind}.block_count"]),
        heads=heads,
        kv_heads=int(meta.get(f"{kind}.attention.head_count_kv", heads)),
        sizes=sizes,
    )


def key_of(model: Model) -> str:
    """Return what tells an adapter from others, of the same name too."""
    sums = "".join(sorted(file.sha256 for file in model.manifest.files))
    return f"{model.name}@{hashlib.sha256(sums.encode()).hexdigest()[:12]}"


def read(model: Model, shape: Shape) -> Adapter:
    """Read an adapter of the Tier-0 folder for a model of this shape. Blocks.

    Raises KaraisError ``invalid``, naming the file and the tensor or field,
    when it is damaged, of a kind that is not known, or made for another model.
    """
    if model.manifest.kind != "lora":
        raise KaraisError(
            f"{model.name} is no adapter but a model ({model.manifest.kind}): name an adapter.",
            code=Code.INVALID,
            field="$.sampling.adapter",
        )
    try:
        places = _gguf(model.weights, shape) if model.manifest.main else _peft(model.folder)
    except (OSError, ValueError, KeyError, msgspec.MsgspecError) as error:
        raise _wrong(model, f"it cannot be read ({error})") from None
    if not places:
        raise _wrong(model, "it has no tensors for layers that are known")
    for place, low in sorted(places.items()):
        _check(model, shape, place, low)
    return Adapter(model.name, key_of(model), places)


def _check(model: Model, shape: Shape, place: Place, low: Low) -> None:
    layer, part = place
    if layer >= shape.layers or part not in shape.sizes:
        raise _wrong(model, f"it changes layer {layer}, part {part}, which {shape.name} does not have")
    out, into = shape.sizes[part]
    rank = low.a.shape[0]
    if low.a.shape != (rank, into) or low.b.shape != (out, rank) or rank > _MOST_RANK:
        raise _wrong(
            model,
            f"its tensors for layer {layer}, part {part}, are {low.a.shape} and {low.b.shape},"
            f" but {shape.name} needs (rank, {into}) and ({out}, rank): it was made for another model",
        )
    if not (np.isfinite(low.a).all() and np.isfinite(low.b).all() and np.isfinite(low.scale)):
        raise _wrong(model, f"its tensors for layer {layer}, part {part}, hold values that are no numbers")


class _Config(Struct):
    """What counts of PEFT's ``adapter_config.json``."""

    r: int
    lora_alpha: float
    peft_type: str = "LORA"
    use_rslora: bool = False
    use_dora: bool = False
    fan_in_fan_out: bool = False
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}


def _peft(folder: Path) -> dict[Place, Low]:
    from safetensors.numpy import load_file

    config = msgspec.json.decode((folder / "adapter_config.json").read_bytes(), type=_Config)
    if config.peft_type != "LORA" or config.use_dora or config.fan_in_fan_out or config.alpha_pattern:
        raise ValueError("adapter_config.json names a kind other than plain LoRA")
    halves: dict[Place, dict[str, Array]] = {}
    for name, tensor in load_file(folder / "adapter_model.safetensors").items():
        found = _PEFT_NAME.search(name)
        if found is None or found[2] not in _PEFT:
            raise ValueError(f"the tensor {name} is not known")
        place = (int(found[1]), _PEFT[found[2]])
        halves.setdefault(place, {})[found[3].lower()] = np.asarray(tensor, np.float32)
    return dict(_paired(halves, config.lora_alpha, rank_root=config.use_rslora))


def _gguf(file: Path, shape: Shape) -> dict[Place, Low]:
    import gguf

    reader: Any = gguf.GGUFReader(file)
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    halves: dict[Place, dict[str, Array]] = {}
    for tensor in reader.tensors:
        found = _GGUF_NAME.match(tensor.name)
        if found is None or found[2] not in _GGUF:
            raise ValueError(f"the tensor {tensor.name} is not known")
        values = np.asarray(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32)
        part = _GGUF[found[2]]
        if found[3] == "b" and part in ("q", "k"):
            values = unpermuted(values, shape.heads if part == "q" else shape.kv_heads)
        halves.setdefault((int(found[1]), part), {})[found[3]] = values
    return dict(_paired(halves, alpha, rank_root=False))


def _paired(
    halves: dict[Place, dict[str, Array]], alpha: float, *, rank_root: bool
) -> Iterator[tuple[Place, Low]]:
    for place, pair in halves.items():
        if pair.keys() != {"a", "b"}:
            raise ValueError(f"layer {place[0]}, part {place[1]}, has one matrix of two")
        rank = pair["a"].shape[0]
        yield place, Low(pair["a"], pair["b"], alpha / (rank**0.5 if rank_root else rank))


def unpermuted(rows: Array, heads: int) -> Array:
    """Return the rows of q or k as PEFT has them."""
    count = rows.shape[0]
    return rows.reshape(heads, count // heads // 2, 2, -1).swapaxes(1, 2).reshape(count, -1)


def permuted(rows: Array, heads: int) -> Array:
    """Return the rows of q or k as GGUF files of the Llama family have them."""
    count = rows.shape[0]
    return rows.reshape(heads, 2, count // heads // 2, -1).swapaxes(1, 2).reshape(count, -1)


def place_of(tensor: str) -> Place | None:
    """Return the place of a GGUF file's tensor; None when adapters cannot change it."""
    found = _GGUF_WEIGHT.match(tensor)
    return (int(found[1]), _GGUF[found[2]]) if found and found[2] in _GGUF else None


def _wrong(model: Model, reason: str) -> KaraisError:
    return KaraisError(
        f"The adapter {model.name} in {model.folder} cannot be used: {reason}.",
        code=Code.INVALID,
        field="$.sampling.adapter",
    )
