"""Fit the judge of sentences to the labelled dialogues, and say what it would be worth on others.

``python -m ops.bench.train_judge --model FOLDER`` (with the extra ``bench``)
reads ``tests/memory`` and ``tests/memory/training``, prints precision and
recall of extraction on the dialogues of a third of the authors with weights
that were fitted to those of the others alone, three times, and writes the
adapter and the weights that were fitted to all. On two cores it takes about
ten minutes for a fit.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from agents.embedder import adapters
from agents.memory.extraction import extract, judging
from agents.memory.extraction.extract import Reader
from agents.memory.extraction.judging import Judge, Spoken
from agents.memory.extraction.statements import is_statement
from ops.bench.judge_adapter import Example, train
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

PARTS = 3
"""Of the authors, for the comparison: each is left out of a fit once."""


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


def main(argv: Sequence[str] | None = None, show: Callable[[str], None] = print) -> int:
    """Fit, compare, write."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.train_judge", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="embedding model's folder")
    parser.add_argument("--dialogues", type=Path, default=IN_CHECKOUT, help="a folder of scripted dialogues")
    parser.add_argument("--cache", type=Path, default=Path("/tmp"), help="where vectors are kept")  # noqa: S108
    parser.add_argument("--into", type=Path, help="a folder to write both to, instead of their own places")
    parser.add_argument("--no-comparison", action="store_true", help="only fit and write")
    options = parser.parse_args(argv)
    files = authors(options.dialogues)
    found = [one for author, scripts in files.items() for one in examples(author, scripts)]
    found += told("rules", sorted(options.dialogues.glob("changes*.jsonl")))
    names = list(files)
    for part in range(0 if options.no_comparison else PARTS):
        left_out = names[part::PARTS]
        adapter, weights = train(
            [one for one in found if one.author not in left_out], options.model, show=show
        )
        for author in left_out:
            texts = sorted(
                {text for file in files[author] for text in judging.texts_to_judge(turns_of(file))}
            )
            vectors = embedded(texts, options.model, options.cache, adapter).tolist()
            judge = weights.judge(dict(zip(texts, vectors, strict=True)))
            score = Score()
            for file in files[author]:
                score_dialogues(file, score, always(judge))
            show(
                f"{author} by the others: precision {score.precision:.3f}, recall {score.recall:.3f} "
                f"({score.right} right, {len(score.wrong)} wrong, {score.repeated} repeated, "
                f"{score.from_quotes} from quotes, {score.turns} turns)"
            )
    adapter, weights = train(found, options.model, show=show)
    said = "\x1f".join(f"{one.spoken.text}\x1e{one.states}" for one in found)
    note = {"examples": len(found), "of": hashlib.sha256(said.encode()).hexdigest()[:16]}
    adapter.save((options.into or adapters.FOLDER) / f"{adapter.purpose}.npz")
    weights.save(options.into / judging.WEIGHTS.name if options.into else judging.WEIGHTS, note)
    show(f"{len(found)} sentences, {sum(one.states for one in found)} of them facts")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
