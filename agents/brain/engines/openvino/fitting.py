"""Whether OpenVINO is the engine for a model on this machine, and why not."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from typing import TYPE_CHECKING

from agents.brain.engines.openvino.converting import failed_before
from schemas.errors import KaraisError
from stores.weights import gguf_header, tokenizer

if TYPE_CHECKING:
    from stores.weights.registry import Model

_ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""What openvino-genai builds from a GGUF file; Mistral's calls itself llama."""
_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 8: "Q8_0", 12: "Q4_K", 14: "Q6_K", 30: "BF16"}
"""ggml's number of each tensor type that it reads, and its name."""


def objection(model: Model) -> str:
    """Return why a model cannot run on OpenVINO here, or nothing. Reads the file's header, no more."""
    if find_spec("openvino_genai") is None:
        return "openvino-genai is not installed (extra openvino)"
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"it was found to be quicker on x86-64 alone, this is {platform.machine()}"
    if model.manifest.kind != "gguf":
        return f"the model is {model.manifest.kind}, not GGUF"
    try:
        header = gguf_header.read_header(model.weights)
    except (KaraisError, OSError) as error:
        return f"the weights cannot be read ({error})"
    if reason := failed_before(model):
        return f"it failed to convert the weights ({reason})"
    if not (model.manifest.profile.template or header.metadata.get("tokenizer.chat_template")):
        return "the file has no chat template"
    return _objection_to(header)


def _objection_to(header: gguf_header.Header) -> str:
    meta = header.metadata
    architecture = meta.get("general.architecture", "unknown")
    if architecture not in _ARCHITECTURES:
        return f"it does not read the architecture {architecture}"
    if meta.get(f"{architecture}.expert_count", 0):
        return "it reads no mixture of experts"
    if meta.get(f"{architecture}.rope.scaling.type", "none") != "none" or any(
        info.name.startswith("rope_freqs") for info in header.tensors
    ):
        return "it does not know the model's scaled rotary positions"
    others = {info.type for info in header.tensors} - _TYPES.keys()
    if others:
        return f"it does not read tensors of type {', '.join(map(str, sorted(others)))}"
    if not tokenizer.is_known(header):
        return f"the tokenizer rule {meta.get('tokenizer.ggml.pre')!r} is not known"
    return ""
