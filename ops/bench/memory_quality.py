"""How well memory learns: scripted dialogues with known facts, and changes asked as of a day.

A file of dialogues is JSON lines, one turn each: ``dialogue``, ``at`` (ISO
8601, UTC), ``role`` (``user``, ``assistant``, or ``passage`` for a text that
was recalled for the answer before), ``text``, and for a user's turn ``facts``:
what should be learned from it, each with ``attributes`` (acceptable ones;
``Tom:city`` names the subject too), ``values`` (acceptable ones), and where it
applies ``effect`` (``ends``), ``from`` (day, month or year since which it
holds) and ``optional`` (fair to learn, fair to leave). ``of`` marks a turn that
is a ``quote`` or made of ``recalled`` text.

A learned fact is right when its value is an acceptable one (letter case,
articles and prepositions before it aside) and its attribute or its subject is
the expected one. A statement that was kept whole is right when it contains a
value that is expected of its turn and not learned yet; all those that it
contains are then learned. One that contains only what rules learned already is
repeated, and neither right nor wrong. A file whose name begins with ``changes`` has ``says`` (turns
with ``at`` and ``text``) and ``asks`` instead: ``as_of`` with ``attribute`` and
``value`` (null: nothing held), or with ``holds`` (for each value that held its
acceptable wordings) and ``gone`` (values that did not). All these sets were
used to write the rules: what is learned from others is to be tried with others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.embedder import adapters
from agents.memory.extraction import extract
from agents.memory.extraction.judging import Judge, load, texts_to_judge
from agents.memory.extraction.statements import is_statement
from ops.bench.figures import Report
from ops.bench.search_corpus import embedded
from schemas.chat import Turn
from schemas.documents import Passage
from schemas.memory import Fact, FactLearned
from stores.facts import FactBook

Judges = Callable[[Sequence[Turn]], Judge | None]
"""Returns the judge of the sentences of these turns; None for rules alone."""


def no_judge(turns: Sequence[Turn]) -> None:
    """Rules alone."""


IN_CHECKOUT = Path(__file__).resolve().parents[2] / "tests" / "memory"


@dataclass
class Score:
    """What was learned from a set of dialogues, against what should have been."""

    turns: int = 0
    right: int = 0
    """Learned facts that were stated."""
    found: int = 0
    """Stated facts that were learned: a statement kept whole may hold several."""
    repeated: int = 0
    """Statements kept whole that say only what rules learned already."""
    wrong: list[tuple[str, Fact]] = field(default_factory=list)
    """Facts that nobody stated, each with its turn's text."""
    missed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    from_quotes: int = 0
    """Wrong facts from turns that quote or repeat what was recalled."""
    dated: int = 0
    """Right facts for which the script says since when they hold."""
    dated_right: int = 0
    """Those of them that were learned with that beginning."""

    @property
    def precision(self) -> float:
        """Right facts among those learned."""
        learned = self.right + len(self.wrong)
        return self.right / learned if learned else float("nan")

    @property
    def recall(self) -> float:
        """Learned facts among those that were stated."""
        stated = self.found + len(self.missed)
        return self.found / stated if stated else float("nan")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this part's options to the command line of `karais bench recall`."""
    parser.add_argument("--dialogues", type=Path, default=IN_CHECKOUT, help="a folder of scripted dialogues")


async def measure(report: Report, options: argparse.Namespace) -> None:
    """Add precision, recall, facts from quotes and the share of right answers as of a day."""
    folder = Path(options.dialogues)
    files = await asyncio.to_thread(_files, folder)
    scripts = [file for file in files if not file.name.startswith("changes")]
    judges = await asyncio.to_thread(
        judges_of, files, getattr(options, "model", None), getattr(options, "cache", folder)
    )
    if judges is no_judge:
        report.missing.append("memory: no embedding model by --model that the weights belong to; rules alone")
    if not scripts:
        report.missing.append(
            f"memory: there are no dialogues (*.jsonl) in {folder}; name them by --dialogues"
        )
    else:
        score = Score()
        for file in scripts:
            await asyncio.to_thread(score_dialogues, file, score, judges)
        note = f"{score.turns} turns of {', '.join(file.name for file in scripts)}"
        report.add("memory precision", score.precision, "", at_least=0.95, note=note)
        report.add("memory recall", score.recall, "", at_least=0.70)
        report.add("facts from quotes or recalled text", score.from_quotes, "", at_most=0)
        if score.dated:
            report.add(
                "right beginnings", score.dated_right / score.dated, "", note=f"{score.dated} dated facts"
            )
    changes = [file for file in files if file.name.startswith("changes")]
    if changes:
        results = [await asyncio.to_thread(score_changes, file, judges) for file in changes]
        asked = [right for result in results for right in result]
        share = sum(asked) / len(asked) if asked else float("nan")
        report.add("right as of a day", share, "", at_least=1.0, note=f"{len(asked)} questions")


