"""What the installed builds of the engines were made for, read from their files without importing them."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Literal

from msgspec import Struct

from agents.common.cards.elf import Library

Capability = tuple[int, int]
Backend = Literal["cpu", "cuda", "rocm", "vulkan"]

LLAMACPP, TORCH, CTRANSLATE2 = "llama.cpp", "torch", "CTranslate2"
EXLLAMAV2, BITSANDBYTES, OPENVINO = "exllamav2", "bitsandbytes", "openvino"
TRITON, FLASH_ATTENTION = "triton", "flash-attn"
DISTRIBUTIONS = {
    LLAMACPP: "xllamacpp", TORCH: "torch", CTRANSLATE2: "ctranslate2", EXLLAMAV2: "exllamav2",
    BITSANDBYTES: "bitsandbytes", OPENVINO: "openvino-genai", TRITON: "triton",
    FLASH_ATTENTION: "flash-attn",
}  # fmt: skip
"""The name under which pip knows each part."""


class Build(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One installed package, or one that is not installed."""

    part: str
    version: str = ""
    """Empty when it is not installed."""
    backend: Backend = "cpu"
    """What it computes on, where a part comes in several builds; of exllamav2: compiled already, or not."""
    cuda: tuple[int, ...] = ()
    """CUDA version that it was made with: (12, 6), or (12,) when no more could be read; () for none."""
    native: tuple[Capability, ...] = ()
    """Compute capabilities with machine code: it runs on the same major number, same or higher minor."""
    portable: tuple[Capability, ...] = ()
    """Compute capabilities with PTX, which the driver compiles for any newer card at the first start."""


class Wheel(Struct, frozen=True):
    """What a published wheel of llama.cpp's binding holds."""

    cuda: tuple[int, int]
    native: tuple[Capability, ...]
    portable: tuple[Capability, ...]


LLAMACPP_WHEELS = (
    Wheel((12, 8), ((8, 6), (8, 9), (12, 0)), ((5, 0), (6, 1), (7, 0), (7, 5), (8, 0))),
    Wheel((13, 2), ((7, 5), (8, 6), (8, 9), (12, 0), (12, 1)), ((8, 0),)),
)
"""As xllamacpp's own description of its CUDA wheels says."""


def read(find: Callable[[str], metadata.Distribution] = metadata.distribution) -> dict[str, Build]:
    """Return a build for each part, installed or not. Reads a few megabytes, and imports nothing."""
    found: dict[str, Build] = {}
    for part, name in DISTRIBUTIONS.items():
        try:
            package = find(name)
        except metadata.PackageNotFoundError:
            found[part] = Build(part=part)
            continue
        root = Path(str(package.locate_file("")))
        details = _DETAILS.get(part)
        found[part] = details(root, package.version) if details else Build(part=part, version=package.version)
    return found


def _llamacpp(root: Path, version: str) -> Build:
    library = Library(next(iter(sorted((root / "xllamacpp").glob("*.so"))), root))
    linked = library.part(".dynstr")
    if b"libamdhip64.so" in linked:
        return Build(part=LLAMACPP, version=version, backend="rocm")
    if b"libvulkan.so" in linked:
        return Build(part=LLAMACPP, version=version, backend="vulkan")
    if ".nv_fatbin" not in library and b"libcuda.so" not in linked:
        return Build(part=LLAMACPP, version=version)
    cuda = _tagged(version) or _major(linked)
    native, portable = library.architectures()
    for wheel in LLAMACPP_WHEELS:  # a wheel's own files say no more than 12 or 13
        if wheel.cuda[: len(cuda)] == cuda and (native, portable) == (wheel.native, wheel.portable):
            cuda = wheel.cuda
    return Build(part=LLAMACPP, version=version, backend="cuda", cuda=cuda, native=native, portable=portable)


