"""A table's rows in memory: always those of the version that is read, however it came about."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import numpy as np
import pytest

from schemas.documents import Recall
from schemas.embeddings import Vectors
from stores.chunking import Piece
from stores.passages import Moved, PassagesReader, PassagesWriter, SourcePassages
from stores.passages.resident import BYTES_A_ROW, TEXT_BYTES
from stores.recall import recall
from stores.scope import Scope

MODEL = "test-model"
DIMENSIONS = 64
RANDOM = np.random.default_rng(3)


def made(number: int, version: int = 0, pieces: int = 3, project: str = "home") -> SourcePassages:
    """Return a source whose vectors are near some others'."""
    centres = np.random.default_rng(number % 7).normal(size=(1, DIMENSIONS))
    own = np.random.default_rng([number, version]).normal(size=(pieces, DIMENSIONS))
    vectors = centres + 0.7 * own
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SourcePassages(
        source=identity(number),
        path=f"{number}.md",
        at=float(number),
        content_hash="",
        pieces=tuple(Piece(text=f"passage {number} {version} {at} ümlaut") for at in range(pieces)),
        vectors=vectors.astype("<f4").tobytes(),
        project=project,
    )


def identity(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def asked() -> bytes:
    vector = RANDOM.normal(size=DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


@pytest.fixture
async def writer(tmp_path):
    writer = PassagesWriter(tmp_path, "documents", MODEL)
    await writer.open()
    yield writer
    writer.close()


async def reading(folder: Path) -> PassagesReader:
    reader = PassagesReader(folder, "documents", MODEL)
    await reader.refresh()
    return reader


def best(rows: list[dict], query: bytes, count: int) -> list[tuple[str, str]]:
    """Return the nearest of all rows, by comparing all of them."""
    wanted = np.frombuffer(query, "<f4")
    ordered = sorted(rows, key=lambda row: -float(row["vector"] @ wanted))
    return [(row["id"], row["text"]) for row in ordered[:count]]


@pytest.mark.parametrize("flat", [True, False], ids=["all compared", "chosen by bits"])
async def test_memory_follows_every_change_of_the_table(writer, tmp_path, monkeypatch, flat):
    """Added, replaced, moved, removed, tidied, forgotten: what is found is what comparing all rows finds."""
    monkeypatch.setattr("stores.passages.keeper.AT_ONCE", 64)
    if not flat:
        for name, value in {"FLAT_ROWS": 128, "WITHOUT_BITS": 16, "CHOSEN": 150}.items():
            monkeypatch.setattr(f"stores.passages.resident.{name}", value)
    await writer.replace([made(number) for number in range(100)])
    reader = await reading(tmp_path)
    assert await reader.loaded()

    async def compare() -> None:
        await reader.refresh()
        assert await reader.loaded()
        rows = await reader.everything()
        for _ in range(10):
            query = asked()
            found = await reader.nearest(query, Scope(), 5)
            assert [(row["id"], row["text"]) for row in found] == best(rows, query, 5)
            ids = await reader.nearest_ids(query, Scope(), 5)
            assert [name for name, _ in ids] == [row["id"] for row in found]
        words = await reader.matching("passage", Scope(), 1000)
        assert {row["text"] for row in words} == {row["text"] for row in rows}

    await compare()
    for number in range(100, 110):
        await writer.replace([made(number)])
        await compare()
    await writer.replace([made(number, version=1, pieces=2) for number in range(20)])
    await compare()
    await writer.move([Moved(source=identity(30), to=identity(500), path="500.md")])
    await compare()
    assert [row["path"] for row in await reader.numbered(identity(500), [1], Scope())] == ["500.md"]
    assert await reader.numbered(identity(30), [0, 1, 2], Scope()) == []
    await writer.remove([identity(number) for number in range(40, 80)])
    await compare()
    await writer.freshen()
    await compare()
    await writer.tidy()
    await compare()
    await writer.forget([identity(1)])
    await compare()
    assert await reader.numbered(identity(1), [0, 1, 2], Scope()) == []
    held = reader._view.resident  # type: ignore[union-attr]
    assert held is not None
    assert held.dead == 0
    assert not any(b"passage 1 " in text for text in held._texts or [])


async def test_the_table_is_searched_until_its_rows_are_in_memory(writer, tmp_path, monkeypatch):
    """Many new rows keep nobody waiting; both ways find the same."""
    monkeypatch.setattr("stores.passages.keeper.AT_ONCE", 10)
    await writer.replace([made(number) for number in range(50)])
    reader = await reading(tmp_path)
    assert reader._view is not None
    assert reader._view.resident is None
    query = asked()
    before = await reader.nearest(query, Scope(), 5)
    assert await reader.loaded()
    after = await reader.nearest(query, Scope(), 5)
    assert [row["id"] for row in before] == [row["id"] for row in after]
    assert [row["text"] for row in before] == [row["text"] for row in after]


async def test_texts_of_a_large_table_are_read_from_it(writer, tmp_path, monkeypatch):
    """Where there is no room for them memory has no texts, and a recall returns them all the same."""
    without = 2 * DIMENSIONS + BYTES_A_ROW
    monkeypatch.setattr("stores.passages.keeper._room", lambda: 100 * (without + TEXT_BYTES))
    await writer.replace([made(number) for number in range(30)])
    reader = await reading(tmp_path)

    async def ask() -> None:
        async def embed(_: str) -> Vectors:
            return Vectors(model=MODEL, rows=1, dimensions=DIMENSIONS, data=asked())

        question = Recall(query="passage 7", limit=5)
        passages, _ = await recall([reader], question, Scope(), embed, list)
        assert passages
        assert all(passage.text.startswith("passage ") for passage in passages)

    await ask()
    assert reader._view is not None
    assert reader._view.resident is not None
    assert reader._view.resident.columns == ["record", "vector", "words"]
    await writer.replace([made(number) for number in range(30, 60)])
    await reader.refresh()
    assert reader._view.resident is not None
    assert reader._view.resident.columns == ["record", "vector"]
    await ask()


async def test_searches_go_on_while_the_table_changes(writer, tmp_path, monkeypatch):
    """Rows that a search finds are whole, whichever version it saw."""
    monkeypatch.setattr("stores.passages.resident.FLAT_ROWS", 100)
    await writer.replace([made(number) for number in range(60)])
    reader = await reading(tmp_path)
    done = asyncio.Event()

    async def searching() -> int:
        count = 0
        while not done.is_set():
            for row in await reader.nearest(asked(), Scope(), 20):
                assert row["text"].startswith(f"passage {row['path'].removesuffix('.md')} ")
            count += 1
        return count

    searches = [asyncio.create_task(searching()) for _ in range(2)]
    for number in range(60, 90):
        await writer.replace([made(number), made(number - 50, version=number)])
        await reader.refresh()
    done.set()
    assert min(await asyncio.gather(*searches)) > 0


async def test_a_table_made_anew_under_the_same_name_is_read_anew(tmp_path):
    """After all versions were damaged, row ids begin again: nothing of the rows before is taken for them."""
    writer = PassagesWriter(tmp_path, "documents", MODEL)
    await writer.open()
    await writer.replace([made(number) for number in range(10)])
    reader = await reading(tmp_path)
    writer.close()
    (files,) = tmp_path.glob("documents-*.lance")
    files.rename(tmp_path / "aside")
    writer = PassagesWriter(tmp_path, "documents", MODEL)
    await writer.open()
    await writer.replace([made(number) for number in range(20, 30)])
    await reader.refresh()
    query = asked()
    rows = await reader.everything()
    assert {row["path"] for row in rows} == {f"{number}.md" for number in range(20, 30)}
    found = await reader.nearest(query, Scope(), 5)
    assert [(row["id"], row["text"]) for row in found] == best(rows, query, 5)
    writer.close()


async def test_a_scope_far_from_the_question_is_searched_as_well(writer, tmp_path, monkeypatch):
    """The lists that are nearest to the question may hold no row of its scope; the scope's best are found."""
    for name, value in (("FLAT_ROWS", 100), ("CHOSEN", 12), ("PROBED", 4), ("WITHOUT_BITS", 0)):
        monkeypatch.setattr(f"stores.passages.resident.{name}", value)
    projects = ["home" if number % 7 else "far" for number in range(700)]
    await writer.replace([made(number, project=project) for number, project in enumerate(projects)])
    reader = await reading(tmp_path)
    assert await reader.loaded()
    rows = await reader.everything()
    for project in ("home", "far"):
        inside = [row for row in rows if row["project"] == project]
        for number in range(1, 7):
            query = np.random.default_rng(number).normal(size=DIMENSIONS)
            vector = (query / np.linalg.norm(query)).astype("<f4").tobytes()
            found = await reader.nearest(vector, Scope(project=project), 5)
            wanted = best(inside, vector, 5)
            assert {row["project"] for row in found} == {project}
            assert len({(row["id"], row["text"]) for row in found} & set(wanted)) >= 4
