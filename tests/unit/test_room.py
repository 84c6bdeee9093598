"""What is decided before llama.cpp loads a model: on the card, beside it, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from agents.brain.engines import llamacpp_load, room
from bus.settings import Settings
from ops import models as commands
from schemas.errors import Unavailable
from stores.weights import memory
from stores.weights.profiles import MISTRAL
from stores.weights.registry import Model
from tests.random_models import write_gguf

GB = 10**9


class PlayedServer:
    """Takes what it is given; on a card it fails when it is told to."""

    fails_on_card = False
    started: ClassVar[list[Any]] = []

    def __init__(self, params: Any) -> None:
        PlayedServer.started.append(params)
        if params.n_gpu_layers and PlayedServer.fails_on_card:
            raise RuntimeError("out of memory")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Play an xllamacpp with a card; its free bytes can be changed."""
    device = {"type": 1, "description": "GTX 1070 Ti", "memory_free": 8 * GB}
    kinds = SimpleNamespace(GGML_BACKEND_DEVICE_TYPE_GPU=1, GGML_BACKEND_DEVICE_TYPE_IGPU=2)

    def params() -> SimpleNamespace:
        return SimpleNamespace(
            model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace()
        )

    played = SimpleNamespace(
        Server=PlayedServer,
        CommonParams=params,
        get_device_info=lambda: [device],
        ggml_backend_dev_type=kinds,
        llama_load_mode=SimpleNamespace(LLAMA_LOAD_MODE_NONE=0),
        device=device,
    )
    monkeypatch.setitem(sys.modules, "xllamacpp", played)  # type: ignore[arg-type]
    monkeypatch.setattr(PlayedServer, "started", [])
    monkeypatch.setattr(PlayedServer, "fails_on_card", False)
    return played


@pytest.fixture
def model(tmp_path: Path) -> Model:
    write_gguf(tmp_path / "m.gguf", layers=8)
    return commands.add(Settings(home=tmp_path), tmp_path / "m.gguf", name=MISTRAL.name)


def settings_for(tmp_path: Path, **more: Any) -> Settings:
    return Settings(home=tmp_path, model=MISTRAL.name, context=4096, threads=1, **more)


def test_what_fits_on_the_card_goes_there_with_the_profiles_template(
    card: SimpleNamespace, model: Model, tmp_path: Path
) -> None:
    loaded = llamacpp_load.load(settings_for(tmp_path), model, tmp_path / "s")
    assert (loaded.device, loaded.reason) == ("GTX 1070 Ti", "as many layers as fit on the card")
    assert PlayedServer.started[0].chat_template == MISTRAL.profile.template


def test_a_card_without_room_for_one_layer_is_left_alone(
    card: SimpleNamespace, model: Model, tmp_path: Path
) -> None:
    card.device["memory_free"] = 500_000_000
    loaded = llamacpp_load.load(settings_for(tmp_path), model, tmp_path / "s")
    assert loaded.device == "cpu"
    assert loaded.reason == "no layer of the model fits on GTX 1070 Ti, 500 MB of it are free"
    assert [params.n_gpu_layers for params in PlayedServer.started] == [0]


def test_when_the_card_fails_the_ram_takes_all_if_it_can(
    card: SimpleNamespace, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PlayedServer.fails_on_card = True
    loaded = llamacpp_load.load(settings_for(tmp_path), model, tmp_path / "s")
    assert loaded.device == "cpu"
    assert loaded.reason == "no layers on GTX 1070 Ti: more did not load there"
    assert "GTX 1070 Ti" in loaded.alert
    shape = room.shape_of(room.read_header(model.weights))
    on_card = room.fit(shape, context=4096, cards=[8 * GB], ram=GB)
    monkeypatch.setattr(memory, "free_ram", lambda: on_card.ram_bytes + (260 << 20))
    PlayedServer.started.clear()
    with pytest.raises(Unavailable, match=r"does not fit.*RAM are free"):
        llamacpp_load.load(settings_for(tmp_path), model, tmp_path / "s")
    assert all(params.n_gpu_layers for params in PlayedServer.started), "it was not tried on the CPU"


def test_what_does_not_fit_is_not_tried_and_what_would_is_named(
    card: SimpleNamespace, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice for the real model: a smaller variant, or less context."""
    header = room.read_header(model.weights)
    big = MISTRAL.variants[0]
    monkeypatch.setattr(room, "shape_of", lambda _: MISTRAL.shape(big))
    monkeypatch.setattr(Model, "bytes", big.bytes)
    settings = settings_for(tmp_path)
    with pytest.raises(Unavailable) as refused:
        room.room_for(settings, model, header, cards=(), ram=8_100_000_000)
    said = str(refused.value)
    assert "weights 7.70 GB, a context of 4,096 tokens 537 MB" in said
    assert "8.10 GB of RAM are free" in said
    assert "karais models pull mistral-7b-instruct --quantisation Q6_K" in said
    with pytest.raises(Unavailable, match="set `model` to a smaller one"):
        room.room_for(settings, model, header, cards=(), ram=GB)
    monkeypatch.setattr(memory, "free_ram", lambda: GB)
    card.device["memory_free"] = GB
    with pytest.raises(Unavailable, match=r"1\.00 GB are free on the card and 1\.00 GB of RAM"):
        llamacpp_load.load(settings, model, tmp_path / "s")
    assert PlayedServer.started == []
