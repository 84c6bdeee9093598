"""Rewriting a GGUF file changes the format of its weights and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from schemas.errors import KaraisError
from stores.weights.gguf_header import read_header
from stores.weights.prepare import Recipe, rewrite
from stores.weights.quantise import quantise

Q = gguf.GGMLQuantizationType


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A GGUF file with two Q4_1 tensors, one float32 and one Q8_0, and metadata of many types."""
    path = tmp_path / "small.gguf"
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(3)
    writer.add_context_length(8192)
    writer.add_float32("a.float32", 0.1)
    writer.add_float64("a.float64", 0.1)
    writer.add_uint8("a.uint8", 7)
    writer.add_int16("a.int16", -7)
    writer.add_uint64("a.uint64", 1 << 40)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "žluťoučký 猫\n")
    writer.add_array("a.strings", ["x", "", "ž"])
    writer.add_key_value(
        "a.floats", [1.5, 2.5], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.FLOAT32
    )
    writer.add_key_value("a.bytes", [1, 2], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.INT8)
    for name, kind in (("blk.0.up", Q.Q4_1), ("blk.0.down", Q.Q4_1), ("embd", Q.Q8_0)):
        weights = random.normal(size=(8, 64)).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
    writer.add_tensor("norm", random.normal(size=48).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def values(path: Path) -> dict[str, Any]:
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


def kinds(path: Path) -> dict[str, str]:
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("to", ["Q8_0", "Q4_0", "IQ4_NL"])
def test_metadata_and_other_tensors_stay_as_they_are(small: Path, tmp_path: Path, to: Any) -> None:
    target = tmp_path / "prepared.gguf"
    rewrite(small, target, Recipe(to=to))
    before, after = gguf.GGUFReader(small), gguf.GGUFReader(target)
    assert list(before.fields) == list(after.fields)
    for name, field in before.fields.items():
        assert after.fields[name].types == field.types, name
        if name != "general.file_type":
            assert after.fields[name].contents() == field.contents(), name
    assert kinds(target) == {"blk.0.up": to, "blk.0.down": to, "embd": "Q8_0", "norm": "F32"}
    old, new = values(small), values(target)
    assert np.array_equal(old["embd"], new["embd"])
    assert np.array_equal(old["norm"], new["norm"])
    limit = 0.006 if to == "Q8_0" else 0.12
    assert np.linalg.norm(old["blk.0.up"] - new["blk.0.up"]) < limit * np.linalg.norm(old["blk.0.up"])


def test_a_file_can_be_rewritten_in_place_and_names_can_keep_more_bits(small: Path) -> None:
    seen: list[tuple[int, int]] = []
    rewrite(
        small,
        small,
        Recipe(to="Q4_0", overrides={"down": "Q8_0"}),
        progress=lambda *step: seen.append(step),
    )
    assert kinds(small)["blk.0.up"] == "Q4_0"
    assert kinds(small)["blk.0.down"] == "Q8_0"
    assert seen[-1][0] == seen[-1][1]
    assert [p.name for p in small.parent.iterdir()] == ["small.gguf"]
    assert read_header(small).bytes == small.stat().st_size


def test_a_damaged_file_is_refused_and_leaves_nothing(small: Path, tmp_path: Path) -> None:
    small.write_bytes(small.read_bytes()[:200])
    with pytest.raises(KaraisError, match=r"small\.gguf"):
        rewrite(small, tmp_path / "out.gguf", Recipe(to="Q8_0"))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("to", ["Q4_0", "IQ4_NL"])
def test_searched_scales_are_nearer_than_rounding_to_nearest(to: Any) -> None:
    weights = np.random.default_rng(2).normal(size=(64, 1024)).astype(np.float32)
    plain = gguf.quants.dequantize(gguf.quants.quantize(weights, Q.Q4_0), Q.Q4_0)
    searched = gguf.quants.dequantize(quantise(weights, to), Q[to])
    error = np.square(weights - searched).sum() / np.square(weights - plain).sum()
    assert error < 0.9


@pytest.mark.parametrize("to", ["Q4_0", "IQ4_NL"])
def test_odd_blocks_stay_finite(to: Any) -> None:
    rows = np.zeros((4, 32), dtype=np.float32)
    rows[1] = 3.0
    rows[2, 5] = -1e-6
    rows[3] = np.linspace(-1e4, 1e4, 32)
    got = gguf.quants.dequantize(quantise(rows, to), Q[to])
    assert np.isfinite(got).all()
    assert np.array_equal(got[0], rows[0])
    assert np.allclose(got[1], 3.0, rtol=0.01)
    assert np.abs(got[3] - rows[3]).max() < 0.1 * 1e4