def judges_of(files: Sequence[Path], model: Path | None, cache: Path) -> Judges:
    """Return what judges the sentences of these files with the weights that are shipped; else rules alone.

    ``model`` is the embedding model's folder, ``cache`` where vectors are kept.
    """
    weights = load()
    if weights is None or model is None or not model.is_dir() or model.name != weights.model:
        return no_judge
    texts = sorted({text for file in files for text in texts_to_judge(turns_of(file))})
    vectors = embedded(texts, model, cache, adapters.load("statement")).tolist()
    judge = weights.judge(dict(zip(texts, vectors, strict=True)))
    return always(judge)


def always(judge: Judge) -> Judges:
    """Return what gives one judge for all turns."""
    return lambda turns: judge


def turns_of(file: Path) -> list[Turn]:
    """Return all turns of a file of dialogues or of stories of changes."""
    if not file.name.startswith("changes"):
        return [turn for turns in dialogues(file) for turn, _ in turns]
    stories = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    return [_turn(said, "story", "s") for story in stories for said in story["says"]]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl")) if folder.is_dir() else [folder]


def score_dialogues(file: Path, score: Score, judges: Judges = no_judge) -> Score:
    """Extract from every dialogue of a file, turn by turn as it would be lived; adds to ``score``."""
    for turns in dialogues(file):
        said = [turn for turn, _ in turns]
        learned: dict[str, list[Fact]] = defaultdict(list)
        for fact in extract(said, judge=judges(said)):
            learned[fact.answer].append(fact)
        for turn, entry in turns:
            if turn.role == "user":
                _count(score, entry, learned[turn.answer])
    return score


def dialogues(file: Path) -> list[list[tuple[Turn, dict[str, Any]]]]:
    """Return the dialogues of a file, each turn with the entry that it comes from."""
    entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in file.read_text("utf-8").splitlines():
        if line.strip():
            entry = json.loads(line)
            entries[entry["dialogue"]].append(entry)
    return [list(_turns(one)) for one in entries.values()]


def score_changes(file: Path, judges: Judges = no_judge) -> list[bool]:
    """Learn every story of a file and ask what held; returns whether each answer was right."""
    results = []
    for number, line in enumerate(file.read_text("utf-8").splitlines()):
        if not line.strip():
            continue
        story = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            book = FactBook(Path(folder) / "facts.db")
            known: tuple[Fact, ...] = ()
            sequence = 0
            turns: list[Turn] = []
            for place, said in enumerate(story["says"]):
                turn = _turn(said, f"story{number}", f"s{number}-{place}")
                turns.append(turn)
                for fact in extract(turns, known=known, judge=judges(turns)):
                    if fact.answer != turn.answer:
                        continue
                    sequence += 1
                    book.apply(FactLearned(project="home", learned=fact), sequence)
                known = book.list("home", "owner", as_of=turn.at, limit=1000).facts
            for ask in story["asks"]:
                moment = datetime.fromisoformat(ask["as_of"]).replace(tzinfo=UTC).timestamp()
                held = book.list("home", "owner", as_of=moment, limit=1000).facts
                if "holds" in ask:
                    results.append(_holds(ask, held))
                    continue
                values = [_plain(f.value) for f in held if _fits(ask["attribute"], f)]
                expected = ask["value"]
                right = not values if expected is None else values == [_plain(expected)]
                results.append(right)
            book.close()
    return results


def _holds(ask: dict[str, Any], held: Sequence[Fact]) -> bool:
    """Say whether one wording of each of ``holds`` held, and nothing of ``gone``."""
    kept = [fact.value for fact in held if is_statement(fact)]
    values = {
        _plain(value)
        for fact in held
        if not is_statement(fact)
        for value in (fact.value, fact.attribute.partition(":")[2])
    }

    def is_there(wordings: Sequence[str]) -> bool:
        known = bool(values & {_plain(value) for value in wordings})
        return known or any(contains(one, wordings) for one in kept)

    return all(is_there(one) for one in ask["holds"]) and not any(is_there([one]) for one in ask["gone"])


