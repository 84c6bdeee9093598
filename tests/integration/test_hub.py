"""`karais models pull mistral-7b-instruct`, against a double of a hub: all that can go wrong on the way."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.settings import Settings
from ops import models as commands
from ops.cli import app
from ops.models import Step
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import memory, registry
from stores.weights.profiles import MISTRAL
from tests.hub_double import COMMIT, Hub, running
from tests.random_models import write_gguf, write_safetensors

NAME = "mistral-7b-instruct"
FILE = "Mistral-7B-Instruct-v0.3-{}.gguf"
Q5 = FILE.format("Q5_K_M")
"""A variant whose hash is not pinned, so that a small model can stand for it."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("weights") / "model.gguf"
    write_gguf(path, layers=2, hidden=64)
    return path.read_bytes()


@pytest.fixture
def hub(weights: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub(
        MISTRAL.repository, MISTRAL.revision, {FILE.format(v.quantisation): weights for v in MISTRAL.variants}
    )
    with running(made) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("ops.hub._PAUSE_S", 0.01)
        yield hub


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def pull(home: Settings, quantisation: str = "Q5_K_M", steps: list[Step] | None = None) -> registry.Model:
    seen: list[Step] = [] if steps is None else steps
    return commands.pull(home, [NAME], seen.append, quantisation=quantisation)[0]


def parts(home: Settings) -> list[Path]:
    return list((home.home / "cache" / "hub").rglob("*.part"))


def test_a_pulled_model_has_its_profile_and_is_verified(hub: Hub, home: Settings, weights: bytes) -> None:
    steps: list[Step] = []
    model = pull(home, steps=steps)
    assert model.weights.name == Q5
    assert model.weights.read_bytes() == weights
    manifest = registry.find(home.models, NAME).manifest
    assert manifest.files[0].sha256 == hashlib.sha256(weights).hexdigest()
    assert manifest.source == f"hub:{MISTRAL.repository}@{COMMIT}"
    assert manifest.profile.template == MISTRAL.profile.template
    assert manifest.profile.stop == ("</s>",)
    assert manifest.profile.context == 32_768
    assert manifest.checked_template
    assert manifest.chosen.startswith("Q5_K_M ")
    assert "done" in {s.stage for s in steps}
    assert {"downloading", "checking"} <= {s.stage for s in steps}
    assert commands.verify(home) == {NAME: ""}
    assert not parts(home)


def test_a_model_that_is_there_is_not_asked_for_again_nor_replaced(hub: Hub, home: Settings) -> None:
    pull(home)
    asked = len(hub.requests)
    assert pull(home).name == NAME
    assert pull(home, "").name == NAME
    assert len(hub.requests) == asked
    with pytest.raises(KaraisError, match="there already, as Q5_K_M") as other:
        pull(home, "Q8_0")
    assert other.value.code is Code.CONFLICT


def test_a_folder_of_someone_else_is_left_alone(hub: Hub, home: Settings) -> None:
    mine = home.models / NAME / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(KaraisError, match="did not put it there"):
        pull(home)
    assert mine.read_text() == "mine"
    assert hub.requests == []


def test_a_cut_connection_is_taken_up_where_it_was_cut(hub: Hub, home: Settings, weights: bytes) -> None:
    hub.cut_after = len(weights) // 3
    assert pull(home).weights.read_bytes() == weights
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in hub.ranges() if r]
    assert len(starts) >= 2
    assert starts == sorted(starts)
    assert starts[0] > 0


def test_an_interrupted_pull_goes_on_at_the_next_one(hub: Hub, home: Settings, weights: bytes) -> None:
    hub.cut_after = len(weights) // 2

    def interrupt(step: Step) -> None:
        if step.done >= len(weights) // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commands.pull(home, [NAME], interrupt, quantisation="Q5_K_M")
    (part,) = parts(home)
    have = part.stat().st_size
    assert have >= len(weights) // 2
    assert registry.models_in(home.models) == []
    hub.cut_after = 0
    hub.requests.clear()
    assert pull(home).weights.read_bytes() == weights
    assert hub.ranges() == [f"bytes={have}-"]


def test_what_is_left_of_another_variant_is_not_continued(hub: Hub, home: Settings, weights: bytes) -> None:
    cache = home.home / "cache" / "hub" / NAME
    cache.mkdir(parents=True)
    (cache / f"{'0' * 64}.part").write_bytes(b"of another")
    pull(home)
    assert hub.ranges() == [""]


def test_a_file_with_another_hash_is_deleted(hub: Hub, home: Settings) -> None:
    hub.spoil = True
    with pytest.raises(Unavailable, match="SHA-256 differs from the hub's"):
        pull(home)
    assert not parts(home)
    assert registry.models_in(home.models) == []
    hub.spoil = False
    pull(home)


def test_a_hub_that_has_another_file_than_the_pinned_one_is_refused_before_it_is_fetched(
    hub: Hub, home: Settings
) -> None:
    with pytest.raises(Unavailable, match=r"pinned is 1270d22c0fbb"):
        pull(home, "Q4_K_M")
    assert [method for method, _, _ in hub.requests] == ["HEAD"]


def test_a_hub_that_gives_no_hash_is_refused(hub: Hub, home: Settings) -> None:
    hub.etag = "abc"
    with pytest.raises(Unavailable, match="could not be verified"):
        pull(home)


