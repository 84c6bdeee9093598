"""What an installed package was built for, read from its files and without importing it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.common.cards import builds as installed
from agents.common.cards import support
from agents.common.cards.builds import CTRANSLATE2, EXLLAMAV2, LLAMACPP, TORCH, Build
from agents.common.cards.cards import Card

PASCAL = Card(name="GTX 1080 Ti", compute_capability=(6, 1))


def library(path: Path, **sections: bytes) -> None:
    """Write an ELF file with these sections; a leading dot is added to their names."""
    names = b"\0" + b"".join(f".{name}\0".encode() for name in sections) + b".shstrtab\0"
    body, rows = b"", [b"\0" * 64]
    for name, content in {**sections, "shstrtab": names}.items():
        at = names.index(f".{name}\0".encode())
        rows.append(struct.pack("<IIQQQQ", at, 1, 0, 0, 64 + len(body), len(content)).ljust(64, b"\0"))
        body += content
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 40, 64 + len(body))
    struct.pack_into("<HHH", header, 58, 64, len(rows), len(rows) - 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(header) + body + b"".join(rows))


def read(root: Path, **versions: str) -> dict[str, Build]:
    """Read the builds of these distributions, installed under a folder."""

    def find(name: str) -> Any:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return SimpleNamespace(version=versions[name], locate_file=lambda part: root / part)

    return installed.read(find)


def gpu_code(native: tuple[int, ...], portable: tuple[int, ...]) -> bytes:
    """Return two bundles with an entry for each architecture, machine code (2) and PTX (1)."""
    entries = b""
    for kind, number in [(2, one) for one in native] + [(1, one) for one in portable]:
        entries += struct.pack("<HHIQ", kind, 0x101, 64, 8).ljust(28, b"\0")
        entries += struct.pack("<I", number).ljust(36, b"\0") + b"code\0\0\0\0"
    bundle = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries
    return bundle + b"\0" * 8 + bundle


@pytest.mark.parametrize(
    ("linked", "native", "portable", "backend", "cuda"),
    [
        (b"\0libgomp.so.1\0", (), (), "cpu", ()),
        (b"\0libcuda.so.1\0libcudart.so.12\0", (86, 89, 120), (50, 61, 70, 75, 80), "cuda", (12, 8)),
        (b"\0libcuda.so.1\0libcudart-1a2b.so.13.2.75\0", (75, 86, 89, 120, 121), (80,), "cuda", (13, 2)),
        (b"\0libcuda.so.1\0libcublas.so.12\0", (61, 86), (), "cuda", (12,)),
        (b"\0libcuda.so.1\0", (61,), (61,), "cuda", ()),
        (b"\0libamdhip64.so.6\0", (), (), "rocm", ()),
        (b"\0libvulkan.so.1\0", (), (), "vulkan", ()),
    ],
)
def test_llamacpp_builds_are_told_apart(
    tmp_path: Path,
    linked: bytes,
    native: tuple[int, ...],
    portable: tuple[int, ...],
    backend: str,
    cuda: tuple[int, ...],
) -> None:
    """Links say what a build computes on, its GPU code for which cards; a known wheel's CUDA is known."""
    parts = {"nv_fatbin": gpu_code(native, portable)} if native else {}
    library(tmp_path / "xllamacpp/xllamacpp.abi3.so", dynstr=linked, **parts)
    build = read(tmp_path, xllamacpp="2026.10.11549")[LLAMACPP]
    assert (build.backend, build.cuda) == (backend, cuda)
    assert build.native == tuple(divmod(number, 10) for number in native)
    assert build.portable == tuple(divmod(number, 10) for number in portable)
    assert (support.llamacpp(PASCAL, build).works == "yes") == (
        backend == "vulkan" or bool({50, 61} & {*native, *portable})
    )


