"""What the OpenVINO runner books, around a model that is played."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents.brain.engines.openvino.graph import Cache
from agents.brain.engines.openvino.runner import OpenVinoRunner
from stores.weights.adapters import Shape

openvino = pytest.importorskip("openvino", reason="needs the extra openvino")


class PlayedRequest:
    """Takes inputs and gives logits; fails when it is told to."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.fails = False

    def set_tensor(self, name: str, tensor: Any) -> None:
        self.inputs[name] = tensor

    def infer(self) -> None:
        if self.fails:
            raise RuntimeError("no memory")

    def get_output_tensor(self, _: int) -> Any:
        count = len(self.inputs["sampled_tokens_indices"].data)
        return SimpleNamespace(data=np.zeros((count, 1, 8), np.float32))


def test_what_a_failed_call_booked_serves_no_later_prompt() -> None:
    request = PlayedRequest()
    model = SimpleNamespace(create_infer_request=lambda: request)
    caches = [Cache("key_cache.0", (1, 32, 4), openvino.Type.f32)]
    runner = OpenVinoRunner(model, caches, 256, Shape("played", 1, 1, 1, {}))
    prompt = list(range(100))
    lane = runner.begin(prompt, 120, "")
    assert lane is not None
    request.fails = True
    with pytest.raises(RuntimeError):
        runner.forward([(lane, prompt)])
    runner.end(lane)
    request.fails = False
    again = runner.begin(prompt, 120, "")
    assert again is not None
    assert again.length == 0
    runner.forward([(again, prompt)])
    runner.end(again)
    known = runner.begin(prompt, 120, "")
    assert known is not None
    assert known.length == 99
