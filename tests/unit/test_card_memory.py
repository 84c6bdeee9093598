"""How many layers go on a card whose memory does not suffice, by a llama.cpp that is only played."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.brain.engines import llamacpp_load, room
from agents.brain.engines.card_memory import (
    SOON_S,
    CardMemory,
    Record,
    after_death,
    fewer,
    layers_to_try,
)
from bus.settings import Settings
from schemas.errors import Unavailable
from stores.weights import registry

CARD = "NVIDIA GeForce GTX 1070 Ti"


@pytest.mark.parametrize(
    ("wanted", "total", "most", "tries"),
    [
        (-1, 33, None, (-1, 16, 8, 0)),
        (33, 33, None, (33, 16, 8, 0)),
        (99, 33, None, (99, 16, 8, 0)),
        (10, 33, None, (10, 5, 0)),
        (0, 33, None, (0,)),
        (-1, 33, 16, (16, 8, 0)),
        (-1, 33, 0, (0,)),
        (10, 33, 16, (10, 5, 0)),
        (20, 33, 16, (16, 8, 0)),
        (-1, 0, None, (-1, 0)),
        (-1, 1, None, (-1, 0)),
    ],
)
def test_fewer_layers_are_tried_and_the_cpu_last(
    wanted: int, total: int, most: int | None, tries: tuple[int, ...]
) -> None:
    assert layers_to_try(wanted, total, most) == tries


@pytest.mark.parametrize("total", range(1, 100))
def test_every_order_of_tries_falls_and_ends_at_the_cpu(total: int) -> None:
    for wanted in range(-1, total + 2):
        tries = layers_to_try(wanted, total)
        assert tries[-1] == 0
        assert len(tries) <= 6
        known = [total + 2 if layers < 0 else layers for layers in tries]
        assert known == sorted(known, reverse=True)
        assert fewer(wanted, total) < total or total == 0


def test_one_death_changes_nothing_and_two_within_minutes_do() -> None:
    """A process may be killed for any reason; twice on end it is taken to be the card's memory."""
    record = Record(pid=7, layers=-1)
    once = after_death(record, 33, now=1000.0)
    assert once.most is None
    assert once.pid == 0
    again = after_death(once, 33, now=1000.0 + SOON_S + 1)
    assert again.most is None
    twice = after_death(once, 33, now=1100.0)
    assert twice.most == 16
    assert "2 times" in twice.reason


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_brain_that_dies_again_and_again_comes_up_with_less_and_less(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    seen = []
    for _ in range(9):
        memory = CardMemory(file, 33)
        layers = layers_to_try(-1, 33, memory.record.most)[0]
        seen.append(layers)
        if layers:
            memory.loaded(layers)
            written = file.read_text().replace(f'"pid":{os.getpid()}', f'"pid":{dead_pid()}')
            file.write_text(written)
    assert seen == [-1, -1, 16, 16, 8, 8, 0, 0, 0]


def test_a_card_without_memory_is_believed_at_once(tmp_path: Path) -> None:
    memory = CardMemory(tmp_path / "gpu.json", 33)
    memory.loaded(33)
    memory.exhausted()
    assert CardMemory(tmp_path / "gpu.json", 33).record.most == 16


def test_an_end_in_order_is_no_death(tmp_path: Path) -> None:
    for _ in range(5):
        memory = CardMemory(tmp_path / "gpu.json", 33)
        assert memory.record.most is None
        memory.loaded(-1)
        memory.ended()


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_bytes(b'{"pid": "x"')
    assert CardMemory(tmp_path / "gpu.json", 33).record == Record()


class PlayedLlama:
    """As much of xllamacpp as loading needs, with a card that takes only so many layers."""

    ggml_backend_dev_type = SimpleNamespace(GGML_BACKEND_DEVICE_TYPE_GPU=1, GGML_BACKEND_DEVICE_TYPE_IGPU=2)
    llama_load_mode = SimpleNamespace(LLAMA_LOAD_MODE_NONE=0)

    def __init__(self, room: int, *, cpu: bool = True) -> None:
        self.room = room
        self.cpu = cpu
        self.tried: list[int] = []

    def get_device_info(self) -> list[dict[str, Any]]:
        return [{"type": 1, "description": CARD, "memory_free": 8 << 30}]

    def CommonParams(self) -> SimpleNamespace:  # noqa: N802 - as there
        threads = SimpleNamespace
        return SimpleNamespace(model=SimpleNamespace(), cpuparams=threads(), cpuparams_batch=threads())

    def Server(self, params: SimpleNamespace) -> str:  # noqa: N802 - as there
        layers = params.n_gpu_layers
        self.tried.append(layers)
        if (33 if layers < 0 else layers) > self.room or (layers == 0 and not self.cpu):
            raise RuntimeError("Failed to init server")
        return f"server with {layers}"


@pytest.fixture
def model(tmp_path: Path) -> registry.Model:
    models = tmp_path / "models"
    with registry.adding(models, "seven") as folder:
        (folder / "model.gguf").write_bytes(b"GGUF")
        registry.commit(models, folder, name="seven", kind="gguf", main="model.gguf")
    return registry.find(models, "seven")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    found = SimpleNamespace(layers=33, of=33)
    header = SimpleNamespace(metadata={"tokenizer.ggml.eos_token_id": 2})
    monkeypatch.setattr(room, "header_of", lambda weights: header)
    monkeypatch.setattr(room, "check_template", lambda model, header: None)
    monkeypatch.setattr(room, "room_for", lambda *_, **__: found)
    return Settings(home=tmp_path, model="seven")


def start(llama: PlayedLlama, settings: Settings, model: registry.Model) -> llamacpp_load.Loaded:
    return llamacpp_load.start(llama, settings, model, settings.home / "socket")


def test_what_fits_is_loaded_without_an_alert(settings: Settings, model: registry.Model) -> None:
    llama = PlayedLlama(room=33)
    loaded = start(llama, settings, model)
    assert (llama.tried, loaded.device, loaded.alert, loaded.ends) == ([-1], CARD, "", (2,))


def test_a_card_with_too_little_memory_gets_fewer_layers_and_an_alert(
    settings: Settings, model: registry.Model
) -> None:
    llama = PlayedLlama(room=10)
    loaded = start(llama, settings, model)
    assert llama.tried == [-1, 16, 8]
    assert loaded.device == CARD
    assert "8 layers" in loaded.reason
    assert "only 8 of 33 layers" in loaded.alert
    assert "karais up" in loaded.alert


def test_a_card_that_takes_nothing_leaves_it_to_the_cpu(settings: Settings, model: registry.Model) -> None:
    llama = PlayedLlama(room=0)
    loaded = start(llama, settings, model)
    assert llama.tried == [-1, 16, 8, 0]
    assert loaded.device == "cpu"
    assert CARD in loaded.reason
    assert f"nothing is on {CARD}" in loaded.alert
    assert loaded.cards is None


def test_what_does_not_load_anywhere_is_named(settings: Settings, model: registry.Model) -> None:
    with pytest.raises(Unavailable, match=r"model\.gguf"):
        start(PlayedLlama(room=0, cpu=False), settings, model)


def test_what_a_card_could_not_hold_before_is_not_tried_again(
    settings: Settings, model: registry.Model
) -> None:
    first = start(PlayedLlama(room=33), settings, model)
    assert first.cards is not None
    first.cards.exhausted()
    llama = PlayedLlama(room=33)
    loaded = start(llama, settings, model)
    assert llama.tried == [16]
    assert "ran out of memory" in loaded.alert
    settings.card_memory.unlink()  # a new `karais up`
    llama = PlayedLlama(room=33)
    assert start(llama, settings, model).alert == ""
    assert llama.tried == [-1]


def test_a_socket_that_was_left_behind_is_in_nobodys_way(settings: Settings, model: registry.Model) -> None:
    """A killed brain leaves its socket, and in a container the next one has its process id."""
    (settings.home / "socket").touch()
    start(PlayedLlama(room=33), settings, model)
    assert not (settings.home / "socket").exists()
