"""Perplexity of a Llama-type GGUF file, with its weights dequantised in torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stores.weights.adapters import unpermuted

_WINDOW = 512
_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


@dataclass
class Score:
    """What a model makes of a text."""

    loss: float
    """Mean negative log-likelihood of a token, in nats."""
    next_tokens: Any
    """Tensor of the most likely next token at each position."""


def windows_of(gguf_file: Path, text: str, tokens: int) -> Any:
    """Return the text's first tokens as a tensor of shape (windows, 512), int64."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name)
    ids = tokenizer(text[: tokens * 16]).input_ids[:tokens]
    count = len(ids) // _WINDOW
    return torch.tensor(ids[: count * _WINDOW]).view(count, _WINDOW)


def score(gguf_file: Path, windows: Any) -> Score:
    """Return the loss over all tokens but each window's first."""
    import torch

    model = _model(gguf_file)
    losses, following = [], []
    with torch.inference_mode():
        for start in range(0, len(windows), 2):
            batch = windows[start : start + 2]
            logits = model(batch).logits[:, :-1].flatten(0, 1)
            losses.append(torch.nn.functional.cross_entropy(logits, batch[:, 1:].flatten(), reduction="none"))
            following.append(logits.argmax(-1))
    return Score(torch.cat(losses).mean().item(), torch.cat(following))


def _model(gguf_file: Path) -> Any:
    """Build the model and fill it; transformers' own loader needs one more library."""
    import gguf
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    reader = gguf.GGUFReader(gguf_file)

    def field(name: str) -> Any:
        return reader.fields[f"llama.{name}"].contents()

    config = LlamaConfig(
        vocab_size=field("vocab_size"),
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        max_position_embeddings=field("context_length"),
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    state = {}
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        heads = {"attn_q": field("attention.head_count"), "attn_k": field("attention.head_count_kv")}
        _, _, part = tensor.name.removesuffix(".weight").rpartition(".")
        if part in heads:
            weights = unpermuted(weights, heads[part])
        state[_name(tensor.name)] = torch.from_numpy(weights.copy())
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"{gguf_file} is no plain Llama model: {missing}, {unexpected}")
    model.tie_weights()
    model.train(False)
    return model


def _name(name: str) -> str:
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{_NAMES.get(part, part)}.weight"