def test_gpu_code_that_makes_no_sense_is_left(tmp_path: Path) -> None:
    """Damaged bundles end the reading; what was read before them counts."""
    code = gpu_code((61,), ())
    for damaged in (code[:40], code + code[:20], code[:-30], code.replace(struct.pack("<Q", 8), bytes(8))):
        library(tmp_path / "xllamacpp/x.so", dynstr=b"\0libcuda.so.1\0", nv_fatbin=damaged)
        build = read(tmp_path, xllamacpp="1")[LLAMACPP]
        assert build.backend == "cuda"
        assert set(build.native) <= {(6, 1)}


@pytest.mark.parametrize(
    ("version", "cuda", "flags", "expected", "pascal"),
    [
        ("2.13.0+cpu", "None", b"", (), False),
        ("2.13.0+cu126", "'12.6'", b"\0sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90\0", (12, 6), True),
        ("2.13.0+cu126", "'12.6'", b"", (12, 6), True),
        ("2.11.0+cu128", "'12.8'", b"", (12, 8), False),
        ("2.13.0+cu130", "'13.0'", b"\0sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120\0", (13, 0), False),
        ("2.12.0a0+git", "'12.8'", b"\0sm_61\0", (12, 8), True),
    ],
)
def test_torch_builds_are_read_from_their_files(
    tmp_path: Path, version: str, cuda: str, flags: bytes, expected: tuple[int, ...], pascal: bool
) -> None:
    """CUDA comes from torch/version.py, architectures from the library; an own build for Pascal counts."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/version.py").write_text(
        f"__version__ = '{version}'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = None\n"
    )
    library(tmp_path / "torch/lib/libtorch_python.so", rodata=b"some text\0" + flags)
    build = read(tmp_path, torch=version)[TORCH]
    assert build.cuda == expected
    assert (support.torch(PASCAL, build).works == "yes") == pascal
    if b"compute_120" in flags:
        assert (12, 0) in build.portable
        assert (10, 0) in build.native


def test_ctranslate2_builds_are_told_apart(tmp_path: Path) -> None:
    """The name of the cuBLAS that it will load tells its CUDA; without one it is a CPU build."""
    library(tmp_path / "ctranslate2/_ext.abi3.so", dynstr=b"\0libgomp.so.1\0")
    assert read(tmp_path, ctranslate2="4.8.5")[CTRANSLATE2].backend == "cpu"
    library(
        tmp_path / "ctranslate2.libs/libctranslate2-9f.so.4.8.5",
        rodata=b"\0libcublas.so.12\0",
        nv_fatbin=gpu_code((53, 60, 61, 86), (86,)),
    )
    build = read(tmp_path, ctranslate2="4.8.5")[CTRANSLATE2]
    assert (build.backend, build.cuda, build.portable) == ("cuda", (12,), ((8, 6),))
    assert build.native == ((5, 3), (6, 0), (6, 1), (8, 6))


def test_damaged_and_missing_files_are_no_cuda_build(tmp_path: Path) -> None:
    """A library that is no ELF file, or is not there, is read as a CPU build and raises nothing."""
    (tmp_path / "xllamacpp").mkdir()
    (tmp_path / "xllamacpp/x.so").write_bytes(b"\x7fELF\x02\x01 and no more")
    found = read(tmp_path, xllamacpp="1", torch="2.13.0+cu126", ctranslate2="4")
    assert found[LLAMACPP].backend == found[CTRANSLATE2].backend == "cpu"
    assert found[TORCH].cuda == (12, 6)
    assert found[EXLLAMAV2].version == ""


def test_what_is_installed_here_is_read_without_importing_it() -> None:
    """The real packages are read, and torch is not imported for it."""
    code = (
        "import sys, msgspec; from agents.common.cards import builds;"
        "print(msgspec.json.encode(builds.read()).decode());"
        "sys.exit(bool({'torch', 'xllamacpp', 'ctranslate2'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(said.stdout)
    assert found[LLAMACPP]["version"] == metadata.version("xllamacpp")
    assert found[TORCH]["version"] == metadata.version("torch")
