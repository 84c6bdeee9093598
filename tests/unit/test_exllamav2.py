"""What of the engine exllamav2 can be held without a card: choice, errors, and the books of its runners.

The library is played by a double with the shapes of exllamav2 0.3.2: a cache
of (1, tokens, heads, size) for each layer, a model whose logits tell which
tokens its keys and values say that it has seen.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.brain.engines import open_engine
from bus.settings import Settings
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import registry

torch = pytest.importorskip("torch")

VOCABULARY = 50


class Cache:
    """ExLlamaV2Cache of one layer; the key of a token is its number."""

    def __init__(self, tokens: int) -> None:
        self.max_seq_len = tokens
        self.current_seq_len = 0
        self.keys = torch.zeros(1, tokens, 1, 1)

    def all_tensors(self) -> list[Any]:
        return [self.keys]


class Model:
    """ExLlamaV2: behind each token, the logits say how often each token was seen until there."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(vocab_size=VOCABULARY)
        self.calls: list[tuple[int, int]] = []
        self.full = False
        self.unloaded = False

    def forward_chunk(
        self, input_ids: Any, cache: Cache, last_id_only: bool, attn_params: Any
    ) -> dict[str, Any]:
        assert last_id_only
        assert input_ids.dtype == torch.long
        batch, new = input_ids.shape
        self.calls.append((batch, new))
        logits = torch.zeros(batch, 1, VOCABULARY + 14, dtype=torch.half)  # padded, as the head is
        for row in range(batch):
            if attn_params is None:
                places = list(range(cache.current_seq_len + new))
                before = cache.current_seq_len
            else:
                before = int(attn_params.cache_seqlens[row])
                table = attn_params.block_index[row].tolist()
                places = [table[at // 256] * 256 + at % 256 for at in range(before + new)]
            for at, token in zip(places[before:], input_ids[row].tolist(), strict=True):
                cache.keys[0, at] = token
            if self.full:
                raise torch.OutOfMemoryError("CUDA out of memory")
            for at in places:
                logits[row, 0, int(cache.keys[0, at])] += 1
        cache.current_seq_len += new
        return {"logits": logits}

    def unload(self) -> None:
        self.unloaded = True


def paged_params(**given: Any) -> Any:
    """PagedParams, which wants its tensors of this type and on the CPU."""
    assert given["block_index"].dtype == given["cache_seqlens"].dtype == torch.int32
    assert given["page_size"] == 256
    assert given["q_len"] > 0
    assert given["batch_size"] == len(given["block_index"]) == len(given["cache_seqlens"])
    assert given["max_cache_seqlen"] == int(given["cache_seqlens"].max())
    return SimpleNamespace(**given)


def seen(row: Any) -> list[int]:
    """Return the tokens that logits say were seen, sorted."""
    return [token for token, count in enumerate(row) for _ in range(int(count))]


def test_paged_lanes_with_equally_many_tokens_share_a_call() -> None:
    """Answers go through the model together, prompts for themselves; each sees its own lane."""
    from agents.brain.engines.exllamav2.runner import PagedRunner

    model = Model()
    runner = PagedRunner(model, Cache(4 * 256), paged_params)
    one, two, three = (runner.begin([n] * 20, 100, "") for n in (1, 2, 3))
    runner.forward([(one, [1] * 20), (two, [2] * 20)])
    rows = runner.forward([(one, [4]), (three, [3] * 7), (two, [5])])
    assert model.calls == [(2, 20), (2, 1), (1, 7)]
    assert [seen(row) for row in rows] == [[1] * 20 + [4], [3] * 7, [2] * 20 + [5]]
    assert rows.shape == (3, VOCABULARY)


def test_a_paged_prompt_continues_a_page_in_its_middle() -> None:
    """A lane that ended serves the next that begins like it, and a longer one over several pages."""
    from agents.brain.engines.exllamav2.runner import PagedRunner

    model = Model()
    runner = PagedRunner(model, Cache(8 * 256), paged_params)
    text = [n % 40 for n in range(300)]
    lane = runner.begin(text, 400, "")
    assert lane is not None
    runner.forward([(lane, text)])
    runner.end(lane)
    other = [*text[:290], 48, 49]
    lane = runner.begin(other, 400, "")
    assert lane is not None
    assert lane.length == 290
    assert seen(runner.forward([(lane, other[290:])])[0]) == sorted(other)
    assert runner.begin(other, 400, "another adapter").length == 0  # type: ignore[union-attr]
    runner.close()
    assert model.unloaded


def test_the_single_lane_continues_what_the_last_one_left() -> None:
    """Without flash-attn there is one lane, and no second one beside it."""
    from agents.brain.engines.exllamav2.runner import SingleRunner

    runner = SingleRunner(Model(), Cache(512))
    lane = runner.begin([1, 2, 3, 4], 100, "")
    assert lane is not None
    assert runner.begin([1, 2], 100, "") is None
    runner.forward([(lane, [1, 2])])
    assert seen(runner.forward([(lane, [3, 4])])[0]) == [1, 2, 3, 4]
    runner.end(lane)
    lane = runner.begin([1, 2, 3, 9, 9], 100, "")
    assert lane is not None
    assert lane.length == 3
    assert seen(runner.forward([(lane, [9, 9])])[0]) == [1, 2, 3, 9, 9]
    runner.end(lane)
    assert runner.begin([1, 2], 100, "another").length == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("paged", [True, False])
def test_a_full_card_fails_the_step_and_nothing_of_it_is_used(paged: bool) -> None:
    from agents.brain.engines.exllamav2.runner import PagedRunner, SingleRunner

    model = Model()
    runner: Any = PagedRunner(model, Cache(1024), paged_params) if paged else SingleRunner(model, Cache(1024))
    lane = runner.begin([1, 2, 3], 100, "")
    runner.forward([(lane, [1, 2])])
    model.full = True
    with pytest.raises(Unavailable, match="memory is full"):
        runner.forward([(lane, [3])])
    runner.end(lane)
    model.full = False
    lane = runner.begin([1, 2, 3, 4], 100, "")
    assert lane.length == 0
    assert seen(runner.forward([(lane, [1, 2, 3, 4])])[0]) == [1, 2, 3, 4]
    runner.end(lane)
    assert runner.begin([1, 2, 3, 4, 5], 100, "").length == 4


def registered(home: Path, kind: Any) -> Settings:
    """Register a folder as weights of a kind; what is in it is not read before the checks."""
    with registry.adding(home / "models", "some") as folder:
        (folder / "weights").write_bytes(b"x")
        registry.commit(home / "models", folder, name="some", kind=kind)
    return Settings(home=home, engine="exllamav2", model="some")


async def refused(settings: Settings) -> KaraisError:
    with pytest.raises(KaraisError) as error:
        await open_engine(settings).__aenter__()
    return error.value


async def test_weights_of_another_kind_are_refused_with_the_engine_for_them(tmp_path: Path) -> None:
    error = await refused(registered(tmp_path, "gguf"))
    assert error.code is Code.INVALID
    assert "llamacpp" in str(error)


async def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.brain.engines.exllamav2.opening.find_spec", lambda name: None)
    assert "pip install exllamav2" in str(await refused(registered(tmp_path, "exl2")))


async def test_without_a_card_it_says_what_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported that would compile itself, or raise what nobody understands."""
    monkeypatch.setattr("agents.brain.engines.exllamav2.opening.find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    error = await refused(registered(tmp_path, "exl2"))
    assert isinstance(error, Unavailable)
    assert "karais doctor" in str(error)
    assert "llamacpp" in str(error)


@pytest.mark.parametrize("flash", [True, False])
def test_the_runner_goes_with_what_is_installed(flash: bool) -> None:
    """Pages where flash-attn has them, one lane where not; the context in whole pages."""
    from agents.brain.engines.exllamav2 import opening

    made: dict[str, Any] = {}

    class Config(SimpleNamespace):
        def __init__(self, folder: str) -> None:
            super().__init__(folder=folder, no_flash_attn=False)
            made["config"] = self

        def arch_compat_overrides(self, quiet: bool) -> None:
            assert quiet

    class Loading(Model):
        def __init__(self, config: Config) -> None:
            super().__init__()

        def load_autosplit(self, cache: Cache) -> None:
            made["cache"] = cache

    def cache(model: Loading, batch_size: int, max_seq_len: int, lazy: bool) -> Cache:
        assert batch_size == 1
        assert lazy
        return Cache(max_seq_len)

    library = SimpleNamespace(ExLlamaV2Config=Config, ExLlamaV2=Loading, ExLlamaV2Cache=cache)
    attn = SimpleNamespace(
        has_flash_attn_with_paged=flash, ExLlamaV2Attention=SimpleNamespace(PagedParams=paged_params)
    )
    runner = opening._runner(library, attn, "folder", 1000, 8)
    assert type(runner).__name__ == ("PagedRunner" if flash else "SingleRunner")
    assert runner.capacity == made["cache"].max_seq_len == made["config"].max_seq_len == 1024
