"""The table of passages on a real LanceDB: what is acknowledged stays, once, whatever happens."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from schemas.embeddings import Vectors
from schemas.errors import KaraisError
from stores import lance_files
from stores.chunking import Piece
from stores.documents import DocumentsReader, DocumentsWriter, FilePassages, table_folder, table_name
from stores.files import file_identity
from stores.recall import recall

MODEL = "test-model"
ROOT = Path(__file__).resolve().parents[2]


def vector(text: str) -> bytes:
    """Return a vector that is the same for the same text and far from any other's."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    values = np.random.default_rng(seed).normal(size=384)
    return (values / np.linalg.norm(values)).astype("<f4").tobytes()


def file(path: str, *texts: str, project: str = "home") -> FilePassages:
    return FilePassages(
        file=file_identity(path),
        path=path,
        content_hash=hashlib.sha256("".join(texts).encode()).hexdigest(),
        model=MODEL,
        pieces=tuple(
            Piece(text=text, first_line=n, last_line=n, heading="H") for n, text in enumerate(texts, 1)
        ),
        vectors=b"".join(vector(text) for text in texts),
        project=project,
    )


async def find(folder: Path, query: str, *, meaning: bool = True, project: str = "home", limit: int = 5):
    reader = DocumentsReader(folder, MODEL)
    await reader.refresh()

    async def embed():
        return Vectors(model=MODEL, rows=1, dimensions=384, data=vector(query)) if meaning else None

    passages, _ = await recall(reader, query, embed(), project, limit)
    return passages


async def contents(folder: Path) -> list[tuple[str, int, str]]:
    """Return (path, number, text) of every row."""
    import lancedb

    table = await (await lancedb.connect_async(folder)).open_table(table_name(MODEL))
    rows = (await table.query().select(["path", "number", "text"]).to_arrow()).to_pylist()
    return sorted((row["path"], row["number"], row["text"]) for row in rows)


@pytest.fixture
async def writer(tmp_path):
    writer = DocumentsWriter(tmp_path / "lance", MODEL)
    assert not await writer.open()
    yield writer
    writer.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lance"


async def test_a_storage_without_a_table_is_empty(folder):
    """Nothing is found and nothing fails; the table appears by refresh."""
    reader = DocumentsReader(folder, MODEL)
    await reader.refresh()
    assert await reader.nearest(vector("x"), "home", 5) == []
    assert await reader.matching("x", "home", 5) == []
    writer = DocumentsWriter(folder, MODEL)
    await writer.open()
    written = await writer.replace([file("a.md", "bees live in hives")])
    await reader.refresh(written.version)
    assert len(await reader.matching("bees", "home", 5)) == 1
    writer.close()


async def test_passages_are_found_by_words_and_by_meaning_as_they_stand_in_the_file(writer, folder):
    """Also by the file's name, by half of an identifier, and in Chinese."""
    await writer.replace(
        [
            file("bees.md", "They live in hives.", "They make honey."),
            file("config.md", "Set ACK_WAIT_SECONDS to thirty."),
            file("\u4e2d\u6587.md", "\u6d88\u606f\u961f\u5217\u7684\u6301\u4e45\u6d88\u8d39\u8005"),
        ]
    )
    (passage,) = await find(folder, "They make honey.", limit=1)
    assert (passage.path, passage.text, passage.first_line, passage.heading) == (
        "bees.md",
        "They make honey.",
        2,
        "H",
    )
    assert passage.id == f"{file_identity('bees.md')}-1"
    for query, path in (
        ("bees honey", "bees.md"),
        ("ack wait", "config.md"),
        ("\u6d88\u606f\u961f\u5217", "\u4e2d\u6587.md"),
    ):
        found = await find(folder, query, meaning=False)
        assert [p.path for p in found][:1] == [path]
    assert await find(folder, "football results", meaning=False) == ()


async def test_replacing_a_file_is_one_step_for_readers_and_can_be_repeated(writer, folder):
    """Fewer, more, the same passages: never old beside new, never one twice."""
    other = file("other.md", "stays")
    await writer.replace([other, file("a.md", "one", "two", "three")])
    for texts in (("one",), ("new one", "new two"), ("new one", "new two"), ("x",) * 5):
        before = (await writer.version()).version
        after = (await writer.replace([file("a.md", *texts)])).version
        assert after == before + 1
        expected = [("a.md", n, text) for n, text in enumerate(texts)] + [("other.md", 0, "stays")]
        assert await contents(folder) == expected
    await writer.replace([file("a.md")])
    assert await contents(folder) == [("other.md", 0, "stays")]
    await writer.remove([other.file])
    assert await contents(folder) == []


async def test_projects_do_not_see_each_other(writer, folder):
    """Neither by words nor by meaning."""
    await writer.replace([file("a.md", "secret plan", project="work")])
    assert await find(folder, "secret plan") == ()
    assert len(await find(folder, "secret plan", project="work")) == 1


async def test_a_reader_keeps_reading_while_the_table_is_tidied(writer, folder):
    """Many commits, fragments merged, versions dropped: its handle stays good."""
    await writer.replace([file("a.md", "alpha")])
    reader = DocumentsReader(folder, MODEL)
    await reader.refresh()
    for n in range(40):
        await writer.replace([file(f"f{n}.md", f"beta {n}")])
        assert len(await reader.matching("alpha", "home", 5)) == 1
    written = await writer.tidy()
    assert len(await reader.matching("alpha", "home", 5)) == 1
    await reader.refresh(written.version)
    assert len(await reader.matching("beta", "home", 100)) == 40
    assert written.rows == 41


