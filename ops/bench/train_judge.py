"""Fit the judge of sentences to the labelled dialogues, and say what it would be worth on others.

``python -m ops.bench.train_judge --model FOLDER`` reads ``tests/memory`` and
``tests/memory/training``, prints precision and recall of extraction on every
author's dialogues with weights that were fitted to the other authors' alone,
and writes the weights that were fitted to all. The same dialogues and the same
embedding model give the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from agents.memory.extraction import extract, judging
from agents.memory.extraction.extract import Reader
from agents.memory.extraction.judging import Judge, Spoken, Weights
from agents.memory.extraction.statements import is_statement
from ops.bench.memory_quality import (
    IN_CHECKOUT,
    Score,
    always,
    contains,
    dialogues,
    score_dialogues,
    turns_of,
)
from ops.bench.search_corpus import embedded

PENALTY = 0.3
"""Inverse strength of regularisation; chosen by the figures of authors left out, as the thresholds were."""

Vectors = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Example:
    """A sentence, and whether it states a lasting fact of its owner."""

    author: str
    spoken: Spoken
    states: bool


def authors(folder: Path) -> dict[str, list[Path]]:
    """Return the scripts of each author: those of the rules were written together."""
    rules = [file for file in sorted(folder.glob("*.jsonl")) if not file.name.startswith("changes")]
    own = {file.stem: [file] for file in sorted((folder / "training").glob("*.jsonl"))}
    return {"rules": rules, **own}


def examples(author: str, files: Sequence[Path]) -> list[Example]:
    """Return the sentences that extraction would judge, without those that could be labelled either way."""
    found = []
    for file in files:
        for turns in dialogues(file):
            spoken: list[Spoken] = []
            reader = Reader((), (), UTC, _recorder(spoken))
            for turn, entry in turns:
                if turn.role != "user":
                    reader.hear(turn)
                    continue
                spoken.clear()
                reader.read(turn)
                for one in spoken:
                    states = _states(entry, one, spoken)
                    if states is not None:
                        found.append(Example(author, one, states))
    return found


def told(author: str, files: Sequence[Path]) -> list[Example]:
    """Return the sentences of stories of changes in which rules find facts: short ones, said plainly."""
    found = []
    for turn in (turn for file in files for turn in turns_of(file)):
        spoken: list[Spoken] = []
        facts = [fact for fact in extract([turn], judge=_recorder(spoken, 50.0)) if not is_statement(fact)]
        found += [
            Example(author, one, True)
            for one in spoken
            if any(fact.quote in one.text or one.text in fact.quote for fact in facts)
        ]
    return found


def _recorder(into: list[Spoken], odds: float = 0.0) -> Judge:
    def judge(spoken: Spoken) -> float:
        into.append(spoken)
        return odds

    return judge


def _states(entry: dict[str, Any], one: Spoken, turn: Sequence[Spoken]) -> bool | None:
    """Say whether a sentence of a labelled turn states a fact; None when the labels leave it open."""
    if entry.get("of"):
        return None if entry["facts"] else False
    stated = [fact for fact in entry["facts"] if not fact.get("optional")]
    if any(fact["values"] and contains(one.text, fact["values"]) for fact in stated):
        return True
    elsewhere = [
        any(fact["values"] and contains(other.text, fact["values"]) for other in turn) for fact in stated
    ]
    if not all(elsewhere):
        return True if len(turn) == 1 else None
    optional = [fact for fact in entry["facts"] if fact.get("optional")]
    return None if any(contains(one.text, fact["values"]) for fact in optional) else False


def fit(found: Sequence[Example], vectors: Vectors, model: str) -> Weights:
    """Fit a logistic regression."""
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    rows = [judging.features(one.spoken, vectors[one.spoken.text]) for one in found]
    width = judging.width(len(next(iter(vectors.values()))))
    places = np.concatenate([np.fromiter(row.keys(), int, len(row)) for row in rows])
    values = np.concatenate([np.fromiter(row.values(), float, len(row)) for row in rows])
    lines = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    matrix = csr_matrix((values, (lines, places)), shape=(len(rows), width))
    fitted = LogisticRegression(C=PENALTY, solver="liblinear", random_state=0, max_iter=300)
    fitted.fit(matrix, [one.states for one in found])
    return Weights(model, float(fitted.intercept_[0]), fitted.coef_[0].tolist())


def main(argv: Sequence[str] | None = None, show: Callable[[str], None] = print) -> int:
    """Fit, compare, write."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.train_judge", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="embedding model's folder")
    parser.add_argument("--dialogues", type=Path, default=IN_CHECKOUT, help="a folder of scripted dialogues")
    parser.add_argument("--cache", type=Path, default=Path("/tmp"), help="where vectors are kept")  # noqa: S108
    parser.add_argument("--weights", type=Path, default=judging.WEIGHTS, help="where the weights are written")
    parser.add_argument("--no-comparison", action="store_true", help="only fit and write")
    options = parser.parse_args(argv)
    files = authors(options.dialogues)
    found = [one for author, scripts in files.items() for one in examples(author, scripts)]
    stories = sorted(options.dialogues.glob("changes*.jsonl"))
    found += told("rules", stories)
    scripts = [*stories, *(file for of_author in files.values() for file in of_author)]
    texts = sorted({text for file in scripts for text in judging.texts_to_judge(turns_of(file))})
    vectors = dict(zip(texts, embedded(texts, options.model, options.cache).tolist(), strict=True))
    if not options.no_comparison:
        for author, scripts in files.items():
            others = [one for one in found if one.author != author]
            judge = fit(others, vectors, options.model.name).judge(vectors)
            score = Score()
            for file in scripts:
                score_dialogues(file, score, always(judge))
            show(
                f"{author} by the others: precision {score.precision:.3f}, recall {score.recall:.3f} "
                f"({score.right} right, {len(score.wrong)} wrong, {score.repeated} repeated, "
                f"{score.from_quotes} from quotes, {score.turns} turns)"
            )
    said = "\x1f".join(f"{one.spoken.text}\x1e{one.states}" for one in found)
    note = {"examples": len(found), "of": hashlib.sha256(said.encode()).hexdigest()[:16]}
    fit(found, vectors, options.model.name).save(options.weights, note)
    show(f"{options.weights}: {len(found)} sentences, {sum(one.states for one in found)} of them facts")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
