"""How much memory a model needs, and where it fits: worked out from its header, before anything is loaded.

What llama.cpp allocates, with the context shared by all answers:

- weights: as they lie in the file; the token embeddings always in the RAM,
  the output matrix behind the last layer on the card;
- context: for each layer and token, keys and values of its key-value heads;
- buffers: what one batch needs on its way through the widest part of the
  model, mostly the scores of the vocabulary and the attention's mask;
- for each card what its driver and CUDA's libraries take, which is not free
  any more once they are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.gguf_header import Header, bytes_of

KV_BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q4_0": 18 / 32}
"""Bytes of a number in the context."""

BATCH = 256
"""Tokens that go through the model at once, unless a caller says otherwise."""
PROCESS_BYTES = 16 << 20
"""What the engine takes beside: its tokenizer, its slots. The process itself is there before it is asked."""
CARD_BYTES = 400 << 20
"""What the driver's context and CUDA's libraries take on each card."""
RESERVE_BYTES = 512 << 20
"""Left free on each card: for the desktop, and for what an estimate does not know."""
RAM_RESERVE_BYTES = 256 << 20
"""Left free of the RAM."""


class Shape(Struct, frozen=True, kw_only=True):
    """What of a model counts for its memory."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    key_size: int
    """Numbers in one head's key."""
    value_size: int
    feed_forward: int
    vocabulary: int
    context: int
    """Tokens that it was trained for; 0 when unknown."""
    embedding_bytes: int
    """Token embeddings: they stay in the RAM."""
    output_bytes: int
    """Output matrix and norm."""
    layer_bytes: tuple[int, ...]
    """Weights of each layer."""

    @property
    def weight_bytes(self) -> int:
        """All weights."""
        return self.embedding_bytes + self.output_bytes + sum(self.layer_bytes)


class Fit(Struct, frozen=True, kw_only=True):
    """Where a model fits, with a context of so many tokens."""

    where: Literal["card", "split", "ram", "nowhere"]
    layers: int
    """Layers for the cards, the output counted as one more."""
    of: int
    """Layers with the output."""
    context: int
    weight_bytes: int
    context_bytes: int
    buffer_bytes: int
    card_bytes: int
    """What the cards would hold, all together."""
    ram_bytes: int
    """What the RAM would hold."""
    free_cards: tuple[int, ...]
    free_ram: int
    sentence: str

    @property
    def fits(self) -> bool:
        """Whether it can be loaded at all."""
        return self.where != "nowhere"


