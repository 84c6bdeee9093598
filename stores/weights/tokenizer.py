"""The tokenizer that a GGUF file carries, for engines that get tokens instead of text.

The file has the vocabulary, the merges and the name of the rule that cuts text
into words (``tokenizer.ggml.pre``). The rules are those of the models that
KARAIS knows; a file with another one is left to llama.cpp, which knows all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.gguf_header import Header

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CONTROL, _USER_DEFINED, _UNKNOWN = 3, 4, 2

_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORDS = {
    "llama-bpe": rf"{_ENDINGS}|{_LETTERS}|\p{{N}}{{1,3}}|{_REST}",
    "qwen2": rf"{_ENDINGS}|{_LETTERS}|\p{{N}}|{_REST}",
    "tekken": rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
"""How text is cut into words before their bytes are merged."""
_GPT2 = ("gpt-2", "gpt2", "default", "olmo", "phi-2")
_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell")
"""GPT-2's rule, and each digit for itself."""


class Special(Struct, frozen=True, kw_only=True):
    """Tokens with a meaning of their own; -1 for none."""

    begin: int = -1
    """Begins a text."""
    adds_begin: bool = False
    """A prompt has to begin with it."""
    ends: tuple[int, ...] = ()
    """Each of them ends an answer."""


def is_known(header: Header) -> bool:
    """Tell whether this module can build the file's tokenizer."""
    model = header.metadata.get("tokenizer.ggml.model")
    pre = header.metadata.get("tokenizer.ggml.pre", "default")
    return model == "llama" or (model == "gpt2" and (pre in _WORDS or pre in _GPT2 or pre in _DIGITS))


def build(header: Header) -> Tokenizer:
    """Return the tokenizer of a GGUF file. Raises KaraisError ``invalid`` when it is not known."""
    from tokenizers import AddedToken

    if not is_known(header):
        raise KaraisError(
            f"The tokenizer {header.metadata.get('tokenizer.ggml.model')!r}"
            f" ({header.metadata.get('tokenizer.ggml.pre')!r}) is not known: use the engine llamacpp.",
            code=Code.INVALID,
        )
    meta = header.metadata
    tokenizer = _sentencepiece(meta) if meta["tokenizer.ggml.model"] == "llama" else _byte_level(meta)
    kinds = meta.get("tokenizer.ggml.token_type") or []
    pairs = list(zip(meta["tokenizer.ggml.tokens"], kinds, strict=False))
    control = [text for text, kind in pairs if kind == _CONTROL]
    defined = [text for text, kind in pairs if kind == _USER_DEFINED]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in control])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in defined])
    return tokenizer


def special(header: Header) -> Special:
    """Return what begins and what ends a text of this model."""
    meta = header.metadata
    ends = [meta.get(f"tokenizer.ggml.{name}_token_id", -1) for name in ("eos", "eot", "eom")]
    texts = meta.get("tokenizer.ggml.tokens") or []
    kinds = meta.get("tokenizer.ggml.token_type") or []
    # Files that name one end alone often have the chat's beside it.
    named = {"<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "<end_of_turn>", "</s>"}
    ends += [n for n, (t, k) in enumerate(zip(texts, kinds, strict=False)) if k == _CONTROL and t in named]
    begin = int(meta.get("tokenizer.ggml.bos_token_id", -1))
    adds = meta.get("tokenizer.ggml.add_bos_token", meta.get("tokenizer.ggml.model") == "llama")
    return Special(
        begin=begin,
        adds_begin=bool(adds) and begin >= 0,
        ends=tuple(dict.fromkeys(int(end) for end in ends if 0 <= end < len(texts))),
    )


def _byte_level(meta: dict[str, Any]) -> Tokenizer:
    """GPT-2's kind: merges over bytes that are written as printable characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    pre = meta.get("tokenizer.ggml.pre", "default")
    vocabulary = {text: number for number, text in enumerate(meta["tokenizer.ggml.tokens"])}
    merges = [tuple(line.split(" ", 1)) for line in meta.get("tokenizer.ggml.merges") or ()]
    model = models.BPE(vocabulary, merges, ignore_merges=pre == "llama-bpe")
    tokenizer = Tokenizer(model)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if pre in _WORDS:
        split = pre_tokenizers.Split(Regex(_WORDS[pre]), behavior="isolated", invert=False)
        steps = [split, bytes_only]
    else:
        steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
        if pre in _DIGITS:
            steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(meta: dict[str, Any]) -> Tokenizer:
    """Llama 2's and Mistral's kind: pieces with scores, ``▁`` for a space, bytes for what is in no piece."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    texts = meta["tokenizer.ggml.tokens"]
    scores = meta.get("tokenizer.ggml.scores") or [0.0] * len(texts)
    kinds = meta.get("tokenizer.ggml.token_type") or [1] * len(texts)
    vocabulary = {text: number for number, text in enumerate(texts)}
    unknown = next((t for t, kind in zip(texts, kinds, strict=False) if kind == _UNKNOWN), None)
    model = models.BPE(
        vocabulary, _merges(vocabulary, scores, kinds), unk_token=unknown, fuse_unk=True, byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    steps: list[Any] = [normalizers.Replace(" ", "▁")]
    if meta.get("tokenizer.ggml.add_space_prefix", True):
        # before all text, behind a control token too: so llama.cpp does it, and the models were trained
        steps.insert(0, normalizers.Prepend("▁"))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def _merges(vocabulary: dict[str, int], scores: list[float], kinds: list[int]) -> list[tuple[str, str]]:
    """Return the merges that the pieces' scores mean, the first to be done first."""
    found = []
    for text, number in vocabulary.items():
        if kinds[number] != 1 or len(text) < 2:
            continue
        parts = [(text[:at], text[at:]) for at in range(1, len(text))]
        whole = [(a, b) for a, b in parts if a in vocabulary and b in vocabulary]
        whole.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        found += [(scores[number], pair) for pair in whole]
    found.sort(key=lambda entry: -entry[0])
    return [pair for _, pair in found]