async def test_another_embedding_model_begins_with_an_empty_table(writer, folder):
    """Vectors of two models never meet, and the old ones take no room."""
    await writer.replace([file("a.md", "bees in hives")])
    writer.close()
    other = DocumentsWriter(folder, "other/model")
    assert not await other.open()
    assert await other.contents() == {}
    assert not table_folder(folder, MODEL).exists()
    other.close()
    assert await find(folder, "bees in hives") == ()


async def test_there_is_one_writer(writer, folder):
    """A second one is told so."""
    with pytest.raises(KaraisError, match="Another process writes"):
        await DocumentsWriter(folder, MODEL).open()


@pytest.mark.parametrize("damage", ["zero bytes", "cut"])
async def test_a_damaged_newest_version_is_set_aside(writer, folder, damage):
    """The table opens at the version before, and goes on from there."""
    await writer.replace([file("a.md", "one")])
    await writer.replace([file("b.md", "two")])
    writer.close()
    newest = min((table_folder(folder, MODEL) / "_versions").glob("*.manifest"))
    newest.write_bytes(b"" if damage == "zero bytes" else newest.read_bytes()[:-7])
    assert lance_files.newest_is_damaged(table_folder(folder, MODEL))
    again = DocumentsWriter(folder, MODEL)
    assert await again.open()
    assert await again.contents() == {file_identity("a.md"): (1, file("a.md", "one").content_hash)}
    await again.replace([file("b.md", "two")])
    assert [path for path, _, _ in await contents(folder)] == ["a.md", "b.md"]
    assert list((table_folder(folder, MODEL) / "_damaged").iterdir())
    again.close()


async def test_a_version_whose_data_was_lost_is_set_aside(writer, folder):
    """A data file that a power cut left empty shows when the table is opened, not when it is searched."""
    await writer.replace([file("a.md", "one")])
    before = set((table_folder(folder, MODEL) / "data").iterdir())
    await writer.replace([file("b.md", "two")])
    writer.close()
    for path in set((table_folder(folder, MODEL) / "data").iterdir()) - before:
        path.write_bytes(b"")
    again = DocumentsWriter(folder, MODEL)
    assert await again.open()
    assert [path for path, _, _ in await contents(folder)] == ["a.md"]
    again.close()


async def test_a_table_without_any_good_version_is_moved_aside(writer, folder):
    """Everything is indexed again rather than nothing ever."""
    await writer.replace([file("a.md", "one")])
    writer.close()
    for manifest in (table_folder(folder, MODEL) / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"")
    again = DocumentsWriter(folder, MODEL)
    assert await again.open()
    await again.replace([file("a.md", "one")])
    assert len(await contents(folder)) == 1
    again.close()


async def test_everything_is_synced_before_it_is_acknowledged(writer, monkeypatch, tmp_path):
    """Each new file below the table, and the folders that name them."""
    synced: set[str] = set()
    real = os.fsync

    def fsync(descriptor):
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr("stores.lance_files.os.fsync", fsync)
    await writer.replace([file("a.md", "one")])
    await writer.replace([file("a.md", "two")])
    table = table_folder(tmp_path / "lance", MODEL)
    missing = {str(path) for path in [table, *table.rglob("*")]} - synced
    assert not missing
    assert str(table.parent) in synced


CHILD = """
import asyncio, json, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {root!r} + "/tests/contract"]
from test_documents import MODEL, DocumentsWriter, file
async def main():
    writer = DocumentsWriter(Path({folder!r}), MODEL)
    await writer.open()
    for n in range({start}, 10_000):
        # A file changes its number of passages each time it comes round, and is sent twice.
        changed = file(f"f{{n % 7}}.md", *[f"text {{n}} {{k}}" for k in range(1 + n % 5)])
        await writer.replace([changed])
        await writer.replace([changed])
        print(n, flush=True)
asyncio.run(main())
"""


async def test_kill_9_at_any_moment_loses_nothing_and_doubles_nothing(folder):
    """Every acknowledged replacement is there, each file in exactly one state, after each kill."""
    acknowledged = 0
    for round_ in range(6):
        script = CHILD.format(root=str(ROOT), folder=str(folder), start=acknowledged + 1)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdout
        for _ in range(4 + round_):
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            acknowledged = int(line)
        await asyncio.sleep(0.013 * round_)
        process.kill()
        rest = await process.stdout.read()
        await process.wait()
        for line in rest.split():
            acknowledged = int(line)
        by_file: dict[str, list[tuple[int, str]]] = {}
        for path, number, text in await contents(folder):
            by_file.setdefault(path, []).append((number, text))
        for path, rows in by_file.items():
            (n,) = {int(text.split()[1]) for _, text in rows}
            assert rows == [(k, f"text {n} {k}") for k in range(1 + n % 5)]
            assert path == f"f{n % 7}.md"
            newest = max(m for m in range(acknowledged + 1) if m % 7 == n % 7)
            assert n in (newest, acknowledged + 1)
        assert len(by_file) >= min(acknowledged, 7)
    assert json.dumps(sorted(by_file))


async def test_a_large_table_is_searched_by_an_index_and_finds_what_came_after_it(
    writer, folder, monkeypatch
):
    """Above EXACT_ROWS the vectors get an index; rows that are newer than it are found as well."""
    monkeypatch.setattr("stores.documents.EXACT_ROWS", 500)
    await writer.replace([file(f"f{n}.md", *[f"text {n} {k}" for k in range(100)]) for n in range(10)])
    await writer.tidy()
    await writer.replace([file("late.md", "a late one")])
    reader = DocumentsReader(folder, MODEL)
    await reader.refresh()
    for text in ("text 3 7", "text 9 99", "a late one"):
        nearest = await reader.nearest(vector(text), "home", 5)
        assert nearest[0]["text"] == text
        assert nearest[0]["_distance"] < 0.01
    assert not reader._exact
