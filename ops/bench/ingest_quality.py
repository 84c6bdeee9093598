"""What the quantised passages of ingest cost in quality: nDCG@10 of exact search, exact against quantised.

Queries are exact in both, as in KARAIS. The data is a folder with
``corpus.jsonl`` (id, text) and ``queries*.jsonl`` (text, relevant: ids).
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from ops.bench.figures import Report


def measure(report: Report, folder: Path, weights: Path) -> None:
    """Add the figures; blocking, minutes."""
    import numpy as np
    import torch

    from agents.embedder import computing
    from agents.embedder.bert import BertEmbedding
    from agents.embedder.bulk import cores

    documents = _lines(folder / "corpus.jsonl")
    queries = [query for file in sorted(folder.glob("queries*.jsonl")) for query in _lines(file)]
    exact, quantised = BertEmbedding(weights), BertEmbedding(weights, quantised=True)
    texts = [document["text"] for document in documents]
    torch.set_num_threads(1)
    with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as threads:

        def vectors(model: BertEmbedding, these: list[str]) -> Any:
            data = computing.compute(model, these, threads)
            return np.frombuffer(data, dtype="<f4").reshape(len(these), -1)

        asked = vectors(exact, [query["text"] for query in queries])
        found = {name: vectors(model, texts) for name, model in (("exact", exact), ("8 bit", quantised))}
    ids = [str(document["id"]) for document in documents]
    quality = {}
    for name, rows in found.items():
        best = np.argsort(-(asked @ rows.T), axis=1, kind="stable")[:, :10]
        quality[name] = float(
            np.mean(
                [
                    _ndcg([ids[at] for at in ranked], {str(one) for one in query["relevant"]})
                    for ranked, query in zip(best, queries, strict=True)
                ]
            )
        )
        report.add(f"nDCG@10, {name} passages", quality[name], "")
    report.add("  8 bit to exact", quality["8 bit"] / quality["exact"], "×", at_least=0.995)
    cosine = (found["exact"] * found["8 bit"]).sum(axis=1)
    report.add("  cosine of 8 bit with exact, mean", float(cosine.mean()), "")


def _ndcg(ranked: list[str], relevant: set[str]) -> float:
    gained = sum(1 / math.log2(place + 2) for place, one in enumerate(ranked) if one in relevant)
    return gained / sum(1 / math.log2(place + 2) for place in range(min(len(relevant), 10)))


def _lines(file: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
