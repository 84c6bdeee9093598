"""How well KARAIS finds again: turns of long conversations (LoCoMo) and abstracts for questions (Cranfield).

Everything goes the way that an installed KARAIS goes: passages are written to
a LanceDB table by the writer of passages and found by ``stores.recall``; only
the bus is left out. The comparators (BM25 by ``bm25s``, the embedding model
alone, and both by reciprocal rank fusion with k = 60) get the same texts: what
KARAIS embeds of a passage, which for a turn is its speaker and its text, with
the caption of an image that was shared, and for an abstract its title and its
text. ``bm25s`` runs with and without its stemmer; the better one counts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.bench.figures import Report, percentile
from ops.bench.search_corpus import embedded
from schemas.documents import Recall
from schemas.embeddings import Vectors
from stores.chunking import Piece, chunk_text
from stores.passages import Kind, PassagesReader, PassagesWriter, SourcePassages, embedded_text
from stores.recall import recall
from stores.scope import Scope

AT = 10
"""Results that count."""
FUSED = 60
"""The constant of reciprocal rank fusion."""
SECONDS_A_TURN = 60.0
"""LoCoMo says when a session began, not when each turn was said."""
MULTI_HOP = 1
CATEGORIES = (1, 2, 3, 4)

Ranking = list[str]


@dataclass
class Question:
    """What is asked, and what should be found."""

    text: str
    relevant: set[str]
    project: str
    category: int = 0


@dataclass
class Collection:
    """Passages of one project and their texts for the comparators."""

    project: str
    names: list[str] = field(default_factory=list)
    """What is to be found: a turn's or abstract's name, each once."""
    sources: list[tuple[str, Kind, str, float, tuple[Piece, ...]]] = field(default_factory=list)
    """Name, kind, path, time, pieces."""
    questions: list[Question] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The whole text of each, as the comparators get it."""
        return [
            embedded_text(Piece(text="\n".join(piece.text for piece in pieces), heading=pieces[0].heading))
            for *_, pieces in self.sources
        ]


def locomo(file: Path) -> list[Collection]:
    """Return the conversations of a LoCoMo file; each is a project of its own."""
    found = []
    for number, item in enumerate(json.loads(file.read_bytes())):
        said = item["conversation"]
        collection = Collection(f"locomo-{number}")
        for key in sorted((key for key in said if re.fullmatch(r"session_\d+", key)), key=_number):
            begun = _moment(said[f"{key}_date_time"], _number(key))
            for at, turn in enumerate(said[key]):
                caption = f" [shared {turn['blip_caption']}]" if turn.get("blip_caption") else ""
                piece = Piece(text=f"{turn['text']}{caption}", heading=turn["speaker"])
                moment = begun + at * SECONDS_A_TURN
                collection.names.append(turn["dia_id"])
                collection.sources.append((turn["dia_id"], "turn", key, moment, (piece,)))
        for qa in item["qa"]:
            evidence = {part for one in qa["evidence"] for part in re.split(r"[;,\s]+", one) if part}
            if qa["category"] in CATEGORIES and evidence:
                collection.questions.append(
                    Question(str(qa["question"]), evidence, collection.project, qa["category"])
                )
        found.append(collection)
    return found


def cranfield(folder: Path) -> list[Collection]:
    """Return the abstracts with the questions of every ``queries*.jsonl`` beside them."""
    collection = Collection("cranfield")
    for row in _lines(folder / "corpus.jsonl"):
        if not row["text"].strip():
            continue
        pieces = tuple(
            Piece(text=piece.text, heading=row.get("title", "")) for piece in chunk_text(row["text"])
        )
        collection.names.append(row["id"])
        collection.sources.append((row["id"], "document", f"{row['id']}.txt", 0.0, pieces))
    for file in sorted(folder.glob("queries*.jsonl")):
        for row in _lines(file):
            collection.questions.append(Question(row["text"], set(row["relevant"]), collection.project))
    return [collection]


