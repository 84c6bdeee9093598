"""Adapters: what is added to a model's matrices so that it serves another purpose than search.

Each changed matrix gets a product of two narrow ones (LoRA, Hu et al. 2021). A
file of them is a few hundred kilobytes, where the model has 90 MB. They lie
beside this module, named by the purpose (``Embed.purpose``) that they serve.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Adapter:
    """What is added to a model."""

    purpose: str
    model: str
    """Name of the embedding model that it belongs to."""
    parts: Mapping[str, tuple[Any, Any]]
    """By matrix (``encoder.layer.0.output.dense``), two numpy arrays: ``down`` (rank x inputs) and
    ``up`` (outputs x rank), whose product ``up @ down`` is added."""

    def apply(self, weights: dict[str, Any]) -> None:
        """Add it to a model's tensors, which are by name (``<matrix>.weight``)."""
        import torch

        for name, (down, up) in self.parts.items():
            weight = weights[f"{name}.weight"]
            narrow, wide = (torch.as_tensor(part, dtype=torch.float32) for part in (down, up))
            weights[f"{name}.weight"] = weight + (wide @ narrow).to(weight)

    def save(self, file: Path) -> None:
        """Write it in half precision."""
        import numpy as np

        manifest = json.dumps({"purpose": self.purpose, "model": self.model}, sort_keys=True).encode()
        arrays: dict[str, Any] = {
            f"{name}.{side}": np.asarray(part, "<f2")
            for name, pair in sorted(self.parts.items())
            for side, part in zip(("down", "up"), pair, strict=True)
        }
        np.savez_compressed(file, manifest=np.frombuffer(manifest, np.uint8), **arrays)


def load(purpose: str, folder: Path = FOLDER) -> Adapter:
    """Return the adapter for a purpose; raises FileNotFoundError when none is shipped."""
    import numpy as np

    with np.load(folder / f"{purpose}.npz", allow_pickle=False) as data:
        manifest = json.loads(data["manifest"].tobytes())
        names = sorted({name.rpartition(".")[0] for name in data.files} - {""})
        parts = {name: (data[f"{name}.down"], data[f"{name}.up"]) for name in names}
    return Adapter(manifest["purpose"], manifest["model"], parts)