def shape_of(header: Header) -> Shape:
    """Return the shape of a GGUF model. Raises KaraisError ``invalid`` when the file does not tell it."""
    meta = header.metadata
    architecture = str(meta.get("general.architecture", ""))

    def number(key: str, default: int = 0) -> int:
        value = meta.get(f"{architecture}.{key}", default)
        if isinstance(value, list):  # some architectures have another number for each layer
            value = max(value, default=default)
        return int(value)

    layers, hidden, heads = number("block_count"), number("embedding_length"), number("attention.head_count")
    if not 0 < layers < 10_000 or hidden <= 0 or heads <= 0:
        raise KaraisError(
            f"The GGUF file says no layers, width or heads for its architecture {architecture!r}.",
            code=Code.INVALID,
        )
    by_layer = [0] * layers
    embedding = output = 0
    vocabulary = len(meta.get("tokenizer.ggml.tokens") or ()) or number("vocab_size")
    for tensor in header.tensors:
        parts = tensor.name.split(".")
        if parts[0] == "blk" and parts[1].isdigit() and int(parts[1]) < layers:
            by_layer[int(parts[1])] += bytes_of(tensor)
        elif parts[0] == "token_embd":
            embedding += bytes_of(tensor)
            vocabulary = vocabulary or tensor.shape[-1]
        else:
            output += bytes_of(tensor)
    if not any(tensor.name.startswith("output.") for tensor in header.tensors):
        output += embedding  # tied: llama.cpp makes a second one where the output is computed
    return Shape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        key_size=number("attention.key_length", hidden // heads),
        value_size=number("attention.value_length", hidden // heads),
        feed_forward=number("feed_forward_length"),
        vocabulary=vocabulary,
        context=number("context_length"),
        embedding_bytes=embedding,
        output_bytes=output,
        layer_bytes=tuple(by_layer),
    )


def shape_of_config(config: Mapping[str, Any], weight_bytes: int) -> Shape:
    """Return the shape of a model with a Hugging Face ``config.json`` and so many bytes of weights.

    The weights are shared out as their numbers are. Raises KaraisError
    ``invalid``, naming the field, when one is missing or no positive number.
    """
    inner = config.get("text_config")
    config = inner if isinstance(inner, Mapping) else config

    def number(key: str, default: int = 0) -> int:
        value = config.get(key) or default
        if not isinstance(value, int) or value <= 0:
            raise KaraisError(f"config.json has no {key}.", code=Code.INVALID, field=key)
        return value

    hidden, heads, layers = number("hidden_size"), number("num_attention_heads"), number("num_hidden_layers")
    vocabulary = number("vocab_size")
    kv_heads = number("num_key_value_heads", heads)
    size = number("head_dim", hidden // heads)
    feed_forward = number("intermediate_size", 4 * hidden)
    in_layer = 2 * hidden * size * (heads + kv_heads) + 3 * hidden * feed_forward
    in_table = vocabulary * hidden
    tables = 1 if config.get("tie_word_embeddings") else 2
    each = weight_bytes / (layers * in_layer + tables * in_table)
    table = int(in_table * each)
    return Shape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        key_size=size,
        value_size=size,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        context=int(config.get("max_position_embeddings") or 0),
        embedding_bytes=table,
        output_bytes=table,
        layer_bytes=(int(in_layer * each),) * layers,
    )


def context_bytes(shape: Shape, context: int, kv: str = "f16") -> int:
    """Return what one layer keeps of a context of so many tokens."""
    padded = -(-context // 256) * 256
    return int(padded * shape.kv_heads * (shape.key_size + shape.value_size) * KV_BYTES[kv])


def buffer_bytes(shape: Shape, context: int, batch: int = BATCH) -> int:
    """Return what a batch needs on its way through the model, on one device, with flash attention."""
    wide = max(shape.vocabulary + shape.hidden, 3 * shape.feed_forward + 2 * shape.hidden)
    mask = context * 6  # a float32 and a float16 for each token of the context
    return batch * (4 * wide + mask)


def fit(
    shape: Shape,
    *,
    context: int,
    cards: Sequence[int] = (),
    ram: int,
    kv: str = "f16",
    batch: int = BATCH,
    reserve: int = RESERVE_BYTES,
    most_layers: int = -1,
) -> Fit:
    """Return how many layers the cards take and whether the RAM holds the rest.

    ``cards`` are the free bytes of each card, ``ram`` those of the RAM;
    ``most_layers`` limits the layers for the cards (-1: no limit). The last
    layers go to the cards first, as llama.cpp does it.
    """
    each_context = context_bytes(shape, context, kv)
    buffers = buffer_bytes(shape, context, batch)
    parts = [*(size + each_context for size in shape.layer_bytes), shape.output_bytes]
    room = [max(0, free - reserve - CARD_BYTES - buffers) for free in cards]
    limit = len(parts) if most_layers < 0 else min(most_layers, len(parts))
    taken = _place(parts[len(parts) - limit :], room)
    on_cards = parts[len(parts) - taken :] if taken else []
    used = sum(on_cards) + (CARD_BYTES + buffers) * len(cards) * bool(taken)
    left = shape.embedding_bytes + sum(parts) - sum(on_cards) + buffers + PROCESS_BYTES
    holds = left + RAM_RESERVE_BYTES <= ram
    where: Literal["card", "split", "ram", "nowhere"] = "ram"
    if not holds:
        where = "nowhere"
    elif taken:
        where = "card" if taken == len(parts) else "split"
    made = Fit(
        where=where,
        layers=taken,
        of=len(parts),
        context=context,
        weight_bytes=shape.weight_bytes,
        context_bytes=each_context * shape.layers,
        buffer_bytes=buffers,
        card_bytes=used,
        ram_bytes=left,
        free_cards=tuple(cards),
        free_ram=ram,
        sentence="",
    )
    return _told(made)


def largest_context(
    shape: Shape, *, most: int, cards: Sequence[int] = (), ram: int, kv: str = "f16", batch: int = BATCH
) -> int:
    """Return the largest context with which the model can be loaded, in steps of 256; 0 for none."""
    low, high = 0, most // 256
    while low < high:
        middle = (low + high + 1) // 2
        found = fit(shape, context=middle * 256, cards=cards, ram=ram, kv=kv, batch=batch)
        low, high = (middle, high) if found.fits else (low, middle - 1)
    return low * 256


def size(count: int) -> str:
    """Return bytes as a person reads them."""
    if count >= 1e10:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _place(parts: Sequence[int], room: list[int]) -> int:
    """Return how many of the last parts go into the rooms, each in one, filled one after the other."""
    taken, room = 0, [*room]
    while room and taken < len(parts):
        part = parts[len(parts) - 1 - taken]
        if part <= room[0]:
            room[0] -= part
            taken += 1
        else:
            room.pop(0)
    return taken


def _told(found: Fit) -> Fit:
    import msgspec

    needs = (
        f"weights {size(found.weight_bytes)}, a context of {found.context:,} tokens"
        f" {size(found.context_bytes)}, buffers {size(found.buffer_bytes)}"
    )
    free = f"{size(found.free_ram)} of RAM are free"
    if found.free_cards:
        cards = " and ".join(size(card) for card in found.free_cards)
        free = f"{cards} are free on the card{'s' if len(found.free_cards) > 1 else ''} and {free}"
    said = {
        "card": f"It fits on the card whole ({needs}; {free}).",
        "split": f"{found.layers} of its {found.of} layers fit on the card, the others into the RAM ({needs};"
        f" {free}).",
        "ram": f"It fits into the RAM ({needs}; {free}).",
        "nowhere": f"It does not fit: it needs {needs}; {size(found.ram_bytes + RAM_RESERVE_BYTES)} of it in"
        f" the RAM, but {free}.",
    }
    return msgspec.structs.replace(found, sentence=said[found.where])