def _count(score: Score, entry: dict[str, Any], facts: Sequence[Fact]) -> None:
    score.turns += 1
    expected = list(entry["facts"])
    learned: list[dict[str, Any]] = []
    for fact in sorted(facts, key=is_statement):
        if is_statement(fact):
            _count_statement(score, entry, fact, expected, learned)
            continue
        fitting = [e for e in expected if matches(e, fact)]
        if not fitting:
            score.wrong.append((entry["text"], fact))
            score.from_quotes += bool(entry.get("of"))
            continue
        # What has to be learned comes first; what is optional counts for nothing.
        found = min(fitting, key=lambda e: bool(e.get("optional")))
        expected.remove(found)
        learned.append(found)
        if found.get("optional"):
            continue
        score.right += 1
        score.found += 1
        if "from" in found:
            score.dated += 1
            day = datetime.fromtimestamp(fact.valid_from, UTC).date().isoformat()
            score.dated_right += day.startswith(found["from"])
    score.missed += [(entry["text"], e) for e in expected if not e.get("optional")]


def _count_statement(
    score: Score,
    entry: dict[str, Any],
    fact: Fact,
    expected: list[dict[str, Any]],
    learned: Sequence[dict[str, Any]],
) -> None:
    """Count a statement that was kept whole, and take what it contains out of ``expected``."""
    held = [e for e in expected if contains(fact.value, e["values"])]
    for one in held:
        expected.remove(one)
    stated = sum(not e.get("optional") for e in held)
    score.right += stated > 0
    score.found += stated
    if not held and any(contains(fact.value, e["values"]) for e in learned):
        score.repeated += 1
    elif not held:
        score.wrong.append((entry["text"], fact))
        score.from_quotes += bool(entry.get("of"))


def contains(text: str, values: Sequence[str]) -> bool:
    """Say whether one of these values stands in a text, word by word; true where none is named."""
    words = f" {_words(text)} "
    return not values or any(f" {_words(value)} " in words for value in values)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def matches(expected: dict[str, Any], fact: Fact) -> bool:
    """Say whether a learned fact is an expected one."""
    if (expected.get("effect", "states") == "ends") != (fact.effect == "ends"):
        return False
    values = [_plain(value) for value in expected["values"]]
    if values and _plain(fact.value) not in values:
        return False
    return any(_fits(attribute, fact) for attribute in expected["attributes"])


def _fits(attribute: str, fact: Fact) -> bool:
    """Say whether a fact is about the expected attribute, or at least about the expected subject."""
    wanted = attribute.casefold().replace("_", " ")
    has = fact.attribute.casefold().replace("_", " ")
    base = has.partition(":")[0]
    subject = fact.subject.casefold()
    of_subject = (f"{subject}:{base}", f"{subject}:{has}", f"{subject}.{base}")
    if wanted in (has, base, base.rpartition(".")[2], *of_subject):
        return True
    path, dot, last = wanted.rpartition(".")
    if (
        dot
        and last == base.rpartition(".")[2]
        and f"{path.rpartition('.')[2]} {subject}" in fact.text.casefold()
    ):
        return True  # "the owner's daughter Mia", kept under her name
    named, colon, _ = wanted.partition(":")
    is_slot = named in ("favourite", "note", "pet", "plan", "trip", "habit")
    return subject == (named if colon and not is_slot else "owner") and bool(fact.value) and not colon


def _plain(value: str) -> str:
    text = " ".join(re.sub(r"[^\w\s@.:/+-]", " ", value.casefold()).split()).strip(" .")
    return re.sub(r"^(?:the|an?|on|at|in|am|um|der|die|das|eine?n?|my|our) (?=\S)", "", text)


def _turns(entries: Sequence[dict[str, Any]]) -> Iterator[tuple[Turn, dict[str, Any]]]:
    passages: list[Passage] = []
    for number, entry in enumerate(entries):
        if entry["role"] == "passage":
            passages.append(Passage(id=f"p-{number}", path="page.md", text=entry["text"]))
            continue
        turn = _turn(entry, entry["dialogue"], f"{entry['dialogue']}-{number}", number)
        if turn.role == "user" and passages:
            # They were given to the model for an answer that the script does not spell out.
            yield (
                Turn(
                    conversation=turn.conversation,
                    answer=f"{turn.answer}-a",
                    role="assistant",
                    text="",
                    at=turn.at,
                    passages=tuple(passages),
                ),
                {},
            )
            passages = []
        elif turn.role == "assistant":
            turn = Turn(
                conversation=turn.conversation,
                answer=turn.answer,
                role="assistant",
                text=turn.text,
                at=turn.at,
                passages=tuple(passages),
            )
            passages = []
        yield turn, entry


def _turn(entry: dict[str, Any], conversation: str, answer: str, minutes: int = 0) -> Turn:
    at = datetime.fromisoformat(entry["at"]).replace(tzinfo=UTC) + timedelta(minutes=minutes)
    role = entry.get("role", "user")
    return Turn(conversation=conversation, answer=answer, role=role, text=entry["text"], at=at.timestamp())