async def measure(report: Report, options: Namespace, model: Path, cache: Path) -> None:
    """Add the figures of both sets; ``options`` has ``locomo`` and ``cranfield``."""
    if options.locomo is None:
        report.missing.append("LoCoMo: name its file by --locomo")
    else:
        found = await _compared(report, "LoCoMo", locomo(options.locomo), model, cache)
        for name, rankings in found.items():
            shares = [(q, _recall(q, ranking)) for q, ranking in rankings]
            hops = [share for q, share in shares if q.category == MULTI_HOP]
            ours = name == "KARAIS"
            note = f"{len(shares)} questions"
            report.add(
                f"LoCoMo recall@{AT}, {name}", _mean([share for _, share in shares]), "",
                at_least=0.72 if ours else None, note=note,
            )  # fmt: skip
            report.add(
                f"LoCoMo recall@{AT} multi-hop, {name}", _mean(hops), "",
                at_least=0.52 if ours else None, note=f"{len(hops)} questions",
            )  # fmt: skip
            report.samples[f"LoCoMo {name}"] = [share for _, share in shares]
            if ours:
                for project in sorted({q.project for q, _ in shares}):
                    own = [share for q, share in shares if q.project == project]
                    report.add(f"  LoCoMo recall@{AT} of {project}", _mean(own), "")
    if options.cranfield is None:
        report.missing.append("Cranfield: name its folder by --cranfield")
        return
    found = await _compared(report, "Cranfield", cranfield(options.cranfield), model, cache)
    gains = {name: [_ndcg(q, ranking) for q, ranking in rankings] for name, rankings in found.items()}
    for name, values in gains.items():
        report.add(f"Cranfield nDCG@{AT}, {name}", _mean(values), "", note=f"{len(values)} questions")
        report.samples[f"Cranfield {name}"] = values
    others = [_mean(values) for name, values in gains.items() if name != "KARAIS"]
    report.add(
        f"Cranfield nDCG@{AT} beside the best comparator",
        _mean(gains["KARAIS"]) / max(others),
        "x",
        at_least=1.08,
    )


async def _compared(
    report: Report, name: str, collections: Sequence[Collection], model: Path, cache: Path
) -> dict[str, list[tuple[Question, Ranking]]]:
    """Return the ranking of each question by KARAIS and by each comparator."""
    found: dict[str, list[tuple[Question, Ranking]]] = {"KARAIS": []}
    questions = [question.text for collection in collections for question in collection.questions]
    asked = dict(zip(questions, await asyncio.to_thread(embedded, questions, model, cache), strict=True))
    with tempfile.TemporaryDirectory(prefix="karais-bench-") as folder:
        await _write(Path(folder), collections, model, cache)
        took: list[float] = []
        reader = PassagesReader(Path(folder), "bench", model.name)
        await reader.refresh()
        query = QueryEmbedding(model)
        for collection in collections:
            for question in collection.questions:
                ranking, seconds = await _asked(reader, question, query)
                found["KARAIS"].append((question, ranking))
                took.append(1000 * seconds)
    report.samples[f"{name} ms"] = took
    report.add(f"{name}: a question, p50, without embedding it", percentile(took, 0.5), "ms")
    report.add(f"{name}: a question, p95, without embedding it", percentile(took, 0.95), "ms")
    for collection in collections:
        vectors = await asyncio.to_thread(embedded, collection.texts, model, cache)
        by_words = await asyncio.to_thread(_bm25, collection, report)
        for at, question in enumerate(collection.questions):
            near = vectors @ asked[question.text]
            scores = {model.name: near} | {label: every[at] for label, every in by_words.items()}
            scores |= {
                f"{label} + {model.name}, RRF": _fused(every[at], near) for label, every in by_words.items()
            }
            for label, values in scores.items():
                found.setdefault(label, []).append((question, _ranking(collection.names, values)))
    return found


async def _write(folder: Path, collections: Sequence[Collection], model: Path, cache: Path) -> None:
    """Write all passages to a table, as the librarian and memory do."""
    writer = PassagesWriter(folder, "bench", model.name)
    await writer.open()
    try:
        for collection in collections:
            texts = [embedded_text(piece) for *_, pieces in collection.sources for piece in pieces]
            vectors = iter(await asyncio.to_thread(embedded, texts, model, cache))
            await writer.replace(
                [
                    SourcePassages(
                        source=_source(collection.project, name),
                        kind=kind,
                        path=path,
                        at=at,
                        content_hash=hashlib.sha256(name.encode()).hexdigest(),
                        pieces=pieces,
                        vectors=b"".join(next(vectors).tobytes() for _ in pieces),
                        project=collection.project,
                    )
                    for name, kind, path, at, pieces in collection.sources
                ]
            )
            _names.update((_source(collection.project, name), name) for name in collection.names)
        await writer.tidy()
    finally:
        writer.close()


