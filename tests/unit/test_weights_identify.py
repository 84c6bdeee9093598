"""What a model file is, is decided by its content; a pickle is refused wherever it lies."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.identify import identify


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch /tmp/owned",)


def safetensors(path: Path, tensors: dict[str, int] | None = None) -> Path:
    """Write a safetensors file with float32 tensors of these lengths."""
    header, end = {}, 0
    for name, count in (tensors or {"w": 4}).items():
        header[name] = {"dtype": "F32", "shape": [count], "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path


def gguf(path: Path) -> Path:
    """Write a GGUF file with one tensor of 32 float32."""
    import gguf as library
    import numpy as np

    writer = library.GGUFWriter(path, "llama")
    writer.add_tensor("w", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def torch_zip(path: Path, name: str = "archive/data.pkl") -> Path:
    """Write what ``torch.save`` writes: a ZIP with a pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, pickle.dumps(Bomb()))
        archive.writestr("archive/data/0", bytes(64))
    return path


def test_a_name_says_nothing(tmp_path: Path) -> None:
    assert identify(gguf(tmp_path / "model.bin")) == "gguf"
    assert identify(safetensors(tmp_path / "model.gguf")) == "safetensors"


def test_onnx_is_told_by_its_fields(tmp_path: Path) -> None:
    model = tmp_path / "m"
    model.write_bytes(b"\x08\x08" + b"\x12\x07pytorch" + b"\x1a\x052.1.0" + b"\x3a\x20" + bytes(64))
    assert identify(model) == "onnx"


def test_openvino_needs_its_weights(tmp_path: Path) -> None:
    xml = '<?xml version="1.0"?>\n<net name="Model" version="11">\n<layers>\n</layers></net>'
    (tmp_path / "openvino_model.xml").write_text(xml)
    with pytest.raises(KaraisError, match=r"no \.bin file"):
        identify(tmp_path)
    (tmp_path / "openvino_model.bin").write_bytes(bytes(64))
    assert identify(tmp_path) == "openvino"


def test_ctranslate2_is_told_by_its_spec(tmp_path: Path) -> None:
    name = b"WhisperSpec\0"
    (tmp_path / "model.bin").write_bytes(struct.pack("<IH", 6, len(name)) + name + bytes(64))
    (tmp_path / "config.json").write_text("{}")
    assert identify(tmp_path) == "ctranslate2"


@pytest.mark.parametrize(
    ("file", "config", "kind"),
    [
        ("config.json", {"model_type": "llama"}, "safetensors"),
        ("config.json", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
        ("config.json", {"quantization_config": {"quant_method": "exl2", "bits": 4.0}}, "exl2"),
        ("quantize_config.json", {"bits": 4, "group_size": 128}, "gptq"),
    ],
)
def test_quantised_folders_are_told_by_their_configuration(
    tmp_path: Path, file: str, config: dict[str, object], kind: str
) -> None:
    safetensors(tmp_path / "model.safetensors")
    (tmp_path / file).write_text(json.dumps(config))
    assert identify(tmp_path) == kind


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["model.bin", "model.gguf", "model.safetensors", "notes.txt"])
def test_a_pickle_of_any_protocol_and_name_is_refused(tmp_path: Path, name: str, protocol: int) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(KaraisError, match="contains a pickle") as refused:
        identify(path)
    assert refused.value.code is Code.INVALID
    assert str(path) in str(refused.value)


