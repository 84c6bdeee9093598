"""What a card can do with a build: works, is slow, or does not, why, and what to install.

Pure functions of a Card and the Builds. The rules and where they come from:

- Machine code runs on cards of the same major compute capability and the same
  or a higher minor one; PTX on every newer card, once a driver that is at
  least as new as the build's CUDA has compiled it (NVIDIA's compatibility
  guide). A driver runs builds of its own and older CUDA major versions.
- CUDA 13 makes nothing for cards below 7.5. Driver branch 580, which goes with
  CUDA 13.0, is the last for them.
- Half precision runs at 1/64 of single precision on 6.1 (2 against 128
  operations a clock), and does not exist below 5.3. bfloat16 needs 8.0.
- What single parts need: their own documentation; see each function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from agents.common.cards.builds import (
    BITSANDBYTES,
    CTRANSLATE2,
    EXLLAMAV2,
    FLASH_ATTENTION,
    LLAMACPP,
    LLAMACPP_WHEELS,
    OPENVINO,
    TORCH,
    TRITON,
    Build,
)
from agents.common.cards.cards import Card

Works = Literal["yes", "slow", "no"]
ComputeType = Literal["float32", "float16", "bfloat16"]
HALF = "half precision"
_NEEDS_TORCH = "it computes through torch, which does not reach the card"
_FROM_LLAMACPP = "with the --index-url (whl/cu128) that xllamacpp's README names"
_FROM_TORCH = "with the --index-url (whl/cu126) that PyTorch's page of previous versions names"
_LAST_OF_OLD = (13, 0)
"""CUDA version of the last driver branch for cards below 7.5."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a part works on a card."""

    part: str
    works: Works
    reason: str
    """Why, in words that follow "works", "is slow" or "does not work"."""
    advice: str = ""
    """What to install or to use instead, one sentence; empty when there is nothing to do."""


def verdicts(card: Card, builds: Mapping[str, Build]) -> list[Verdict]:
    """Return a verdict for each part, the ones that KARAIS itself uses first."""
    return [
        llamacpp(card, builds[LLAMACPP]),
        torch(card, builds[TORCH]),
        half(card),
        exllamav2(card, builds),
        ctranslate2(card, builds[CTRANSLATE2]),
        *bitsandbytes(card, builds),
        _least(card, builds[TRITON], (7, 0), "torch.compile and kernels in Triton need"),
        _least(card, builds[FLASH_ATTENTION], (8, 0), "FlashAttention 2 needs"),
        openvino(builds[OPENVINO]),
    ]


def compute_type(card: Card | None) -> ComputeType:
    """Return the type in which torch shall compute on a card, or without one.

    Never a half type below 7.0: on 6.1 those run at 1/64 of the speed.
    """
    if card is None or card.compute_capability < (7, 0):
        return "float32"
    return "float16" if card.compute_capability < (8, 0) else "bfloat16"


def ctranslate2_compute_type(card: Card | None) -> str:
    """Return the compute type to give CTranslate2, one that it does not replace by another there."""
    if card is None or card.compute_capability == (6, 1):
        return "int8_float32"
    if card.compute_capability < (7, 0):
        return "float32"
    return "int8_float16" if card.compute_capability < (8, 0) else "int8_bfloat16"


def recommended(card: Card) -> str:
    """Return which engine and which weights suit a card best, in words."""
    if card.compute_capability < (5, 0):
        return "too old for every engine: answers are generated on the CPU"
    if card.compute_capability < (7, 5):
        return "best with llamacpp, its CUDA 12 build, and GGUF weights"
    if card.compute_capability < (8, 0):
        return "best with llamacpp and GGUF weights"
    return "best with llamacpp and GGUF weights, or exllamav2 and EXL2 or GPTQ weights"


def llamacpp(card: Card, build: Build) -> Verdict:
    """llama.cpp computes in integers and single precision where half is slow, so Pascal is fine."""
    if card.compute_capability < (5, 0):
        return _no(LLAMACPP, f"no CUDA build is made for compute {_number(card)} any more")
    pin = f"=={_release(build)}" if build.version else ""
    install = f"Install its CUDA 12 build: pip install --force-reinstall xllamacpp{pin} {_FROM_LLAMACPP}"
    wheel = LLAMACPP_WHEELS[0]
    published = Build(
        part=LLAMACPP, backend="cuda", cuda=wheel.cuda, native=wheel.native, portable=wheel.portable
    )
    driver = _reached(card, published, "", "").advice
    install = f"{driver} {install}" if driver else install
    if not build.version:
        return _no(LLAMACPP, "it is not installed", install)
    if build.backend == "vulkan":
        return _yes(LLAMACPP, f"{build.version} for Vulkan; whether Vulkan sees the card is not looked at")
    if build.backend != "cuda":
        kind = "the CPU alone" if build.backend == "cpu" else "AMD's cards"
        return _no(LLAMACPP, f"the installed {build.version} is built for {kind}", install)
    return _reached(card, build, install, "GGUF weights")


