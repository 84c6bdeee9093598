"""What a card can do with the installed builds, from recorded descriptions of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from agents.common.cards import cards, choosing, support
from agents.common.cards.builds import CTRANSLATE2, EXLLAMAV2, LLAMACPP, TORCH, Build
from agents.common.cards.cards import Card, Machine
from agents.common.cards.support import Verdict
from bus.settings import Settings
from ops.doctor_gpu import judged
from ops.findings import Finding
from schemas.errors import KaraisError
from schemas.failure import Code

RECORDED = Path(__file__).parent.parent / "cards"
CARDS = sorted(file.stem for file in RECORDED.glob("*.json"))
BUILDS = sorted(file.stem for file in (RECORDED / "builds").glob("*.json"))
HALF_ON_OLD = ("gtx-970", "gtx-1070-ti", "gtx-1080-ti", "gtx-1080-ti-old-driver", "gtx-780")


def machine(name: str) -> Machine:
    return cards.described(RECORDED / f"{name}.json")


def card(name: str) -> Card:
    return machine(name).cards[0]


def builds(name: str) -> Mapping[str, Build]:
    return msgspec.json.decode((RECORDED / "builds" / f"{name}.json").read_bytes(), type=dict[str, Build])


def verdict(on: str, what: str, part: str) -> Verdict:
    return next(one for one in support.verdicts(card(on), builds(what)) if one.part == part)


def findings(on: str, what: str, **chosen: Any) -> list[Finding]:
    settings = Settings(home=Path("/nonexistent"), **chosen)
    return list(judged(settings, machine(on), builds(what)))


@pytest.mark.parametrize(
    ("on", "what", "works", "says"),
    [
        ("gtx-1080-ti", "cuda-12", "yes", "first start"),
        ("gtx-1070-ti", "cuda-12", "yes", "first start"),
        ("gtx-970", "cuda-12", "yes", "first start"),
        ("v100", "cuda-12", "yes", "first start"),
        ("rtx-2080-ti", "cuda-12", "yes", "first start"),
        ("rtx-3090", "cuda-12", "yes", "CUDA 12.8: GGUF weights"),
        ("h200", "cuda-12", "yes", "first start"),
        ("gtx-1080-ti", "cuda-13", "no", "nothing for compute 6.1"),
        ("gtx-970", "cuda-13", "no", "nothing for compute 5.2"),
        ("v100", "cuda-13", "no", "nothing for compute 7.0"),
        ("rtx-2080-ti", "cuda-13", "yes", "CUDA 13.2"),
        ("rtx-5090", "cuda-13", "yes", "CUDA 13.2"),
        ("h200", "cuda-13", "no", "needs a newer driver"),
        ("gtx-1080-ti-old-driver", "cuda-12", "no", "535.183.01 is for CUDA 12.2"),
        ("rtx-3090-old-driver", "cuda-12", "no", "470.256.02 is for CUDA 11.4"),
        ("gtx-780", "cuda-12", "no", "compute 3.5"),
        ("gtx-1080-ti", "as-from-pypi", "no", "built for the CPU alone"),
        ("rtx-3090", "nothing", "no", "not installed"),
    ],
)
def test_llamacpp_on_a_card(on: str, what: str, works: str, says: str) -> None:
    """CUDA 12 builds run from Maxwell on, CUDA 13 ones from Turing on; PTX wants a new driver."""
    found = verdict(on, what, LLAMACPP)
    assert (found.works, says in found.reason) == (works, True), found


@pytest.mark.parametrize(
    ("on", "what", "works", "advice"),
    [
        ("gtx-1080-ti", "cuda-12", "yes", ""),
        ("gtx-1080-ti-old-driver", "cuda-12", "yes", ""),
        ("gtx-1080-ti", "cuda-12.8", "no", "whl/cu126"),
        ("gtx-1080-ti", "cuda-13", "no", "whl/cu126"),
        ("v100", "cuda-12.8", "no", "whl/cu126"),
        ("rtx-2080-ti", "cuda-12.8", "yes", ""),
        ("rtx-3090", "cuda-13", "yes", ""),
        ("rtx-4090", "cuda-12", "yes", ""),
        ("rtx-5090", "cuda-12", "no", "torch==2.13.0"),
        ("rtx-5090", "cuda-12.8", "yes", ""),
        ("rtx-3090-old-driver", "cuda-13", "no", "driver for CUDA 13.0 or newer"),
        ("gtx-1080-ti", "as-from-pypi", "no", "whl/cu126"),
        ("gtx-780", "as-from-pypi", "no", ""),
    ],
)
def test_torch_on_a_card(on: str, what: str, works: str, advice: str) -> None:
    """Only CUDA 12.6 builds of torch know Pascal, and they do not know Blackwell; the advice says which."""
    found = verdict(on, what, TORCH)
    assert found.works == works, found
    assert advice in found.advice
    assert bool(advice) == bool(found.advice)


@pytest.mark.parametrize("on", [name for name in CARDS if machine(name).cards])
def test_half_precision_is_never_the_default_below_volta(on: str) -> None:
    """Below 7.0 torch computes in float32, and CTranslate2 in a type that it would not replace."""
    one = card(on)
    old = one.compute_capability < (7, 0)
    assert old == (on in HALF_ON_OLD or on.startswith("gtx-1070"))
    assert (support.compute_type(one) == "float32") == old
    assert support.ctranslate2_compute_type(one) in (
        ("float32", "int8_float32") if old else ("int8_float16", "int8_bfloat16")
    )


def test_half_precision_on_each_generation() -> None:
    """float16 is said to be slow on 6.1; bfloat16 begins with Ampere; without a card it is float32."""
    assert verdict("gtx-1080-ti", "cuda-12", support.HALF).works == "slow"
    assert "1/64" in verdict("gtx-1080-ti", "cuda-12", support.HALF).reason
    assert verdict("gtx-970", "cuda-12", support.HALF).works == "no"
    types = [support.compute_type(card(name)) for name in ("v100", "rtx-2080-ti", "rtx-3090", "h200")]
    assert types == ["float16", "float16", "bfloat16", "bfloat16"]
    assert support.compute_type(None) == "float32"
    assert support.ctranslate2_compute_type(None) == "int8_float32"
    assert support.ctranslate2_compute_type(card("gtx-1080-ti")) == "int8_float32"
    assert support.ctranslate2_compute_type(card("gtx-970")) == "float32"


def test_ctranslate2_says_which_types_are_computed() -> None:
    """On 6.1 it has 8-bit integers and float32 only, on 6.0 float32 alone; its releases begin at 5.3."""
    assert "int8, int8_float32 and float32 only" in verdict("gtx-1080-ti", "cuda-12", CTRANSLATE2).reason
    p100 = Card(name="Tesla P100", compute_capability=(6, 0))
    assert support.ctranslate2(p100, builds("cuda-12")[CTRANSLATE2]).works == "slow"
    assert verdict("gtx-970", "cuda-12", CTRANSLATE2).works == "no"
    assert "bfloat16" in verdict("rtx-3090", "cuda-12", CTRANSLATE2).reason
    assert "bfloat16" not in verdict("v100", "cuda-12", CTRANSLATE2).reason


def test_exllamav2_is_slow_without_flash_attention() -> None:
    """One answer at a time below Ampere and without flash-attn; nothing without torch on the card."""
    assert verdict("gtx-1080-ti", "cuda-12", EXLLAMAV2).works == "slow"
    assert "llama.cpp" in verdict("gtx-1080-ti", "cuda-12", EXLLAMAV2).advice
    assert verdict("rtx-3090", "cuda-12", EXLLAMAV2).works == "slow"
    assert verdict("rtx-3090", "cuda-13", EXLLAMAV2).works == "yes"
    assert verdict("gtx-1080-ti", "cuda-13", EXLLAMAV2).works == "no"
    assert verdict("gtx-970", "cuda-12", EXLLAMAV2).works == "no"
    assert "nvcc" in verdict("rtx-3090", "cuda-13", EXLLAMAV2).reason


@pytest.mark.parametrize(
    ("version", "native", "works"),
    [
        ("0.3.2+cu130.torch2.13.0", ((8, 6),), "yes"),
        ("0.3.2+cu128.torch2.8.0", ((8, 6),), "no"),
        ("0.3.2+cu130.torch2.13.0", ((9, 0),), "no"),
    ],
)
def test_a_compiled_exllamav2_goes_with_one_torch(
    version: str, native: tuple[tuple[int, int], ...], works: str
) -> None:
    """A compiled extension runs with the torch that it was made for, on cards that it was made for."""
    compiled = Build(part=EXLLAMAV2, version=version, backend="cuda", cuda=(13, 0), native=native)
    found = support.exllamav2(card("rtx-3090"), {**builds("cuda-13"), EXLLAMAV2: compiled})
    assert (found.works, bool(found.advice)) == (works, works == "no")


@pytest.mark.parametrize(
    ("part", "first"),
    [
        ("bitsandbytes NF4", (6, 0)),
        ("bitsandbytes LLM.int8", (7, 5)),
        ("triton", (7, 0)),
        ("flash-attn", (8, 0)),
    ],
)
def test_what_needs_a_certain_generation(part: str, first: tuple[int, int]) -> None:
    """Each of these begins with the compute capability that its documentation names."""
    for name in ("gtx-970", "gtx-1080-ti", "v100", "rtx-2080-ti", "rtx-3090"):
        found = verdict(name, "cuda-12", part)
        if card(name).compute_capability < first:
            assert (found.works, f"{first[0]}.{first[1]}" in found.reason) == ("no", True)
        elif part != "flash-attn":  # not installed in this recording
            assert found.works == "yes"


@pytest.mark.parametrize("on", CARDS)
@pytest.mark.parametrize("what", BUILDS)
def test_every_card_gets_a_line_for_every_part(on: str, what: str) -> None:
    """No combination fails; every "no" that is wrong has a remedy, and each part one line."""
    found = findings(on, what)
    assert all(finding.text and (finding.ok or finding.mend) for finding in found)
    for number, one in enumerate(machine(on).cards):
        assert [f.check for f in found].count(f"gpu {number}") == 1
        parts = [f.check for f in found if f.check.startswith(f"gpu {number} ")]
        assert len(parts) == len(set(parts)) == len(support.verdicts(one, builds(what)))


@pytest.mark.parametrize(
    ("on", "what", "chosen", "wrong"),
    [
        ("gtx-1080-ti", "as-from-pypi", {}, ["gpu 0 llama.cpp"]),
        ("gtx-1080-ti", "as-from-pypi", {"gpu_layers": 0}, []),
        ("gtx-1080-ti", "as-from-pypi", {"engine": "scripted"}, []),
        ("gtx-1080-ti", "cuda-12", {}, []),
        ("gtx-1080-ti", "cuda-13", {}, ["gpu 0 llama.cpp", "gpu 0 torch"]),
        ("gtx-1080-ti", "cuda-13", {"gpu_layers": 0}, ["gpu 0 torch"]),
        ("gtx-1070-ti-and-rtx-3090", "cuda-13", {}, ["gpu 0 llama.cpp", "gpu 0 torch"]),
        ("rtx-3090", "cuda-13", {}, []),
        ("gtx-780", "as-from-pypi", {}, []),
        ("none", "as-from-pypi", {}, []),
        ("no-driver", "as-from-pypi", {}, ["gpu"]),
    ],
)
def test_what_counts_as_wrong(on: str, what: str, chosen: dict[str, Any], wrong: list[str]) -> None:
    """A part is wrong only when the settings use it on the card and something can be done about it."""
    assert [finding.check for finding in findings(on, what, **chosen) if not finding.ok] == wrong


def test_the_remedy_for_an_old_driver_comes_first() -> None:
    """With a CPU build and a driver too old for the CUDA build, both are told, the driver first."""
    mend = verdict("gtx-1080-ti-old-driver", "as-from-pypi", LLAMACPP).advice
    assert 0 <= mend.find("branch 580") < mend.find("whl/cu128")


def test_no_nvidia_ml_py_is_told() -> None:
    """Where nobody could look, that is said, and nothing about cards."""
    settings = Settings(home=Path("/nonexistent"))
    found = list(judged(settings, Machine(looked=False), builds("nothing")))
    assert [(f.ok, "nvidia-ml-py" in f.text) for f in found] == [(True, True)]


@pytest.mark.parametrize(
    ("on", "what", "weights", "engine", "where"),
    [
        ("gtx-1080-ti", "cuda-12", "gguf", "llamacpp", "NVIDIA GeForce GTX 1080 Ti"),
        ("gtx-1080-ti", "cuda-12", "exl2", "exllamav2", "NVIDIA GeForce GTX 1080 Ti"),
        ("gtx-1080-ti", "cuda-12", "safetensors", "transformers", "NVIDIA GeForce GTX 1080 Ti"),
        ("gtx-1080-ti", "as-from-pypi", "gguf", "llamacpp", ""),
        ("gtx-1080-ti", "cuda-13", "safetensors", "transformers", ""),
        ("rtx-3090", "cuda-13", "exl2", "exllamav2", "NVIDIA GeForce RTX 3090"),
        ("rtx-3090", "as-from-pypi", "gptq", "", ""),
        ("gtx-1070-ti-and-rtx-3090", "cuda-12", "gguf", "llamacpp", "NVIDIA GeForce RTX 3090"),
        ("gtx-1070-ti-and-rtx-3090", "cuda-13", "gguf", "llamacpp", "NVIDIA GeForce RTX 3090"),
        ("none", "as-from-pypi", "gguf", "llamacpp", ""),
        ("none", "as-from-pypi", "openvino", "openvino", ""),
        ("none", "as-from-pypi", "exl2", "", ""),
        ("rtx-3090", "cuda-13", "onnx", "", ""),
    ],
)
def test_auto_chooses_by_weights_then_card(on: str, what: str, weights: Any, engine: str, where: str) -> None:
    """The weights decide the engine, the best card comes first and the CPU after it, always with a reason."""
    choice = choosing.choose(machine(on).cards, builds(what), weights)
    assert (choice.engine, choice.card.name if choice.card else "") == (engine, where)
    assert choice.reason
    assert choice.engine or choice.advice


class NvmlError(Exception):
    pass


def driver(*, starts: bool = True, memory: bool = True) -> Any:
    """Answer as pynvml does for one GTX 1080 Ti."""

    def space(_: object) -> Any:
        if not memory:
            raise NvmlError("Not Supported")
        return SimpleNamespace(total=11 << 30, free=10 << 30)

    def start() -> None:
        if not starts:
            raise NvmlError("Driver Not Loaded")

    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=start,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlSystemGetCudaDriverVersion_v2=lambda: 12080,
        nvmlSystemGetDriverVersion=lambda: "570.86.10",
        nvmlDeviceGetMemoryInfo=space,
        nvmlDeviceGetCudaComputeCapability=lambda _: (6, 1),
        nvmlDeviceGetName=lambda _: "NVIDIA GeForce GTX 1080 Ti",
    )


def test_cards_are_read_from_the_driver(tmp_path: Path) -> None:
    """Name, capability, memory and versions come from NVML; memory may be unknown; a dead driver is told."""
    one = cards.read(driver(), tmp_path).cards[0]
    assert (one.compute_capability, one.cuda, one.driver) == ((6, 1), (12, 8), "570.86.10")
    assert (one.memory_bytes, one.free_bytes, one.generation) == (11 << 30, 10 << 30, "Pascal")
    assert cards.read(driver(memory=False), tmp_path).cards[0].free_bytes is None
    assert cards.read(driver(starts=False), tmp_path) == Machine()
    (tmp_path / "0000:01:00.0").mkdir()
    assert "Driver Not Loaded" in cards.read(driver(starts=False), tmp_path).problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "truncated"),
        ('{"cards": [{"name": "x"}]}', "compute_capability"),
        ('{"cards": [{"name": "x", "compute_capability": "8.6"}]}', "$.cards[0].compute_capability"),
        ('{"cards": [{"name": "x", "compute_capability": [8, 6], "vram": 1}]}', "vram"),
    ],
)
def test_a_wrong_description_is_refused_by_field(tmp_path: Path, text: str, said: str) -> None:
    """A file that describes no cards is refused, with the file and the field."""
    file = tmp_path / "cards.json"
    file.write_text(text)
    with pytest.raises(KaraisError) as refused:
        cards.described(file)
    assert refused.value.code == Code.INVALID
    assert said in str(refused.value)
    assert str(file) in str(refused.value)