def test_a_pickle_that_hides_its_orders_behind_much_text_is_refused(tmp_path: Path) -> None:
    """The first bytes alone look like the beginning of a long text."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for path in (tmp_path / "model.safetensors", tmp_path / "zipped.safetensors"):
            path.write_bytes(pickle.dumps(("a" * 10_000, Bomb()), protocol=protocol))
            if path.stem == "zipped":
                data = path.read_bytes()
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.writestr("weights/0", data)
            with pytest.raises(KaraisError, match="contains a pickle"):
                identify(path)


@pytest.mark.parametrize(
    "before", [b"N0", b"I1\n0", b"Vtext\n0", b"K\x010", b"\x8c\x03abc0", b"\x88\x890\x30"]
)
def test_a_pickle_made_by_hand_is_refused(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(before + b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(KaraisError, match="contains a pickle"):
        identify(path)


def test_an_array_of_objects_is_refused_however_its_type_is_written(tmp_path: Path) -> None:
    for kind in ("'|O'", '"|O"', "'O8'", "[('a', '<f4'), ('b', \"O\")]"):
        header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': (1,), }}\n".encode()
        path = tmp_path / "weights.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64))
        with pytest.raises(KaraisError, match="contains a pickle"):
            identify(path)


@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
def test_weights_are_not_taken_for_pickles(tmp_path: Path) -> None:
    """Numbers of every kind, whatever they begin with."""
    import random

    draw = random.Random(1)
    safetensors(tmp_path / "model.safetensors")
    for number in range(1024):
        (tmp_path / f"{number}.bin").write_bytes(bytes((number % 256,)) + draw.randbytes(5000))
    assert identify(tmp_path) == "safetensors"


def test_a_pickle_of_plain_weights_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(pickle.dumps({"layer": [0.1] * 5000}))
    with pytest.raises(KaraisError, match="contains a pickle"):
        identify(path)


def test_a_torch_file_is_refused_also_under_another_member_name(tmp_path: Path) -> None:
    for name in ("archive/data.pkl", "archive/data.txt"):
        with pytest.raises(KaraisError, match="contains a pickle"):
            identify(torch_zip(tmp_path / "pytorch_model.bin", name))


def test_a_zip_in_a_zip_is_refused(tmp_path: Path) -> None:
    inner = torch_zip(tmp_path / "inner").read_bytes()
    with zipfile.ZipFile(tmp_path / "outer.bin", "w") as archive:
        archive.writestr("weights.dat", inner)
    with pytest.raises(KaraisError, match="archive in an archive"):
        identify(tmp_path / "outer.bin")


def test_a_gguf_with_an_archive_behind_it_is_refused(tmp_path: Path) -> None:
    both = gguf(tmp_path / "m").read_bytes() + torch_zip(tmp_path / "z").read_bytes()
    (tmp_path / "m").write_bytes(both)
    with pytest.raises(KaraisError, match="contains a pickle"):
        identify(tmp_path / "m")


def test_an_old_torch_file_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        data = pickle.dumps(Bomb())
        info = tarfile.TarInfo("storages")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    with pytest.raises(KaraisError, match="TAR"):
        identify(tmp_path / "old.pt")


def test_a_pickle_deep_in_a_folder_is_refused_beside_good_weights(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "README.md").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(KaraisError, match=r"a/b/README\.md"):
        identify(tmp_path)


def test_ordinary_texts_are_not_taken_for_pickles(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors")
    texts = (
        "(c) 2025 somebody\n",
        "config\nfile\n",
        "[1, 2]",
        "import os\n",
        "}\n",
        "license: mit\n",
        "No restrictions (of any kind)\nR.\n",
        "Note\nthat\n",
        "Vocabulary\nof\nthe\nmodel\n",
        "",
        "d",
    )
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text)
    assert identify(tmp_path) == "safetensors"


@pytest.mark.parametrize("kind", ["gguf", "safetensors"])
def test_truncated_weights_are_refused(tmp_path: Path, kind: str) -> None:
    path = (gguf if kind == "gguf" else safetensors)(tmp_path / "m")
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 30):
        path.write_bytes(whole[:length])
        with pytest.raises(KaraisError, match="truncated"):
            identify(path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(KaraisError, match="no weights"):
            identify(path)
    with pytest.raises(KaraisError) as missing:
        identify(tmp_path / "nothing")
    assert missing.value.code is Code.NOT_FOUND
