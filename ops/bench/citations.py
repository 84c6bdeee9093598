"""`karais bench citations`: whether what is cited holds the answer, and nothing is cited without one.

A KARAIS of its own indexes a folder and answers a file of questions with the
default model. The file has one JSON object a line: ``question``, and for a
question that the folder answers ``answer``, a regular expression that a
passage with the answer contains (letter case aside).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bus import settings as settings_module
from ops.bench.figures import Report, median
from ops.bench.household import household
from ops.client import Client
from schemas.chat import Ask, Delta, Done, Failed, Sampling, Sources
from schemas.documents import Passage
from schemas.errors import KaraisError, Refused, TimedOut, Unavailable
from schemas.failure import Code

RIGHT = 0.95
"""Share of the citations shown that must hold the answer."""
WRONG = 0.05
"""Share of the unanswerable questions that may have a citation."""
INDEXING_SECONDS = 600.0


class Question(Struct, frozen=True, kw_only=True):
    """A line of the file of questions."""

    id: str = ""
    question: str
    answer: str | None = None
    """What a passage with the answer contains; None when nothing in the folder answers it."""
    page: str = ""
    """A file that holds it, for a reader; not measured."""


class Answered(Struct, frozen=True, kw_only=True):
    """A question, what was read for it and what came of it."""

    id: str
    question: str
    answer: str | None
    passages: tuple[Passage, ...]
    text: str
    done: Done
    seconds: float

    @property
    def cited(self) -> list[Passage]:
        """The passages that are shown as citations."""
        return [self.passages[number - 1] for number in self.done.cited]

    def holds(self, passage: Passage) -> bool:
        """Tell whether a passage contains the answer."""
        text = f"{passage.heading}\n{passage.text}"
        return self.answer is not None and re.search(self.answer, text, re.IGNORECASE | re.DOTALL) is not None


def read(file: Path) -> list[Question]:
    """Return the questions of a file; raises KaraisError naming the line that is wrong."""
    questions = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            question = msgspec.json.decode(line, type=Question)
            re.compile(question.answer or "")
        except (msgspec.MsgspecError, re.error) as error:
            raise KaraisError(
                f"Line {number} of {file} is no question: {error}.", code=Code.INVALID
            ) from None
        questions.append(question)
    return questions


async def _ask(client: Client, asked: Question, options: argparse.Namespace) -> Answered:
    begun = time.perf_counter()
    passages: tuple[Passage, ...] = ()
    text: list[str] = []
    ask = Ask(
        answer=secrets.token_hex(16),
        conversation=secrets.token_hex(16),
        text=asked.question,
        temporary=True,
        sampling=Sampling(max_tokens=options.max_tokens, seed=options.answer_seed),
    )
    async for event in client.ask(ask):
        match event:
            case Sources(passages=found):
                passages = found
            case Delta(text=piece):
                text.append(piece)
            case Failed(message=message, code=code):
                raise KaraisError(f"{asked.question!r} was not answered: {message}", code=code)
            case Done():
                return Answered(
                    id=asked.id,
                    question=asked.question,
                    answer=asked.answer,
                    passages=passages,
                    text="".join(text),
                    done=event,
                    seconds=time.perf_counter() - begun,
                )
    raise KaraisError(f"The answer to {asked.question!r} did not end.")


async def _indexed(client: Client) -> None:
    """Wait until every file of the storage is indexed or skipped."""
    deadline = time.monotonic() + INDEXING_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable, TimedOut, Refused):  # the librarian may not be up yet
            status = await client.storage()
            if status.files and not status.scanning and not status.waiting:
                return
        await asyncio.sleep(0.5)
    raise KaraisError(f"The storage was not indexed within {INDEXING_SECONDS:.0f} s.", code=Code.TIMEOUT)


async def answered(questions: Sequence[Question], options: argparse.Namespace) -> list[Answered]:
    """Answer questions over a folder with a KARAIS of their own, several at a time."""
    before = {one.question: one for one in _recorded(options.record)}
    found = [before[one.question] for one in questions if one.question in before]
    left = [one for one in questions if one.question not in before]
    if not left:
        return found
    begun = time.monotonic()
    given = settings_module.load({"home": options.home})
    with household(given.models, storage=options.storage.resolve(), engine=options.engine) as running:
        async with Client(running.url, running.key) as client:
            await _indexed(client)
            turns = asyncio.Semaphore(options.at_a_time)

            async def one(question: Question) -> None:
                async with turns:
                    if time.monotonic() - begun > options.minutes * 60:
                        return
                    answer = await _ask(client, question, options)
                found.append(answer)
                if options.record:
                    with options.record.open("ab") as file:
                        file.write(msgspec.json.encode(answer) + b"\n")

            await asyncio.gather(*(one(question) for question in left))
    return found


def _recorded(file: Path | None) -> list[Answered]:
    """Return the answers that an earlier run wrote, so that a long one can be run piece by piece."""
    if file is None or not file.exists():
        return []
    return [msgspec.json.decode(line, type=Answered) for line in file.read_bytes().splitlines()]


async def measure(report: Report, options: argparse.Namespace) -> None:
    """Add the figures; ``options`` has what ``add_options`` adds."""
    if options.storage is None or options.questions is None:
        report.missing.append("citations: name a folder by --storage and its questions by --questions")
        return
    questions = read(options.questions)
    found = await answered(questions, options)
    if len(found) < len(questions):
        report.missing.append(f"citations: {len(questions) - len(found)} questions were not asked in time")
    answerable = [one for one in found if one.answer is not None]
    others = [one for one in found if one.answer is None]
    shown = [one.holds(passage) for one in answerable for passage in one.cited]
    right = [any(one.holds(passage) for passage in one.cited) for one in answerable]
    read_it = [any(one.holds(passage) for passage in one.passages) for one in answerable]
    carrying = [one for one in others if one.done.cited]
    report.add("questions that the storage answers", len(answerable), "")
    report.add("questions that it does not answer", len(others), "")
    report.add("citations shown that hold the answer", _share(shown), "", at_least=RIGHT, note=_of(shown))
    share = len(carrying) / len(others) if others else None
    report.add(
        "unanswerable with a citation", share, "", at_most=WRONG, note=f"{len(carrying)} of {len(others)}"
    )
    report.add("answerable with a right citation", _share(right), "", note=_of(right))
    report.add("answerable whose passages hold the answer", _share(read_it), "", note=_of(read_it))
    report.add("seconds an answer, median", median(one.seconds for one in found), "s")
    for one in carrying:
        print(f"cited without an answer: {one.question}", file=sys.stderr)
    for one in answerable:
        if not all(one.holds(passage) for passage in one.cited):
            print(f"cited wrongly: {one.question}", file=sys.stderr)


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _of(values: Sequence[bool]) -> str:
    return f"{sum(values)} of {len(values)}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``measure`` needs."""
    parser.add_argument("--storage", type=Path, default=None, help="the folder that is asked about")
    parser.add_argument("--questions", type=Path, default=None, help="JSONL: question and answer")
    parser.add_argument("--home", type=Path, default=None, help="data folder whose models are used")
    parser.add_argument("--max-tokens", type=int, default=96, help="of an answer")
    parser.add_argument("--answer-seed", type=int, default=1, help="of the sampling")
    parser.add_argument("--at-a-time", type=int, default=4, help="answers at a time")
    parser.add_argument(
        "--record",
        type=Path,
        default=None,
        help="JSONL: answers go there, and those in it are not asked again",
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "scripted"),
        default="auto",
        help="scripted: without a model, so that only passages are quoted; takes a second a question",
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="no question is asked after so many")


def main(argv: Sequence[str]) -> int:
    """Measure citations; return 0 when both goals are met."""
    parser = argparse.ArgumentParser(prog="karais bench citations", description=__doc__)
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    options = parser.parse_args(argv)
    report = Report("citations", ("xllamacpp", "lancedb"))
    asyncio.run(measure(report, options))
    return report.show(json_only=options.json)
