"""The table of passages on a real LanceDB: what is acknowledged stays, once, whatever happens."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from schemas.documents import Recall
from schemas.embeddings import Vectors
from schemas.errors import KaraisError
from stores import lance_files
from stores.chunking import Piece
from stores.files import file_identity
from stores.passages import Book, Moved, PassagesReader, PassagesWriter, SourcePassages, state, text_hash
from stores.passages.rows import READ, unpacked
from stores.recall import recall
from stores.scope import Scope

MODEL = "test-model"
SET = "documents"
HOME = Scope()
ROOT = Path(__file__).resolve().parents[2]


def vector(text: str) -> bytes:
    """Return a vector that is the same for the same text and far from any other's."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    values = np.random.default_rng(seed).normal(size=384)
    return (values / np.linalg.norm(values)).astype("<f4").tobytes()


def file(path: str, *texts: str, project: str = "home") -> SourcePassages:
    return SourcePassages(
        source=file_identity(path),
        path=path,
        content_hash=hashlib.sha256("".join(texts).encode()).hexdigest(),
        pieces=tuple(
            Piece(text=text, first_line=n, last_line=n, heading="H") for n, text in enumerate(texts, 1)
        ),
        vectors=b"".join(vector(text) for text in texts),
        project=project,
    )


async def find(folder: Path, query: str, *, meaning: bool = True, project: str = "home", limit: int = 5):
    reader = PassagesReader(folder, SET, MODEL)
    await reader.refresh()

    async def embed(text: str):
        return Vectors(model=MODEL, rows=1, dimensions=384, data=vector(text)) if meaning else None

    ask = Recall(query=query, limit=limit)
    passages, _ = await recall((reader,), ask, Scope(project=project), embed, lambda rows: rows)
    return passages


def files(folder: Path) -> Path:
    """Return the folder of the table that readers use."""
    book = Book(folder, SET)
    assert book.current
    return book.files(book.current)


async def contents(folder: Path) -> list[tuple[str, int, str]]:
    """Return (path, number, text) of every row."""
    import lancedb

    table = await (await lancedb.connect_async(folder)).open_table(files(folder).stem)
    rows = unpacked(await table.query().select(list(READ)).to_arrow())
    return sorted((row["path"], row["number"], row["text"]) for row in rows)


@pytest.fixture
async def writer(tmp_path):
    writer = PassagesWriter(tmp_path / "lance", SET, MODEL)
    assert not await writer.open()
    yield writer
    writer.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lance"


async def test_a_storage_without_a_table_is_empty(folder):
    """Nothing is found and nothing fails; the table appears by refresh."""
    reader = PassagesReader(folder, SET, MODEL)
    await reader.refresh()
    assert await reader.nearest(vector("x"), HOME, 5) == []
    assert await reader.matching("x", HOME, 5) == []
    writer = PassagesWriter(folder, SET, MODEL)
    await writer.open()
    written = await writer.replace([file("a.md", "bees live in hives")])
    await reader.refresh(written.version)
    assert len(await reader.matching("bees", HOME, 5)) == 1
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
    await writer.remove([other.source])
    assert await contents(folder) == []


async def test_projects_do_not_see_each_other(writer, folder):
    """Neither by words nor by meaning."""
    await writer.replace([file("a.md", "secret plan", project="work")])
    assert await find(folder, "secret plan") == ()
    assert len(await find(folder, "secret plan", project="work")) == 1


async def test_a_reader_keeps_reading_while_the_table_is_tidied(writer, folder):
    """Many commits, fragments merged, versions dropped: its handle stays good."""
    await writer.replace([file("a.md", "alpha")])
    reader = PassagesReader(folder, SET, MODEL)
    await reader.refresh()
    for n in range(40):
        await writer.replace([file(f"f{n}.md", f"beta {n}")])
        assert len(await reader.matching("alpha", HOME, 5)) == 1
    written = await writer.tidy()
    assert len(await reader.matching("alpha", HOME, 5)) == 1
    await reader.refresh(written.version)
    assert len(await reader.matching("beta", HOME, 100)) == 40
    assert written.rows == 41


