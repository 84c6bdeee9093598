"""Passages by the hundred thousand with real words and real embeddings, extended by mixing.

The seeds are real passages: the sections of a folder of Markdown files, the
abstracts of Cranfield and the turns of LoCoMo, embedded by the real model
(kept in the bench's folder, so that a second run need not embed them). Further
passages are mixes of two or three seeds of one of these sources, drawn at
random, with weights from a flat Dirichlet distribution: the vector is the
weighted mean of theirs plus Gaussian noise of ``NOISE`` a dimension, made
length 1; the text takes sentences of each seed in proportion to the weights,
about as many words as a passage has. So neighbours are as crowded as where
many documents treat the same subjects, and every frequent word is in its real
share of the passages. What mixing cannot give is the long tail of rare words
of a larger corpus: posting lists here are longer than those of as many
passages of a real one.

The questions are real ones (Cranfield's and LoCoMo's), embedded as they stand.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.embedder.adapters import Adapter
from schemas.base import HOME
from stores.chunking import Piece, chunk_markdown

NOISE = 0.01
PIECES_A_SOURCE = 20
WORDS = 110
"""Words of a mixed passage, about: passages of the sample storage have 98, of Cranfield 165."""


@dataclass(frozen=True)
class Seeds:
    """Real passages and questions with their vectors."""

    texts: list[str]
    sources: list[int]
    """Of which of the data sets each text is."""
    vectors: Any
    """float32, texts x dimensions, rows of length 1."""
    questions: list[str]
    question_vectors: Any


def seeds(data: Path, model: Path, cache: Path) -> Seeds:
    """Return the seeds from the folder of data sets; raises FileNotFoundError when none is there."""
    texts, sources = [], []
    for number, found in enumerate((_markdown(data), _cranfield(data), _locomo(data))):
        texts += found
        sources += [number] * len(found)
    questions = _questions(data)
    if not texts or not questions:
        raise FileNotFoundError(f"{data} holds none of storage-sample, cranfield and locomo.")
    return Seeds(texts, sources, embedded(texts, model, cache), questions, embedded(questions, model, cache))


def mixed(seeds: Seeds, rows: int, seed: int, *, batch: int = 10_000) -> Iterator[tuple[list[str], Any]]:
    """Yield (texts, vectors) of passages, ``batch`` at a time: the seeds themselves, then mixes of them."""
    import numpy as np

    random = np.random.default_rng(seed)
    sentences = [re.split(r"(?<=[.!?。])\s+", text) for text in seeds.texts]
    by_source = [np.flatnonzero(np.array(seeds.sources) == source) for source in sorted(set(seeds.sources))]
    share = np.array([len(members) for members in by_source], float)
    made = 0
    while made < rows:
        count = min(batch, rows - made)
        real = seeds.vectors[made : made + count]
        texts = seeds.texts[made : made + count]
        count -= len(texts)
        drawn = random.choice(len(by_source), size=count, p=share / share.sum())
        parts = np.stack([random.choice(by_source[source], size=3) for source in drawn]) if count else None
        vectors = real
        if parts is not None:
            weights = random.dirichlet((1.0, 1.0, 1.0), size=count)
            weights[random.random(count) < 0.5, 2] = 0  # half of them of two seeds
            weights /= weights.sum(axis=1, keepdims=True)
            mix = np.einsum("nk,nkd->nd", weights, seeds.vectors[parts])
            mix += random.normal(scale=NOISE, size=mix.shape)
            mix /= np.linalg.norm(mix, axis=1, keepdims=True)
            vectors = np.concatenate([real, mix.astype("<f4")])
            starts = random.random((count, 3))
            texts = texts + [
                _mixed_text(sentences, *item) for item in zip(parts, weights, starts, strict=True)
            ]
        made += len(texts)
        yield texts, np.ascontiguousarray(vectors, dtype="<f4")


def passages(seeds: Seeds, rows: int, seed: int, project: str = HOME) -> Iterator[list[Any]]:
    """Yield the same as sources for a writer of passages, some 10,000 passages at a time."""
    from stores.passages import SourcePassages

    number = 0
    for texts, vectors in mixed(seeds, rows, seed):
        group = []
        for start in range(0, len(texts), PIECES_A_SOURCE):
            pieces = tuple(Piece(text=text) for text in texts[start : start + PIECES_A_SOURCE])
            group.append(
                SourcePassages(
                    source=f"{seed:08x}{number:024x}",
                    path=f"{number}.md",
                    at=float(number),
                    content_hash="",
                    pieces=pieces,
                    vectors=vectors[start : start + PIECES_A_SOURCE].tobytes(),
                    project=project,
                )
            )
            number += 1
        yield group


def number_of(name: str) -> int:
    """Return which of all ``passages`` one is, from 0 on, by its id."""
    source, _, piece = name.rpartition("-")
    return int(source[8:], 16) * PIECES_A_SOURCE + int(piece)


def _mixed_text(sentences: list[list[str]], parts: Any, weights: Any, starts: Any) -> str:
    taken: list[str] = []
    for part, weight, start in zip(parts, weights, starts, strict=True):
        own, words = sentences[part], 0
        at = int(start * len(own))
        for offset in range(len(own)):
            if words >= weight * WORDS:
                break
            sentence = own[(at + offset) % len(own)]
            words += sentence.count(" ") + 1
            taken.append(sentence)
    return " ".join(taken)


def _markdown(data: Path) -> list[str]:
    return [
        f"{piece.heading}\n{piece.text}"
        for file in sorted((data / "storage-sample").rglob("*.md"))
        for piece in chunk_markdown(file.read_text("utf-8"))
    ]


def _cranfield(data: Path) -> list[str]:
    return [row["text"] for row in _lines(data / "cranfield" / "corpus.jsonl") if row["text"].strip()]


def _locomo(data: Path) -> list[str]:
    texts = []
    for conversation in _conversations(data):
        for name, turns in conversation["conversation"].items():
            if re.fullmatch(r"session_\d+", name):
                texts += [f"{turn['speaker']}: {turn['text']}" for turn in turns]
    return texts


def _questions(data: Path) -> list[str]:
    found = [
        row["text"] for file in sorted((data / "cranfield").glob("queries*.jsonl")) for row in _lines(file)
    ]
    return found + [str(item["question"]) for one in _conversations(data) for item in one["qa"]]


def _conversations(data: Path) -> list[dict[str, Any]]:
    return [
        item for file in sorted((data / "locomo").glob("*.json")) for item in json.loads(file.read_bytes())
    ]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def embedded(texts: list[str], model: Path, cache: Path, adapter: Adapter | None = None) -> Any:
    """Return the texts' vectors, float32, rows of length 1; computed once for the same texts.

    ``adapter`` is what the model is changed by.
    """
    import numpy as np

    from agents.embedder.model import load

    named = hashlib.sha256("\0".join([model.name, *texts]).encode())
    for pair in adapter.parts.values() if adapter else ():
        for part in pair:
            named.update(np.asarray(part, "<f2").tobytes())
    file = cache / f"vectors-{named.hexdigest()[:16]}.npy"
    if not file.exists():
        embedding = load(model, adapter)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        vectors: Any = None
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            items, _ = embedding.prepare([texts[at] for at in part])
            made = np.frombuffer(embedding.embed(items), dtype="<f4").reshape(len(part), -1)
            if vectors is None:
                vectors = np.empty((len(texts), made.shape[1]), "<f4")
            vectors[part] = made
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, vectors)
    return np.load(file)
