"""Whether a model fits is known before it is loaded, and said with numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import memory
from stores.weights.fit import buffer_bytes, context_bytes, fit, largest_context, shape_of, shape_of_config
from stores.weights.gguf_header import read_header
from stores.weights.profiles import MISTRAL, Variant, choose
from tests.random_models import write_gguf

GIB = 1 << 30
RTX_3090, GTX_1080_TI, GTX_1070_TI = 24_576 << 20, 11_172 << 20, 8_110 << 20
"""What the drivers say of the cards' memory."""


def variant(name: str) -> Variant:
    found = MISTRAL.variant(name)
    assert found
    return found


def test_a_gguf_header_tells_all_that_counts(tmp_path: Path) -> None:
    made = write_gguf(tmp_path / "m.gguf", layers=3, hidden=64, heads=4, kv_heads=2, feed_forward=96)
    shape = shape_of(read_header(tmp_path / "m.gguf"))
    assert (shape.layers, shape.hidden, shape.heads, shape.kv_heads) == (3, 64, 4, 2)
    assert (shape.key_size, shape.value_size, shape.feed_forward) == (16, 16, 96)
    assert (shape.vocabulary, shape.context) == (512, 4096)
    assert shape.embedding_bytes == 512 * 64 * 4
    assert shape.output_bytes == (512 * 64 + 64) * 4
    in_layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96 + 2 * 64
    assert shape.layer_bytes == (in_layer * 4,) * made.layers
    assert shape.weight_bytes < (tmp_path / "m.gguf").stat().st_size


def test_the_context_of_mistral_takes_128_kib_a_token() -> None:
    shape = MISTRAL.shape(variant("Q4_K_M"))
    assert context_bytes(shape, 32_768) * shape.layers == 32_768 * 128 * 1024
    assert context_bytes(shape, 32_768, "q8_0") < context_bytes(shape, 32_768) * 0.54