@pytest.mark.parametrize(
    ("status", "code", "expected", "words"),
    [
        (401, "", Code.FORBIDDEN, "hf auth login"),
        (401, "GatedRepo", Code.FORBIDDEN, "agree on http"),
        (403, "GatedRepo", Code.FORBIDDEN, "agree on http"),
        (403, "", Code.FORBIDDEN, "HF_TOKEN"),
        (404, "RepoNotFound", Code.NOT_FOUND, "has no repository"),
        (404, "RevisionNotFound", Code.NOT_FOUND, "no such revision"),
        (404, "EntryNotFound", Code.NOT_FOUND, rf"no such file .*{Q5}"),
        (500, "", Code.UNAVAILABLE, r"cannot be reached.*HTTP 500"),
        (503, "", Code.UNAVAILABLE, "karais models add PATH"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(
    hub: Hub, home: Settings, status: int, code: str, expected: Code, words: str
) -> None:
    hub.status, hub.error_code = status, code
    with pytest.raises(KaraisError, match=words) as refused:
        pull(home)
    assert refused.value.code is expected


def test_the_token_goes_to_the_hub_and_not_to_where_its_files_lie(
    hub: Hub, home: Settings, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token, hub.elsewhere = "hf_secret", True
    with pytest.raises(KaraisError, match="agree on"):
        pull(home)
    hub.requests.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert pull(home).weights.read_bytes() == weights
    by_place = {path.startswith("/elsewhere/"): headers for _, path, headers in hub.requests}
    assert by_place[False]["Authorization"] == "Bearer hf_secret"
    assert "Authorization" not in by_place[True]


def test_without_room_both_numbers_are_said(
    hub: Hub, home: Settings, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 1234))
    with pytest.raises(Unavailable, match=rf"needs {len(weights) + (64 << 20):,} bytes, 1,234 are free"):
        pull(home)
    assert hub.ranges() == []


def test_a_full_disk_in_the_middle_is_said(hub: Hub, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(step: Step) -> None:
        if step.stage == "downloading":
            raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="No space left on device; free some space"):
        commands.pull(home, [NAME], full, quantisation="Q5_K_M")


def test_a_hub_that_is_down_is_said(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1.* cannot be reached"):
            pull(home)


def test_a_file_that_is_no_model_or_has_a_pickle_is_not_kept(hub: Hub, home: Settings) -> None:
    import pickle

    for content in (pickle.dumps({"a": [0.1] * 500}), b"GGUF" + bytes(100), b"<html>not found</html>" * 9):
        hub.files[Q5] = content
        with pytest.raises(KaraisError):
            pull(home)
        assert registry.models_in(home.models) == []


def test_the_variant_is_the_one_that_fits_the_machine(
    hub: Hub, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "cards", lambda: (8_110 << 20, 1 << 30))
    monkeypatch.setattr(memory, "ram", lambda: 32 << 30)
    model = pull(home, "")
    assert model.weights.name == Q5
    assert "16,384 tokens" in model.manifest.chosen


def test_an_unknown_variant_is_answered_with_those_there_are(hub: Hub, home: Settings) -> None:
    with pytest.raises(KaraisError, match="Q8_0, Q6_K, Q5_K_M, Q4_K_M") as unknown:
        pull(home, "Q1")
    assert unknown.value.code is Code.NOT_FOUND
    with pytest.raises(KaraisError, match="one variant only"):
        commands.pull(home, ["smollm2-135m-instruct"], quantisation="Q8_0")
    assert hub.requests == []


def test_the_command_line_pulls_and_lists(hub: Hub, home: Settings) -> None:
    runner = CliRunner()
    given = ["--home", str(home.home)]
    listed = json.loads(runner.invoke(app, [*given, "models", "list", "--json"]).stdout)
    assert {"name": NAME, "state": "not pulled"}.items() <= listed["models"][-1].items()
    done = runner.invoke(app, [*given, "models", "pull", NAME, "--quantisation", "Q5_K_M"])
    assert done.exit_code == 0, done.output
    assert "Q5_K_M was asked for. It fits" in done.output
    hub.spoil = True
    other = runner.invoke(
        app, ["--home", str(home.home) + "2", "models", "pull", NAME, "--quantisation", "Q6_K"]
    )
    assert other.exit_code != 0


def test_any_repository_is_pulled_by_its_name(hub: Hub, home: Settings, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "hf", layers=1)
    hub.repository, hub.revision = "someone/Small-Model", "main"
    hub.files = {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()}
    hub.files |= {"pytorch_model.bin": b"\x80\x04.", "modeling.py": b"raise SystemExit"}
    hub.cut_after = len(hub.files["model.safetensors"]) // 2
    (model,) = commands.pull(home, ["someone/Small-Model"])
    assert any(hub.ranges())
    assert model.manifest.kind == "safetensors"
    assert not list(model.folder.glob("*.bin")) + list(model.folder.glob("*.py"))


def test_a_repository_with_several_gguf_files_gives_the_variant_that_is_named(
    hub: Hub, home: Settings, weights: bytes
) -> None:
    hub.repository, hub.revision = "someone/many-gguf", "main"
    hub.files = {f"m-{kind}.gguf": weights for kind in ("Q4_K_M", "Q4_K_S", "IQ4_XS")}
    with pytest.raises(KaraisError, match="no GGUF file 'Q2_K'"):
        commands.pull(home, ["someone/many-gguf"], quantisation="Q2_K")
    (model,) = commands.pull(home, ["someone/many-gguf"], quantisation="q4_k_s")
    assert model.weights.name == "m-Q4_K_S.gguf"
    with pytest.raises(KaraisError, match=r"there already, as m-Q4_K_S\.gguf") as other:
        commands.pull(home, ["someone/many-gguf"], quantisation="Q4_K_M")
    assert other.value.code is Code.CONFLICT
