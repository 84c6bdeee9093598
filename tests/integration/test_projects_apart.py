"""Nothing of one project is found in another: random searches over the real tables."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from pathlib import Path

from schemas.base import GLOBAL
from schemas.documents import Recall
from schemas.embeddings import Vectors
from stores.chunking import Piece
from stores.passages import PassagesReader, PassagesWriter, SourcePassages
from stores.recall import recall
from stores.scope import Scope
from tests.hashing import DIMENSIONS, vector

MODEL = "hash"
PROJECTS = ("home", "boat", "house", "work", GLOBAL)
KINDS = ("document", "turn", "fact")
WORDS = [f"word{n}" for n in range(60)]
QUERIES = int(os.environ.get("KARAIS_TEST_SEARCHES", "3000"))
"""`make soak` asks 10,000."""
AT_A_TIME = 50
RANKED = 20
"""Every so many-th search is a whole recall over all tables, the others are one of its searches."""


def source(project: str, kind: str, number: int, chance: random.Random) -> SourcePassages:
    texts = [" ".join(chance.choices(WORDS, k=12)) for _ in range(chance.randint(1, 3))]
    name = hashlib.sha256(f"{project}/{kind}/{number}".encode()).hexdigest()[:32]
    return SourcePassages(
        source=name,
        kind=kind,
        path=f"{project}/{number}.md" if kind == "document" else f"c{number}",
        at=time.time() - chance.randint(0, 10_000),
        content_hash=name,
        pieces=tuple(Piece(text=text, first_line=1, last_line=1) for text in texts),
        vectors=b"".join(vector(text) for text in texts),
        project=project,
    )


async def test_random_searches_find_nothing_of_another_project(tmp_path: Path) -> None:
    """Of any kind and time, by words and by meaning; ``global`` only where the search says so."""
    chance = random.Random(7)
    readers = []
    for name, kinds in (("documents", KINDS[:1]), ("memory", KINDS[1:])):
        writer = PassagesWriter(tmp_path, name, MODEL)
        await writer.open()
        for start in range(0, 60, 20):
            await writer.replace(
                [
                    source(project, kind, number, chance)
                    for project in PROJECTS
                    for kind in kinds
                    for number in range(start, start + 20)
                ]
            )
        writer.close()
        reader = PassagesReader(tmp_path, name, MODEL)
        await reader.refresh()
        readers.append(reader)
    seen: set[tuple[str, str]] = set()

    async def search(number: int) -> None:
        ask = Recall(
            query=" ".join(chance.choices(WORDS, k=chance.randint(1, 4))),
            project=chance.choice(PROJECTS),
            limit=chance.randint(1, 10),
            with_global=chance.random() < 0.5,
            kinds=tuple(chance.sample(KINDS, chance.randint(1, 3))),
        )
        data = vector(ask.query)
        scope = Scope(project=ask.project, with_global=ask.with_global, kinds=ask.kinds)
        allowed = {ask.project, GLOBAL} if ask.with_global else {ask.project}
        rows: list[tuple[str, str]]
        if number % RANKED == 0:

            async def embed(_: str) -> Vectors | None:
                return Vectors(model=MODEL, rows=1, dimensions=DIMENSIONS, data=data)

            passages, _ = await recall(readers, ask, scope, embed, list)
            rows = [(p.project, p.kind) for p in passages]
        else:
            reader = readers[number % 2]
            if number // 2 % 2:
                found = await reader.matching(ask.query, scope, ask.limit)
            else:
                found = await reader.nearest(data, scope, ask.limit)
            rows = [(row["project"], row["kind"]) for row in found]
        assert {project for project, _ in rows} <= allowed, ask
        assert {kind for _, kind in rows} <= set(ask.kinds), ask
        seen.update((ask.project, project) for project, _ in rows)

    for start in range(0, QUERIES, AT_A_TIME):
        await asyncio.gather(*(search(number) for number in range(start, start + AT_A_TIME)))
    assert seen == {(p, p) for p in PROJECTS} | {(p, GLOBAL) for p in PROJECTS}
