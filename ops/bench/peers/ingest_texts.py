"""Comparators of `karais bench ingest`; runs in their own environment, without KARAIS.

    python ingest_texts.py NAME WEIGHTS FOLDER

NAME is one of PEERS. Reads a JSON list of texts a line from standard input,
embeds and stores them, and answers {"seconds": float} a line; the first line
of output, {"ready": ...}, comes when the model is loaded and warm. FOLDER is
for exported models, which are made from the same weights. Two threads at most,
as many as there are cores; texts are sorted by length.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"
THREADS = len(os.sched_getaffinity(0))
MAXIMUM = 256
"""Tokens that the model reads."""
Embed = Callable[[list[str]], object]


def torch_model(weights: str, folder: Path) -> Embed:
    """sentence-transformers on torch, as it is used by most."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(weights, device="cpu", local_files_only=True)
    return lambda texts: model.encode(
        texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
    )


def onnx_model(weights: str, folder: Path) -> Embed:
    """ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        exported(weights, folder), options, providers=["CPUExecutionProvider"]
    )
    return lambda texts: [session.run(None, batch)[0] for batch in tokenized(weights, texts)]


def openvino_model(weights: str, folder: Path) -> Embed:
    """OpenVINO in float32, one stream a core."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": THREADS, "INFERENCE_NUM_THREADS": THREADS}
    model = openvino.Core().compile_model(exported(weights, folder), "CPU", settings)

    def embed(texts: list[str]) -> object:
        rows: list[Any] = []
        queue = openvino.AsyncInferQueue(model, THREADS)
        queue.set_callback(lambda request, _: rows.append(request.get_output_tensor(0).data.copy()))
        for batch in tokenized(weights, texts):
            queue.start_async(batch)
        queue.wait_all()
        return rows

    return embed


def llama_index(weights: str, folder: Path) -> Embed:
    """LlamaIndex's IngestionPipeline with its own vector store."""
    from llama_index.core.ingestion import IngestionPipeline
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import SimpleVectorStore
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    model = HuggingFaceEmbedding(weights, device="cpu", embed_batch_size=BATCH)

    def embed(texts: list[str]) -> object:
        pipeline = IngestionPipeline(transformations=[model], vector_store=SimpleVectorStore())
        return pipeline.run(nodes=[TextNode(text=text) for text in texts])

    return embed


def txtai(weights: str, folder: Path) -> Embed:
    """Txtai's Embeddings, with the texts kept."""
    from txtai import Embeddings

    def embed(texts: list[str]) -> object:
        index.index((number, text, None) for number, text in enumerate(texts))
        return index

    index = Embeddings(path=weights, content=True, encodebatch=BATCH, gpu=False)
    return embed


PEERS = {
    "torch": torch_model,
    "onnxruntime": onnx_model,
    "openvino": openvino_model,
    "llama-index": llama_index,
    "txtai": txtai,
}
BATCH = 8
"""Texts; on processors larger batches were slower, as their activations leave the caches."""


def tokenized(weights: str, texts: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the tokens of texts of alike lengths, a batch at a time."""
    global _tokenizer
    from transformers import AutoTokenizer

    if _tokenizer is None:
        _tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    ordered = sorted(texts, key=len, reverse=True)
    for start in range(0, len(ordered), BATCH):
        batch = _tokenizer(
            ordered[start : start + BATCH],
            padding=True, truncation=True, max_length=MAXIMUM, return_tensors="np",
        )  # fmt: skip
        yield {name: value.astype("int64") for name, value in batch.items()}


_tokenizer: Any = None


def exported(weights: str, folder: Path) -> str:
    """Return the file of the model in ONNX with pooling and norm; it is made when it is not there."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    file = folder / "model.onnx"
    if file.exists():
        return str(file)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(
                weights, local_files_only=True, attn_implementation="eager"
            )

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            state = self.encoder(input_ids, attention_mask, token_type_ids)[0]
            kept = attention_mask.unsqueeze(-1).to(state.dtype)
            return torch.nn.functional.normalize((state * kept).sum(1) / kept.sum(1), dim=1)

    tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    example = tokenizer(["one text", "and another that is longer"], padding=True, return_tensors="pt")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        Whole().eval(),
        tuple(example[name] for name in names),
        str(file),
        input_names=names,
        output_names=["vectors"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names} | {"vectors": {0: "texts"}},
        opset_version=17,
        dynamo=False,
    )
    return str(file)


def main(name: str, weights: str, folder: str) -> None:
    """Answer until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    import torch

    torch.set_num_threads(THREADS)
    embed = PEERS[name](weights, Path(folder))
    embed(["warm up", "with two texts"])
    print(json.dumps({"ready": name}), file=replies, flush=True)
    for line in sys.stdin:
        texts = json.loads(line)
        begun = time.perf_counter()
        embed(texts)
        print(json.dumps({"seconds": time.perf_counter() - begun}), file=replies, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
