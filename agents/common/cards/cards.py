"""The NVIDIA cards of this machine, as their driver tells, or as a file describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schemas.errors import KaraisError
from schemas.failure import Code

KNOWN_TO_SYSTEM = Path("/proc/driver/nvidia/gpus")
"""Where the kernel module lists its cards, whether the rest of the driver works or not."""
_GENERATIONS = {
    (5, 0): "Maxwell", (6, 0): "Pascal", (7, 0): "Volta", (7, 5): "Turing", (8, 0): "Ampere",
    (8, 9): "Ada", (9, 0): "Hopper", (10, 0): "Blackwell",
}  # fmt: skip


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One NVIDIA card and the driver that it has."""

    name: str
    compute_capability: tuple[int, int]
    """Major and minor number: (6, 1) for a GTX 1080 Ti."""
    memory_bytes: int = 0
    """All of the card's memory; 0 when it is not known (cards that share the machine's)."""
    free_bytes: int | None = None
    """What of it is free; None when it is not known."""
    driver: str = ""
    """Version of the driver; empty when it is not known."""
    cuda: tuple[int, int] | None = None
    """Newest CUDA version that the driver supports; None when it is not known."""
    index: int = 0

    @property
    def generation(self) -> str:
        """NVIDIA's name for the card's architecture, such as Pascal."""
        older = [first for first in _GENERATIONS if first <= self.compute_capability]
        return _GENERATIONS[max(older)] if older else "older than Maxwell"


class Machine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cards of one machine; also what a description in a file holds."""

    cards: tuple[Card, ...] = ()
    looked: bool = True
    """False when nvidia-ml-py is not installed, so that nobody could look."""
    problem: str = ""
    """Why cards that are there cannot be asked; empty when they can, or when there are none."""


def read(nvml: Any = None, known: Path = KNOWN_TO_SYSTEM) -> Machine:
    """Ask the driver for its cards. Never raises: having no card or no driver is an answer."""
    if nvml is None:
        try:
            import pynvml  # type: ignore[import-untyped]
        except ImportError:
            return Machine(looked=False)
        nvml = pynvml
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        there = known.is_dir() and any(known.iterdir())
        return Machine(problem=f"a card is there, but its driver does not answer: {error}" if there else "")
    try:
        return Machine(cards=tuple(_card(nvml, number) for number in range(nvml.nvmlDeviceGetCount())))
    except nvml.NVMLError as error:
        return Machine(problem=f"the driver lists its cards, but does not answer for one: {error}")
    finally:
        nvml.nvmlShutdown()


def described(file: Path) -> Machine:
    """Return the machine that a JSON file describes: ``{"cards": [{"name": ..., ...}]}``.

    Of a card, ``name`` and ``compute_capability`` are needed. Raises
    KaraisError: ``not_found`` when the file cannot be read, ``invalid`` with
    the field's path when it is no such description.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Machine)
    except OSError as error:
        raise KaraisError(
            f"The description {file} cannot be read: {error.strerror}.", code=Code.NOT_FOUND
        ) from None
    except msgspec.DecodeError as error:
        raise KaraisError(f"The file {file} describes no cards: {error}.", code=Code.INVALID) from None


def _card(nvml: Any, number: int) -> Card:
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    cuda = nvml.nvmlSystemGetCudaDriverVersion_v2()  # 12080 is 12.8
    try:
        space = nvml.nvmlDeviceGetMemoryInfo(handle)
        whole, free = int(space.total), int(space.free)
    except nvml.NVMLError:  # cards that share the machine's memory have none of their own to tell of
        whole, free = 0, None
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Card(
        name=str(nvml.nvmlDeviceGetName(handle)),
        compute_capability=(int(major), int(minor)),
        memory_bytes=whole,
        free_bytes=free,
        driver=str(nvml.nvmlSystemGetDriverVersion()),
        cuda=(cuda // 1000, cuda % 1000 // 10),
        index=number,
    )
