"""LoRA adapters with random values, as PEFT and as llama.cpp write them, for the same model and alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from stores.weights.adapters import MODULES, PARTS, Place, Shape, permuted

_GGUF = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up",
         "down": "ffn_down"}  # fmt: skip

Halves = dict[Place, tuple[np.ndarray, np.ndarray]]


def random_halves(shape: Shape, *, seed: int = 0, rank: int = 4, size: float = 0.15) -> Halves:
    """Return A (rank, in) and B (out, rank) for every place of a model."""
    chance = np.random.default_rng(seed)
    halves: Halves = {}
    for layer in range(shape.layers):
        for part in PARTS:
            out, into = shape.sizes[part]
            a = chance.uniform(-1, 1, (rank, into)) * (3 / into) ** 0.5
            halves[layer, part] = a.astype(np.float32), chance.normal(0, size, (out, rank)).astype(np.float32)
    return halves


def write_peft(folder: Path, halves: Halves, *, alpha: float = 8.0) -> Path:
    """Write a folder as PEFT does."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    tensors = {}
    for (layer, part), (a, b) in halves.items():
        name = f"base_model.model.model.layers.{layer}.{MODULES[part]}"
        tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = a, b
    save_file(tensors, folder / "adapter_model.safetensors")
    rank = next(iter(halves.values()))[0].shape[0]
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": alpha})
    )
    return folder


def write_gguf(file: Path, halves: Halves, shape: Shape, *, alpha: float = 8.0) -> Path:
    """Write a file as llama.cpp's converter does."""
    import gguf

    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for (layer, part), (a, b) in halves.items():
        if part in ("q", "k"):
            b = permuted(b, shape.heads if part == "q" else shape.kv_heads)
        name = f"blk.{layer}.{_GGUF[part]}.weight"
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(b))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
