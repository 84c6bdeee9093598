"""Small language models of the Mistral architecture with random weights, written when a test runs.

``write_gguf`` and ``write_safetensors`` give the same model for the same
arguments, weights and tokenizer alike, so that engines can be compared with
one another. What such a model says makes no sense, but every engine has to
say the same, and it is plain ASCII: the tokens of bytes and of control never win.

    write_gguf(folder / "model.gguf", seed=1)
    write_safetensors(folder / "hf", seed=1)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTROL = (
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
)
"""The first tokens, in the order of Mistral 7B Instruct v0.3."""
BOS, EOS = 1, 2
_PAIRS = "▁ t|▁ a|h e|i n|▁ s|r e|o n|▁t he|e r|▁ w|▁ o|a t|▁ c|e n|i s|▁ b|▁ f|▁o f|a n|▁ in|▁s he"
"""Merges of the tokenizer, best first; each has one way to come about, so BPE and llama.cpp agree."""
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token }}{% else %}{{ '[INST]' + message['content'] + '[/INST]' }}"
    "{% endif %}{% endfor %}"
)

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model's size and seed."""

    layers: int = 4
    hidden: int = 128
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 256
    vocabulary: int = 512
    context: int = 4096
    rope: float = 1e6
    epsilon: float = 1e-5
    seed: int = 0
    eager_end: int | None = None
    """Make the end token win wherever this token would have."""

    @property
    def head_size(self) -> int:
        return self.hidden // self.heads


def tokens(vocabulary: int = 512) -> list[str]:
    """Return the tokens: control, the 256 bytes, characters, merged pieces, and others that never occur."""
    listed = [*CONTROL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    listed += [pair.replace(" ", "") for pair in _PAIRS.split("|")]
    assert vocabulary >= len(listed), f"at least {len(listed)} tokens"
    return listed + [f"§{number}§" for number in range(vocabulary - len(listed))]


def weights(made: Made) -> dict[str, Array]:
    """Return all tensors under the names of Hugging Face, shape (out, in)."""
    random = np.random.default_rng(made.seed)

    def matrix(out: int, into: int, scale: float = 1.0) -> Array:
        return (random.standard_normal((out, into), dtype=np.float32) * (scale / into**0.5)).astype(
            np.float32
        )

    keys = made.kv_heads * made.head_size
    found = {"model.embed_tokens.weight": matrix(made.vocabulary, made.hidden, made.hidden**0.5)}
    for layer in range(made.layers):
        at = f"model.layers.{layer}"
        found |= {
            f"{at}.self_attn.q_proj.weight": matrix(made.hidden, made.hidden),
            f"{at}.self_attn.k_proj.weight": matrix(keys, made.hidden),
            f"{at}.self_attn.v_proj.weight": matrix(keys, made.hidden),
            f"{at}.self_attn.o_proj.weight": matrix(made.hidden, made.hidden),
            f"{at}.mlp.gate_proj.weight": matrix(made.feed_forward, made.hidden),
            f"{at}.mlp.up_proj.weight": matrix(made.feed_forward, made.hidden),
            f"{at}.mlp.down_proj.weight": matrix(made.hidden, made.feed_forward),
            f"{at}.input_layernorm.weight": np.ones(made.hidden, np.float32),
            f"{at}.post_attention_layernorm.weight": np.ones(made.hidden, np.float32),
        }
    found["model.norm.weight"] = np.ones(made.hidden, np.float32)
    output = matrix(made.vocabulary, made.hidden, 4.0)
    unseen = [number for number, token in enumerate(tokens(made.vocabulary)) if _is_unseen(token)]
    output[unseen] *= 0.02
    if made.eager_end is not None:
        output[EOS] = 3 * output[made.eager_end]
    found["lm_head.weight"] = output
    return found


def _is_unseen(token: str) -> bool:
    return token in CONTROL or token.startswith(("<0x", "§"))


def write_gguf(path: Path, *, dtype: str = "F32", template: str | None = TEMPLATE, **shape: Any) -> Made:
    """Write the model as a GGUF file of the architecture ``llama``; matrices as F32, F16, Q8_0 or Q4_0."""
    import gguf

    made = Made(**shape)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_license("apache-2.0")
    writer.add_context_length(made.context)
    writer.add_embedding_length(made.hidden)
    writer.add_block_count(made.layers)
    writer.add_feed_forward_length(made.feed_forward)
    writer.add_head_count(made.heads)
    writer.add_head_count_kv(made.kv_heads)
    writer.add_rope_dimension_count(made.head_size)
    writer.add_rope_freq_base(made.rope)
    writer.add_layer_norm_rms_eps(made.epsilon)
    writer.add_vocab_size(made.vocabulary)
    writer.add_file_type({"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7}[dtype])
    listed = tokens(made.vocabulary)
    pieces = {pair.replace(" ", ""): -float(rank) for rank, pair in enumerate(_PAIRS.split("|"))}
    kinds = [2 if t == "<unk>" else 3 if t in CONTROL else 6 if t.startswith("<0x") else 1 for t in listed]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(listed)
    writer.add_token_scores([pieces.get(token, -1000.0 - at) for at, token in enumerate(listed)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    if template is not None:
        writer.add_chat_template(template)
    kind = gguf.GGMLQuantizationType[dtype]
    for name, tensor in weights(made).items():
        if ".q_proj." in name:
            tensor = _interleaved(tensor, made.heads)
        elif ".k_proj." in name:
            tensor = _interleaved(tensor, made.kv_heads)
        if tensor.ndim == 1 or dtype == "F32":
            writer.add_tensor(_named(name), tensor)
            continue
        writer.add_tensor(_named(name), gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made


def write_safetensors(folder: Path, *, template: str | None = TEMPLATE, **shape: Any) -> Made:
    """Write the model as ``transformers`` saves it, in float32, with tokenizer and template."""
    from safetensors.numpy import save_file

    made = Made(**shape)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights(made), folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_size": made.hidden,
        "intermediate_size": made.feed_forward,
        "num_hidden_layers": made.layers,
        "num_attention_heads": made.heads,
        "num_key_value_heads": made.kv_heads,
        "head_dim": made.head_size,
        "vocab_size": made.vocabulary,
        "max_position_embeddings": made.context,
        "rope_theta": made.rope,
        "rms_norm_eps": made.epsilon,
        "sliding_window": None,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": BOS, "eos_token_id": EOS}))
    _tokenizer(made).save(str(folder / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": made.context,
        "clean_up_tokenization_spaces": False,
    }
    if template is not None:
        described["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(described, indent=1))
    return made


def _tokenizer(made: Made) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    merges = [tuple(pair.split(" ")) for pair in _PAIRS.split("|")]
    vocabulary = {token: number for number, token in enumerate(tokens(made.vocabulary))}
    found = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    # a space before all text, also behind a control token: so llama.cpp does it, and mistral-common
    found.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    found.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    found.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CONTROL])
    found.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return found


def _interleaved(tensor: Array, heads: int) -> Array:
    """Order the rows of queries and keys as llama.cpp rotates them: neighbours instead of halves."""
    rows, columns = tensor.shape
    halves = tensor.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def _named(name: str) -> str:
    """Return a tensor's name in GGUF."""
    stem = name.removesuffix(".weight")
    if stem.startswith("model.layers."):
        _, _, layer, part = stem.split(".", 3)
        return f"blk.{layer}.{_NAMES[part]}.weight"
    return f"{_NAMES[stem]}.weight"