def test_a_configuration_gives_the_shape_of_the_gguf_file(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", layers=3, hidden=64, feed_forward=96)
    exact = shape_of(read_header(tmp_path / "m.gguf"))
    config = {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
        "intermediate_size": 96,
        "vocab_size": 512,
        "max_position_embeddings": 4096,
    }
    about = shape_of_config(config, exact.weight_bytes)
    assert about.weight_bytes == pytest.approx(exact.weight_bytes, rel=0.01)
    assert about.layer_bytes[0] == pytest.approx(exact.layer_bytes[0], rel=0.02)
    with pytest.raises(KaraisError, match="hidden_size") as wrong:
        shape_of_config({**config, "hidden_size": "wide"}, 1000)
    assert wrong.value.code is Code.INVALID
    assert wrong.value.field == "hidden_size"


def test_a_model_lies_on_the_card_in_part_or_not_at_all() -> None:
    shape = MISTRAL.shape(variant("Q4_K_M"))
    whole = fit(shape, context=8192, cards=[GTX_1080_TI], ram=16 * GIB)
    assert (whole.where, whole.layers, whole.of) == ("card", 33, 33)
    part = fit(shape, context=8192, cards=[4 * GIB], ram=16 * GIB)
    assert part.where == "split"
    assert 10 < part.layers < 30
    assert part.card_bytes + (512 << 20) <= 4 * GIB
    assert fit(shape, context=8192, cards=[GIB], ram=16 * GIB).where == "ram"
    assert fit(shape, context=8192, cards=[4 * GIB], ram=16 * GIB, most_layers=5).layers == 5
    assert fit(shape, context=8192, cards=[4 * GIB, 4 * GIB], ram=16 * GIB).where == "card"


def test_what_fits_nowhere_is_said_with_its_numbers() -> None:
    shape = MISTRAL.shape(variant("Q8_0"))
    found = fit(shape, context=8192, ram=6 * GIB)
    assert not found.fits
    assert "weights 7.70 GB" in found.sentence
    assert "context of 8,192 tokens 1.07 GB" in found.sentence
    assert "6.44 GB of RAM are free" in found.sentence


def test_the_largest_context_is_the_last_that_fits() -> None:
    shape = MISTRAL.shape(variant("Q4_K_M"))
    most = largest_context(shape, most=1 << 20, ram=6 * GIB)
    assert 8192 < most < 16_384
    assert fit(shape, context=most, ram=6 * GIB).fits
    assert not fit(shape, context=most + 256, ram=6 * GIB).fits
    assert largest_context(shape, most=1 << 20, ram=GIB) == 0


def test_buffers_grow_with_the_batch_and_the_context() -> None:
    shape = MISTRAL.shape(variant("Q4_K_M"))
    assert buffer_bytes(shape, 8192, 512) == 2 * buffer_bytes(shape, 8192, 256)
    assert buffer_bytes(shape, 32_768) > buffer_bytes(shape, 8192)


@pytest.mark.parametrize(
    ("cards", "ram", "quantisation", "context", "where"),
    [
        ([RTX_3090], 64 * GIB, "Q8_0", 32_768, "card"),
        ([GTX_1080_TI], 64 * GIB, "Q6_K", 32_768, "card"),
        ([GTX_1070_TI], 32 * GIB, "Q5_K_M", 16_384, "card"),
        ([GTX_1070_TI, RTX_3090], 64 * GIB, "Q8_0", 32_768, "card"),
        ([6 * GIB], 32 * GIB, "Q4_K_M", 8_192, "card"),
        ([4 * GIB], 32 * GIB, "Q4_K_M", 8_192, "split"),
        ([], 32 * GIB, "Q4_K_M", 8_192, "ram"),
        ([], 5_400_000_000, "Q4_K_M", 4_096, "ram"),
        ([], 4_700_000_000, "Q3_K_M", 4_096, "ram"),
    ],
)
def test_each_machine_gets_the_variant_that_fits_it(
    cards: list[int], ram: int, quantisation: str, context: int, where: str
) -> None:
    chosen = choose(MISTRAL, cards=cards, ram=ram)
    assert (chosen.variant.quantisation, chosen.fit.context, chosen.fit.where) == (
        quantisation,
        context,
        where,
    )
    assert quantisation in chosen.sentence
    assert f"{context:,} tokens" in chosen.sentence


def test_a_machine_that_is_too_small_is_told_so() -> None:
    with pytest.raises(Unavailable, match=r"No variant of mistral-7b-instruct fits.*3\.53 GB.*2\.15 GB"):
        choose(MISTRAL, cards=[], ram=2 * GIB)


def test_a_container_has_no_more_memory_than_its_limit(tmp_path: Path) -> None:
    """The limits of all groups above count; files that are only cached do not."""
    groups, membership = tmp_path / "cgroup", tmp_path / "self"
    own = groups / "box" / "karais"
    own.mkdir(parents=True)
    membership.write_text("0::/box/karais\n")
    (groups / "box" / "memory.max").write_text("1000000\n")
    (groups / "box" / "memory.current").write_text("700000\n")
    (groups / "box" / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    (own / "memory.max").write_text("max\n")
    (own / "memory.current").write_text("600000\n")
    assert memory.free_ram(groups, membership) == 500_000
    assert memory.ram(groups, membership) == 1_000_000
    assert memory.free_ram(groups, tmp_path / "nothing") > 1_000_000


def test_the_catalogue_pins_a_commit_and_no_invented_hash() -> None:
    assert len(MISTRAL.revision) == 40
    assert all(v.sha256 == "" or len(v.sha256) == 64 for v in MISTRAL.variants)
    assert MISTRAL.profile.context == 32_768
    assert MISTRAL.profile.license == "Apache-2.0"
    assert [v.bytes for v in MISTRAL.variants] == sorted((v.bytes for v in MISTRAL.variants), reverse=True)