def torch(card: Card, build: Build) -> Verdict:
    """PyTorch: builds of CUDA 12.6 know cards from 5.0 to 9.0; later ones begin at 7.0 or 7.5."""
    capability = card.compute_capability
    if capability < (5, 0):
        return _no(TORCH, f"no build is made for compute {_number(card)} any more")
    pin = f"=={_release(build)}" if build.version else ""
    old = "Install its CUDA 12.6 build"
    if capability < (7, 5):
        old += ", the only one for this card, which ends with torch 2.14"
    if capability >= (7, 5) and (card.cuda is None or card.cuda >= (13, 0)):
        install = f"Install its CUDA build: pip install --force-reinstall torch{pin}"
    elif capability < (10, 0):
        pin = "" if _numbers(build.version) > (2, 14) else pin
        install = f"{old}: pip install --force-reinstall torch{pin} {_FROM_TORCH}"
        if card.cuda and card.cuda < (12, 0):
            install = f"{_driver_advice(card, (12, 0))} {install}"
    else:
        install = f"{_driver_advice(card, (13, 0))} Then: pip install --force-reinstall torch{pin}"
    if not build.version:
        return _no(TORCH, "it is not installed", install)
    if build.backend != "cuda":
        kind = "the CPU alone" if build.backend == "cpu" else "AMD's cards"
        return _no(TORCH, f"the installed {build.version} is built for {kind}", install)
    return _reached(card, build, install, f"best in {compute_type(card)}")


def half(card: Card) -> Verdict:
    """float16 and bfloat16, which much software takes by default."""
    capability = card.compute_capability
    if capability < (5, 3):
        return _no(HALF, f"compute {_number(card)} has no arithmetic for it; KARAIS computes in float32 here")
    if capability == (6, 1):
        reason = "float16 has 1/64 of float32's speed, and there is no bfloat16"
        return _slow(HALF, f"{reason}; KARAIS computes in float32 here, and integers of 8 bits are fast")
    if capability < (7, 0):
        return _yes(HALF, "float16, but KARAIS computes in float32 here; bfloat16 needs compute 8.0")
    if capability < (8, 0):
        return _yes(HALF, "float16; bfloat16 needs compute 8.0")
    return _yes(HALF, "float16 and bfloat16")


def exllamav2(card: Card, builds: Mapping[str, Build]) -> Verdict:
    """exllamav2 computes in half precision throughout; batches need flash-attn, so compute 8.0."""
    build, below = builds[EXLLAMAV2], torch(card, builds[TORCH])
    instead = "Use llama.cpp with GGUF weights on this card."
    if card.compute_capability < (5, 3):
        instead = "" if card.compute_capability < (5, 0) else instead
        return _no(EXLLAMAV2, "it computes in half precision, which the card does not have", instead)
    if not build.version:
        if card.compute_capability < (8, 0):
            return _no(EXLLAMAV2, "it is not installed, and not worth it on this card", instead)
        install = "Install it for EXL2 or GPTQ weights: pip install exllamav2; it is compiled at its first"
        return _no(
            EXLLAMAV2, "it is not installed", f"{install} start, for which CUDA's toolkit must be there."
        )
    if below.works == "no":
        return _no(EXLLAMAV2, _NEEDS_TORCH)
    alone = (
        f"Install the one that compiles itself: pip install --force-reinstall exllamav2=={_release(build)}"
    )
    made = re.search(r"torch(\d+)\.(\d+)", build.version)  # extensions run with the torch of their making
    if made and (int(made[1]), int(made[2])) != _numbers(builds[TORCH].version):
        return _no(EXLLAMAV2, f"the installed {build.version} goes with another torch", alone)
    if build.backend == "cuda" and _reached(card, build, "", "").works == "no":
        return _no(EXLLAMAV2, f"the installed {build.version} holds nothing for this card or driver", alone)
    name = build.version
    if build.backend != "cuda":
        name += ", compiled at its first start with CUDA's nvcc, which must be there,"
    if card.compute_capability == (6, 1):
        return _slow(EXLLAMAV2, f"{name} gives one answer at a time, in half precision", instead)
    if card.compute_capability < (8, 0):
        return _slow(EXLLAMAV2, f"{name} gives one answer at a time: flash-attn needs compute 8.0", instead)
    if not builds[FLASH_ATTENTION].version:
        install = "Install it for several at a time: pip install flash-attn --no-build-isolation"
        return _slow(EXLLAMAV2, f"{name} gives one answer at a time: flash-attn is not installed", install)
    return _yes(EXLLAMAV2, f"{name} with flash-attn, EXL2 and GPTQ weights")