async def test_after_a_change_of_the_model_readers_keep_the_old_table_until_the_new_one_is_complete(
    writer, folder
):
    """By words only, as no vector of the new model fits; what is removed or renamed is so in both."""
    await writer.replace([file("a.md", "bees in hives"), file("b.md", "ants"), file("c.md", "wasps")])
    old = files(folder)
    writer.close()
    other = PassagesWriter(folder, SET, "other/model")
    assert not await other.open()
    assert other.filling
    assert await other.contents() == {}
    await other.replace([file("a.md", "bees in hives")])
    await other.remove([file_identity("b.md")])
    await other.move([Moved(source=file_identity("c.md"), to=file_identity("d.md"), path="d.md")])
    reader = PassagesReader(folder, SET, "other/model")
    await reader.refresh()
    assert reader.model == MODEL
    assert {row["path"] for row in await reader.matching("bees ants wasps", HOME, 9)} == {"a.md", "d.md"}
    other.close()
    again = PassagesWriter(folder, SET, "other/model")
    await again.open()
    assert await again.contents() == {file_identity("a.md"): (1, file("a.md", "bees in hives").content_hash)}
    written = await again.switch()
    assert written.state == state(folder, SET, "other/model")
    assert not again.filling
    assert not old.exists()
    await reader.refresh(written.version)
    assert reader.model == "other/model"
    assert [row["path"] for row in await reader.matching("bees ants wasps", HOME, 9)] == ["a.md"]
    assert len(await reader.nearest(vector("bees in hives"), HOME, 9)) == 1
    again.close()


async def test_going_back_to_the_model_before_needs_nothing(writer, folder):
    """The table that was being filled goes, the complete one stays."""
    await writer.replace([file("a.md", "bees in hives")])
    writer.close()
    other = PassagesWriter(folder, SET, "other")
    await other.open()
    await other.replace([file("a.md", "bees in hives")])
    other.close()
    back = PassagesWriter(folder, SET, MODEL)
    await back.open()
    assert not back.filling
    assert len(await back.contents()) == 1
    assert [path.name for path in folder.glob("*.lance")] == [files(folder).name]
    back.close()


async def test_a_table_of_another_format_is_made_anew(folder):
    """Its rows lack what is read today: the owner sees that the passages are missing."""
    import lancedb
    import pyarrow as pa

    database = await lancedb.connect_async(folder)
    await database.create_table("passages-test-model", pa.table({"id": ["x-0"], "file": ["x"]}))
    writer = PassagesWriter(folder, SET, MODEL)
    await writer.open()
    assert not list(folder.glob("passages-*"))
    await writer.replace([file("a.md", "one")])
    writer.close()
    table = await database.open_table(files(folder).stem)
    await table.replace_schema_metadata({"karais.model": MODEL, "karais.format": "0"}) if hasattr(
        table, "replace_schema_metadata"
    ) else await database.create_table(files(folder).stem, pa.table({"id": ["x-0"]}), mode="overwrite")
    await writer.open()
    assert await writer.contents() == {}
    await writer.replace([file("a.md", "one")])
    assert len(await contents(folder)) == 1
    writer.close()


async def test_a_moved_source_keeps_its_vectors_and_is_found_by_its_new_name(writer, folder):
    """Ids, path and searched words change; a repetition moves nothing; what was at the new name goes."""
    await writer.replace([file("bees.md", "They live in hives.", "They make honey."), file("x.md", "old")])
    move = Moved(source=file_identity("bees.md"), to=file_identity("x.md"), path="x/wasps.md", at=5.0)
    assert (await writer.move([move])).touched == 2
    assert (await writer.move([move])).touched == 0
    assert await contents(folder) == [
        ("x/wasps.md", 0, "They live in hives."),
        ("x/wasps.md", 1, "They make honey."),
    ]
    reader = PassagesReader(folder, SET, MODEL)
    await reader.refresh()
    assert len(await reader.matching("wasps", HOME, 9)) == 2
    assert await reader.matching("bees", HOME, 9) == []
    nearest = (await reader.nearest(vector("They make honey."), HOME, 1))[0]
    assert nearest["_distance"] < 1e-6
    assert (nearest["id"], nearest["at"]) == (f"{file_identity('x.md')}-1", 5.0)