def _torch(root: Path, version: str) -> Build:
    try:
        text = (root / "torch/version.py").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if re.search(r"^hip\b[^=]*= *['\"]", text, re.MULTILINE):
        return Build(part=TORCH, version=version, backend="rocm")
    made = re.search(r"^cuda\b[^=]*= *['\"]([\d.]+)['\"]", text, re.MULTILINE)
    cuda = tuple(int(number) for number in made[1].split(".")[:2]) if made else _tagged(version)
    if not cuda:
        return Build(part=TORCH, version=version)
    # torch.cuda.get_arch_list() splits this very string
    constants = Library(root / "torch/lib/libtorch_python.so").part(".rodata")
    flags = re.search(rb"\0((?:(?:sm|compute)_\d{2,3}[af]? ?)+)\0", constants)
    if flags:
        native, portable = (
            _flagged(flags[1], rb"sm_(\d+?)(\d)[af]?(?!\d)"),
            _flagged(flags[1], rb"compute_(\d+?)(\d)[af]?(?!\d)"),
        )
    else:
        native, portable = _torch_release(version, cuda)
    return Build(part=TORCH, version=version, backend="cuda", cuda=cuda, native=native, portable=portable)


def _flagged(flags: bytes, pattern: bytes) -> tuple[Capability, ...]:
    return tuple((int(major), int(minor)) for major, minor in re.findall(pattern, flags))


def _torch_release(version: str, cuda: tuple[int, ...]) -> tuple[tuple[Capability, ...], ...]:
    """Return what PyTorch's own wheels are made for: machine code, and PTX."""
    if cuda >= (13,):
        return ((7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0)), ()
    if cuda >= (12, 8):
        release = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        volta = ((7, 0),) if (2, 9) <= release < (2, 11) else ()
        return (*volta, (7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0)), ()
    return ((5, 0), (6, 0), (7, 0), (7, 5), (8, 0), (8, 6), (9, 0)), ()


def _ctranslate2(root: Path, version: str) -> Build:
    # It finds cuBLAS while it runs, by a name that stands among its constants.
    folders = (root / "ctranslate2.libs", root / "ctranslate2")
    libraries = [file for folder in folders for file in sorted(folder.glob("*ctranslate2*.so*"))]
    for file in (*libraries, *sorted((root / "ctranslate2").glob("_ext*.so"))):
        library = Library(file)
        cuda = _major(library.part(".rodata")) or _major(library.part(".dynstr"))
        if cuda:
            native, portable = library.architectures()
            return Build(
                part=CTRANSLATE2, version=version, backend="cuda",
                cuda=cuda, native=native, portable=portable,
            )  # fmt: skip
    return Build(part=CTRANSLATE2, version=version)


def _exllamav2(root: Path, version: str) -> Build:
    """The package of its releases holds a compiled extension; PyPI's compiles itself at the first start."""
    for file in sorted(root.glob("exllamav2_ext*.so")):
        native, portable = Library(file).architectures()
        return Build(
            part=EXLLAMAV2, version=version, backend="cuda",
            cuda=_tagged(version), native=native, portable=portable,
        )  # fmt: skip
    return Build(part=EXLLAMAV2, version=version)


def _tagged(version: str) -> tuple[int, ...]:
    """Return the CUDA version in a version such as ``2.13.0+cu126``; nothing when there is none."""
    tag = re.search(r"\+cu(\d\d)(\d)", version)
    return (int(tag[1]), int(tag[2])) if tag else ()


def _major(strings: bytes) -> tuple[int, ...]:
    """Return the major CUDA version of the libraries that are named; nothing when none is."""
    found = re.search(rb"lib(?:cudart|cublas)(?:-[0-9a-f]+)?\.so\.(\d+)", strings)
    return (int(found[1]),) if found else ()


_DETAILS: dict[str, Callable[[Path, str], Build]] = {
    LLAMACPP: _llamacpp,
    TORCH: _torch,
    CTRANSLATE2: _ctranslate2,
    EXLLAMAV2: _exllamav2,
}