_names: dict[str, str] = {}


class QueryEmbedding:
    """The embedding model for questions; remembers how long it took."""

    def __init__(self, model: Path) -> None:
        from agents.embedder.model import load

        self._model = load(model)
        self._name = model.name
        self.seconds = 0.0

    async def __call__(self, query: str) -> Vectors:
        """Return the vector of a question."""
        begun = time.perf_counter()
        items, _ = self._model.prepare([query])
        data = await asyncio.to_thread(self._model.embed, items)
        self.seconds += time.perf_counter() - begun
        return Vectors(model=self._name, rows=1, dimensions=len(data) // 4, data=data)


async def _asked(reader: PassagesReader, question: Question, query: QueryEmbedding) -> tuple[Ranking, float]:
    """Return what KARAIS finds, best first, and the seconds without embedding."""
    documents = question.project == "cranfield"
    # A long document has several passages: so many are asked for that ten documents are among them.
    ask = Recall(query=question.text, project=question.project, limit=2 * AT if documents else AT)
    query.seconds = 0.0
    begun = time.perf_counter()
    passages, _ = await recall((reader,), ask, Scope(project=question.project), query, lambda rows: rows)
    seconds = time.perf_counter() - begun - query.seconds
    names = [_names[passage.id.rpartition("-")[0]] for passage in passages]
    return list(dict.fromkeys(names))[:AT], seconds


def _bm25(collection: Collection, report: Report) -> dict[str, list[Any]]:
    """Return each question's scores, with and without stemming; nothing where bm25s is not installed."""
    try:
        import bm25s
        import Stemmer
    except ImportError as error:
        missing = f"bm25s and its fusion: {error.name} is not installed (pip install 'karais[bench]')"
        if missing not in report.missing:
            report.missing.append(missing)
        return {}
    import numpy as np

    found = {}
    for label, stemmer in (("bm25s", None), ("bm25s stemmed", Stemmer.Stemmer("english"))):
        index = bm25s.BM25()
        tokens = bm25s.tokenize(collection.texts, stopwords="en", stemmer=stemmer, show_progress=False)
        index.index(tokens, show_progress=False)
        scores = []
        for question in collection.questions:
            (words,) = bm25s.tokenize(
                [question.text], stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False
            )
            scores.append(index.get_scores(words) if words else np.zeros(len(collection.texts)))
        found[label] = scores
    return found


def _fused(*scores: Any) -> Any:
    """Return reciprocal rank fusion of several scores."""
    import numpy as np

    total = np.zeros(len(scores[0]))
    for one in scores:
        order = np.argsort(-one, kind="stable")
        total[order] += 1 / (FUSED + 1 + np.arange(len(order)))
    return total


def _ranking(names: Sequence[str], scores: Any) -> Ranking:
    import numpy as np

    return [names[at] for at in np.argsort(-scores, kind="stable")[:AT]]


def _recall(question: Question, ranking: Ranking) -> float:
    return len(question.relevant & set(ranking)) / len(question.relevant)


def _ndcg(question: Question, ranking: Ranking) -> float:
    gain = sum(1 / math.log2(at + 2) for at, name in enumerate(ranking) if name in question.relevant)
    best = sum(1 / math.log2(at + 2) for at in range(min(AT, len(question.relevant))))
    return gain / best if best else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _source(project: str, name: str) -> str:
    return hashlib.sha256(f"{project}/{name}".encode()).hexdigest()[:32]


def _number(key: str) -> int:
    return int(key.rpartition("_")[2])


def _moment(said: str, session: int) -> float:
    """Return when a session began: "1:56 pm on 8 May, 2023"; else a day for each session."""
    try:
        return datetime.strptime(said, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return session * 86_400.0


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