def ctranslate2(card: Card, build: Build) -> Verdict:
    """CTranslate2: 8-bit integers on 6.1 and from 7.0 on; float16 from 7.0, bfloat16 from 8.0."""
    capability = card.compute_capability
    if not build.version:
        return _no(
            CTRANSLATE2, "it is not installed", "Install it when speech is wanted: pip install ctranslate2"
        )
    if build.backend != "cuda":
        return _no(CTRANSLATE2, f"the installed {build.version} is built for the CPU alone")
    if capability >= (8, 0):
        types = "int8, float16, bfloat16 and float32"
    elif capability >= (7, 0):
        types = "int8, float16 and float32"
    else:
        types = "int8, int8_float32 and float32 only" if capability == (6, 1) else "float32 only"
    verdict = _reached(card, build, "", types)
    if verdict.works == "yes" and capability < (7, 0) and capability != (6, 1):
        return _slow(CTRANSLATE2, verdict.reason)
    return verdict


def bitsandbytes(card: Card, builds: Mapping[str, Build]) -> list[Verdict]:
    """bitsandbytes: NF4 from 6.0 on, LLM.int8 from 7.5 on, through a torch that reaches the card."""
    build, below = builds[BITSANDBYTES], torch(card, builds[TORCH])
    found = []
    for kind, needed in (("NF4", (6, 0)), ("LLM.int8", (7, 5))):
        part = f"{BITSANDBYTES} {kind}"
        if card.compute_capability < needed:
            found.append(_no(part, f"it needs compute {needed[0]}.{needed[1]}"))
        elif not build.version:
            found.append(_no(part, "it is not installed"))
        elif below.works == "no":
            found.append(_no(part, _NEEDS_TORCH))
        else:
            found.append(_yes(part, build.version))
    return found


def openvino(build: Build) -> Verdict:
    """OpenVINO computes on Intel's processors and cards."""
    if not build.version:
        return _no(OPENVINO, "it is not installed, and knows no NVIDIA card")
    return _no(OPENVINO, f"{build.version} knows no NVIDIA card; it uses the CPU")


def _least(card: Card, build: Build, needed: tuple[int, int], what: str) -> Verdict:
    if card.compute_capability < needed:
        return _no(build.part, f"{what} compute {needed[0]}.{needed[1]}")
    if not build.version:
        return _no(build.part, "it is not installed")
    return _yes(build.part, build.version)


def _reached(card: Card, build: Build, install: str, what: str) -> Verdict:
    """Whether the build holds code that the card and its driver can run; ``what`` it then gives."""
    capability, made = card.compute_capability, _version(build.cuda)
    name = f"{build.version}, CUDA {made}" if made else f"{build.version} with CUDA"
    native = any(major == capability[0] and minor <= capability[1] for major, minor in build.native)
    portable = any(one <= capability for one in build.portable)
    unknown = not build.native and not build.portable
    if (build.cuda >= (13,) and capability < (7, 5)) or not (native or portable or unknown):
        return _no(build.part, f"the installed {name}, holds nothing for compute {_number(card)}", install)
    needed = build.cuda[:1] if native or unknown else build.cuda
    if card.cuda is not None and card.cuda[: len(needed)] < needed:
        reason = (
            f"the installed {name}, needs a newer driver: {card.driver} is for CUDA {_version(card.cuda)}"
        )
        least = (needed[0], needed[1] if len(needed) > 1 else 0)
        too_new = capability < (7, 5) and least > _LAST_OF_OLD
        return _no(build.part, reason, install if too_new else _driver_advice(card, least))
    first = "" if native or unknown else "; compiled for the card at the first start, which takes a while"
    return _yes(build.part, f"{name}: {what}{first}")


def _driver_advice(card: Card, needed: tuple[int, int]) -> str:
    if card.compute_capability < (7, 5):
        return "Install a driver of branch 580, the last for this card."
    return f"Install a driver for CUDA {_version(needed)} or newer; nvidia-smi shows what it is for."


def _number(card: Card) -> str:
    return _version(card.compute_capability)


def _release(build: Build) -> str:
    """Return the version without the mark of the build: 2.13.0 of 2.13.0+cpu."""
    return build.version.partition("+")[0]


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version; none when there is none."""
    return tuple(int(number) for number in version.split(".")[:2] if number.isdigit())


def _version(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _yes(part: str, reason: str) -> Verdict:
    return Verdict(part=part, works="yes", reason=reason)


def _slow(part: str, reason: str, advice: str = "") -> Verdict:
    return Verdict(part=part, works="slow", reason=reason, advice=advice)


def _no(part: str, reason: str, advice: str = "") -> Verdict:
    return Verdict(part=part, works="no", reason=reason, advice=advice)
