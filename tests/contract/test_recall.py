"""Recall on a real LanceDB: surroundings, neighbours, follow-up questions, degraded search."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from schemas.documents import Recall
from schemas.embeddings import Vectors
from stores.chunking import Piece
from stores.passages import PassagesReader, PassagesWriter, SourcePassages
from stores.recall import recall
from stores.scope import Scope
from stores.terms import stem, telling

MODEL = "words-model"


def vector(text: str) -> bytes:
    """Return a vector that is near to those of texts with the same words: a direction for each stem."""
    total = np.full(64, 1e-3)
    for word in telling(text):
        seed = int.from_bytes(hashlib.sha256(stem(word).encode()).digest()[:8], "little")
        total += np.random.default_rng(seed).normal(size=64)
    return (total / np.linalg.norm(total)).astype("<f4").tobytes()


def source(name: str, *texts: str, kind="document", path="", at=0.0, heading="", project="home"):
    pieces = tuple(Piece(text=text, heading=heading) for text in texts)
    return SourcePassages(
        source=name, kind=kind, path=path or f"{name}.md", at=at, content_hash=name, pieces=pieces,
        vectors=b"".join(vector(f"{heading} {text}") for text in texts), project=project,
    )  # fmt: skip


SOURCES = [
    source("manual", "Charge the blue boat at the pier.", "Then rinse its deck.", "Then lock its cabin."),
    source("bread", "Bread wants flour and a hot oven."),
    source("t1", "Which dog shall we adopt?", kind="turn", path="talk", at=1000.0, heading="Alice"),
    source("t2", "The spotted one, of course.", kind="turn", path="talk", at=1020.0, heading="Bob"),
    source("t3", "I repaired my bicycle.", kind="turn", path="talk", at=90_000.0, heading="Bob"),
    source("t4", "I repaired my bicycle.", kind="turn", path="other", at=1010.0, heading="Alice"),
    source("hidden", "The spotted dog is a secret.", kind="turn", path="talk", at=1030.0, project="work"),
]


@pytest.fixture
async def reader(tmp_path):
    writer = PassagesWriter(tmp_path, "documents", MODEL)
    await writer.open()
    await writer.replace(SOURCES)
    writer.close()
    reader = PassagesReader(tmp_path, "documents", MODEL)
    await reader.refresh()
    return reader


async def find(reader: PassagesReader, query: str, *, meaning: bool = True, **ask):
    async def embed(text: str):
        return Vectors(model=MODEL, rows=1, dimensions=64, data=vector(text)) if meaning else None

    wanted = Recall(query=query, **ask)
    passages, complete = await recall((reader,), wanted, Scope(), embed, lambda rows: rows)
    assert complete == meaning
    return [passage.id for passage in passages]


async def test_a_follow_up_question_is_searched_with_its_context(reader):
    """Alone it finds nothing; after the question that it continues, what that is about."""
    assert await find(reader, "and how?") == []
    found = await find(reader, "and how?", context=("Where do I charge the blue boat?",))
    assert found[0] == "manual-0"
    assert (await find(reader, "Which oven does bread want?", context=("Where is the boat?",)))[
        0
    ] == "bread-0"


async def test_neighbours_of_a_hit_fill_the_places_that_are_left(reader):
    """Passages of the same file, adjacent turns of the same conversation; never more than the limit."""
    query = "Where to charge the blue boat at the pier?"
    assert await find(reader, query) == ["manual-0"]
    assert await find(reader, query, neighbours=1) == ["manual-0", "manual-1"]
    assert await find(reader, query, neighbours=2) == ["manual-0", "manual-1", "manual-2"]
    assert await find(reader, query, neighbours=2, limit=2) == ["manual-0", "manual-1"]
    assert await find(reader, "Which dog shall we adopt?", neighbours=1) == ["t1-0", "t2-0"]


async def test_a_speaker_whom_the_question_names_comes_first(reader):
    """Both said the same."""
    assert (await find(reader, "Did Bob say that he repaired a bicycle?"))[0] == "t3-0"
    assert (await find(reader, "Did Alice say that she repaired a bicycle?"))[0] == "t4-0"


async def test_turns_around_a_moment_are_those_of_the_scope(reader):
    """Neither another project's nor what was said much later."""
    around = await reader.said_around([1000.0], 60, Scope())
    assert sorted(row["id"] for row in around) == ["t1-0", "t2-0", "t4-0"]
    assert await reader.said_around([1000.0], 60, Scope(kinds=("document",))) == []
    assert await reader.said_around([], 60, Scope()) == []


async def test_words_alone_find_when_there_are_no_vectors(reader):
    """And a question about something else still gets nothing."""
    assert (await find(reader, "flour for bread", meaning=False))[0] == "bread-0"
    assert await find(reader, "football results", meaning=False) == []
    assert await find(reader, "football results") == []