async def test_vectors_of_texts_that_were_embedded_are_found_again(writer):
    """By the hash of what was embedded, of whatever source; unknown ones are left out."""
    await writer.replace([file("a.md", "one", "two")])
    known, unknown = text_hash("H: two"), text_hash("H: three")
    assert await writer.vectors_of([known, unknown]) == {known: vector("two")}


async def test_what_is_forgotten_is_in_no_file(writer, folder):
    """A new table holds the rest, with its indexes; the old folder and what was set aside are gone."""
    secret = [file(f"s{n}.md", f"xylophon{n}zz is secret") for n in range(3)]
    await writer.replace([file("a.md", "bees in hives"), *secret])
    reader = PassagesReader(folder, SET, MODEL)
    await reader.refresh()
    assert any(b"xylophon1zz" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    await writer.remove([secret[0].source])
    await writer.replace([file("s1.md", "harmless")])
    (files(folder) / "_damaged").mkdir()
    (files(folder) / "_damaged" / "1.manifest").write_bytes(b"xylophon2zz")
    old = files(folder)
    written = await writer.forget([secret[2].source])
    assert written.touched == 1
    assert not old.exists()
    assert await contents(folder) == [("a.md", 0, "bees in hives"), ("s1.md", 0, "harmless")]
    assert not any(b"xylophon" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    await reader.refresh(written.version)
    assert len(await reader.matching("hives", HOME, 5)) == 1
    await writer.replace([file("b.md", "later")])
    assert len(await contents(folder)) == 3
    assert written.state != state(folder, SET, MODEL)


async def test_there_is_one_writer(writer, folder):
    """A second one is told so."""
    with pytest.raises(KaraisError, match="Another process writes"):
        await PassagesWriter(folder, SET, MODEL).open()


@pytest.mark.parametrize("damage", ["zero bytes", "cut"])
async def test_a_damaged_newest_version_is_set_aside(writer, folder, damage):
    """The table opens at the version before, and goes on from there."""
    await writer.replace([file("a.md", "one")])
    await writer.replace([file("b.md", "two")])
    writer.close()
    newest = min((files(folder) / "_versions").glob("*.manifest"))
    newest.write_bytes(b"" if damage == "zero bytes" else newest.read_bytes()[:-7])
    assert lance_files.newest_is_damaged(files(folder))
    again = PassagesWriter(folder, SET, MODEL)
    assert await again.open()
    assert await again.contents() == {file_identity("a.md"): (1, file("a.md", "one").content_hash)}
    await again.replace([file("b.md", "two")])
    assert [path for path, _, _ in await contents(folder)] == ["a.md", "b.md"]
    assert list((files(folder) / "_damaged").iterdir())
    again.close()


async def test_a_version_whose_data_was_lost_is_set_aside(writer, folder):
    """A data file that a power cut left empty shows when the table is opened, not when it is searched."""
    await writer.replace([file("a.md", "one")])
    before = set((files(folder) / "data").iterdir())
    await writer.replace([file("b.md", "two")])
    writer.close()
    for path in set((files(folder) / "data").iterdir()) - before:
        path.write_bytes(b"")
    again = PassagesWriter(folder, SET, MODEL)
    assert await again.open()
    assert [path for path, _, _ in await contents(folder)] == ["a.md"]
    again.close()


async def test_a_table_without_any_good_version_is_moved_aside(writer, folder):
    """Everything is indexed again rather than nothing ever."""
    await writer.replace([file("a.md", "one")])
    writer.close()
    for manifest in (files(folder) / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"")
    again = PassagesWriter(folder, SET, MODEL)
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
    table = files(tmp_path / "lance")
    missing = {str(path) for path in [table, *table.rglob("*")]} - synced
    assert not missing
    assert str(table.parent) in synced


CHILD = """
import asyncio, json, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {root!r} + "/tests/contract"]
from test_passages import MODEL, SET, PassagesWriter, file
async def main():
    writer = PassagesWriter(Path({folder!r}), SET, MODEL)
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
    """Above EXACT_ROWS the vectors get an index; rows that are newer than it are found as well.

    It answers where the memory has no room for them, and while they are loaded.
    """
    monkeypatch.setattr("stores.passages.indexes.EXACT_ROWS", 500)
    monkeypatch.setattr("stores.passages.keeper.MEMORY_SHARE", 10**9)
    await writer.replace([file(f"f{n}.md", *[f"text {n} {k}" for k in range(100)]) for n in range(10)])
    await writer.tidy()
    await writer.replace([file("late.md", "a late one")])
    reader = PassagesReader(folder, SET, MODEL)
    await reader.refresh()
    for text in ("text 3 7", "text 9 99", "a late one"):
        nearest = await reader.nearest(vector(text), HOME, 5)
        assert nearest[0]["text"] == text
        assert nearest[0]["_distance"] < 0.01
    assert not await reader.loaded()
    assert reader._view
    assert reader._view.probes


@pytest.mark.parametrize("where", ["table", "memory", "bits"])
async def test_no_search_returns_a_row_from_outside_its_scope(writer, folder, monkeypatch, where):
    """Thousands of random searches over five projects of very different sizes, with kinds and times.

    What is returned is also what is there: as many rows as the scope has, up to
    the limit. So it is in the table, in memory, and in memory with bits that choose.
    """
    if where == "table":
        monkeypatch.setattr("stores.passages.keeper.MEMORY_SHARE", 10**9)
    if where == "bits":
        monkeypatch.setattr("stores.passages.resident.FLAT_ROWS", 100)
        monkeypatch.setattr("stores.passages.resident.CHOSEN", 12)
    random = np.random.default_rng(5)
    projects, sizes = ("home", "work", "global", "club", "tax"), (300, 60, 20, 5, 1)
    vocabulary = [f"word{n}" for n in range(40)]
    sources = []
    for project, size in zip(projects, sizes, strict=True):
        for n in range(size):
            text = " ".join(random.choice(vocabulary, 8)) + " common"
            made = file(f"{project}/{n}.md", text, project=project)
            kind = ("document", "turn", "fact")[n % 3]
            sources.append(msgspec.structs.replace(made, kind=kind, at=float(n)))
    await writer.replace(sources)
    reader = PassagesReader(folder, SET, MODEL)
    await reader.refresh()
    assert await reader.loaded() is (where != "table")

    async def search() -> None:
        scope = Scope(
            project=str(random.choice(projects)),
            with_global=bool(random.random() < 0.3),
            kinds=() if random.random() < 0.5 else (str(random.choice(["document", "turn", "fact"])),),
            after=None if random.random() < 0.7 else float(random.integers(0, 60)),
            before=None if random.random() < 0.7 else float(random.integers(1, 300)),
        )
        there = sum(
            source.project in (scope.project, *(["global"] if scope.with_global else []))
            and (not scope.kinds or source.kind in scope.kinds)
            and (scope.after is None or source.at >= scope.after)
            and (scope.before is None or source.at < scope.before)
            for source in sources
        )
        if random.random() < 0.5:
            rows = await reader.nearest(vector(str(random.integers(1000))), scope, 10)
        else:
            rows = await reader.matching(f"common {random.choice(vocabulary)}", scope, 10)
        assert all(scope.holds(row) for row in rows)
        assert {row["project"] for row in rows} <= {scope.project, "global" if scope.with_global else ""}
        assert len(rows) == min(10, there)

    for _ in range(100):
        await asyncio.gather(*(search() for _ in range(20)))
