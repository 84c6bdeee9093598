"""What a model file or folder is, told by its content."""

from __future__ import annotations

from typing import Literal

Kind = Literal["gguf", "safetensors", "onnx", "ctranslate2", "openvino", "gptq", "exl2"]
