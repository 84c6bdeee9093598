"""More than forty tricks to have something outside the storage read: none succeeds.

Each trick is tried on the walk and on the parser, as a job from anybody would
use it; a secret lies beside the storage and must show up nowhere.
"""

from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path

import pytest

from agents.common.parsing import DigestFile, ParseFile, digest, parse
from agents.librarian.walk import Walk
from schemas.errors import KaraisError

SECRET = "the secret word is xylophone"
REASONS = ("storage", "link", "not there", "file system", "regular file", "cannot be read", "permission")


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "kept.txt").write_text("harmless words")
    (folder / "kept.txt").write_text("harmless words")
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "storage-other").mkdir()
    (tmp_path / "storage-other" / "secret.txt").write_text(SECRET)
    return folder


def assert_closed(storage: Path, path: str) -> None:
    """Hold that this path reads nothing, and says why in a sentence."""
    for request, do in ((ParseFile, parse), (DigestFile, digest)):
        with pytest.raises(KaraisError) as raised:
            do(request(folder=str(storage), path=path))
        assert any(reason in str(raised.value) for reason in REASONS), str(raised.value)


JOBS = [
    "../secret.txt",
    "../storage-other/secret.txt",
    "../../" + "../" * 20 + "etc/passwd",
    "a/../../secret.txt",
    "a/b/../../../secret.txt",
    "./../secret.txt",
    "a/./../../secret.txt",
    "..",
    ".",
    "",
    "/",
    "//etc/passwd",
    "/etc/passwd",
    "{outside}/secret.txt",
    "{storage}/../secret.txt",
    "{storage}/kept.txt",
    "a//../../secret.txt",
    "a/b/",
    "a",
    "kept.txt/",
    "kept.txt/..",
    "kept.txt/../../secret.txt",
    "kept.txt\x00/../../secret.txt",
    "..\x00/secret.txt",
    "../secret.txt\x00.md",
    "..\\secret.txt",
    "..\\..\\secret.txt",
    "%2e%2e/secret.txt",
    "%2e%2e%2fsecret.txt",
    "..%2fsecret.txt",
    "..%c0%afsecret.txt",
    "\uff0e\uff0e/secret.txt",
    "\u2025/secret.txt",
    "..\u2215secret.txt",
    "..\u2044secret.txt",
    ".. /secret.txt",
    "../ secret.txt",
    ".../secret.txt",
    "....//secret.txt",
    "~/secret.txt",
    "~root/.bashrc",
    "$HOME/secret.txt",
    "file:///etc/passwd",
    "http://127.0.0.1/secret.txt",
    "proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd/secret.txt",
    "/dev/stdin",
    "/dev/fd/0",
    "A/B/KEPT.TXT",
    "a/b/kept.txt.",
    "a/b/kept.txt::$DATA",
    "\udcff/../../secret.txt",
    "a/" * 3000 + "secret.txt",
    "x" * 5000,
]


@pytest.mark.parametrize("path", JOBS, ids=range(len(JOBS)))
def test_no_path_of_a_job_leads_out(storage, path):
    """Whatever it is spelled like."""
    path = path.replace("{outside}", str(storage.parent)).replace("{storage}", str(storage))
    assert_closed(storage, path)


def relative(storage: Path) -> None:
    (storage / "x").symlink_to("../secret.txt")


def absolute(storage: Path) -> None:
    (storage / "x").symlink_to(storage.parent / "secret.txt")


def folder_relative(storage: Path) -> None:
    (storage / "x").symlink_to("../storage-other")


def folder_absolute(storage: Path) -> None:
    (storage / "x").symlink_to(storage.parent)


def to_the_root(storage: Path) -> None:
    (storage / "x").symlink_to("/")


def chain(storage: Path) -> None:
    (storage / "x").symlink_to("a/one")
    (storage / "a" / "one").symlink_to("b/two")
    (storage / "a" / "b" / "two").symlink_to("../../../secret.txt")


def chain_of_folders(storage: Path) -> None:
    (storage / "x").symlink_to("a/one")
    (storage / "a" / "one").symlink_to("../../storage-other")


def loop(storage: Path) -> None:
    (storage / "x").symlink_to("x")


def loop_of_two(storage: Path) -> None:
    (storage / "x").symlink_to("a/y")
    (storage / "a" / "y").symlink_to("../x")


def to_itself_from_inside(storage: Path) -> None:
    (storage / "a" / "x").symlink_to("../a")
    (storage / "x").symlink_to("a/x/x/x/x/b/../../../secret.txt")


def through_a_folder_inside(storage: Path) -> None:
    (storage / "x").symlink_to("a/../../secret.txt")


def by_proc_root(storage: Path) -> None:
    (storage / "x").symlink_to(f"/proc/self/root{storage.parent}/secret.txt")


def by_proc_cwd(storage: Path) -> None:
    (storage / "x").symlink_to("/proc/self/cwd/pyproject.toml")


def by_proc_fd(storage: Path) -> None:
    (storage / "x").symlink_to("/proc/self/fd/0")


def by_dev(storage: Path) -> None:
    (storage / "x").symlink_to("/dev/stdin")


def by_environ(storage: Path) -> None:
    (storage / "x").symlink_to("/proc/self/environ")


def named_like_a_document(storage: Path) -> None:
    (storage / "x.md").symlink_to("../secret.txt")


def with_a_name_that_looks_inside(storage: Path) -> None:
    (storage / "x").symlink_to(f"{storage}/../secret.txt")


def to_a_neighbour_whose_name_begins_alike(storage: Path) -> None:
    (storage / "x").symlink_to(f"{storage}-other/secret.txt")


def as_the_ignore_file(storage: Path) -> None:
    (storage / ".karaisignore").symlink_to("../secret.txt")
    (storage / "x").symlink_to("../secret.txt")


LINKS = [
    relative,
    absolute,
    folder_relative,
    folder_absolute,
    to_the_root,
    chain,
    chain_of_folders,
    loop,
    loop_of_two,
    to_itself_from_inside,
    through_a_folder_inside,
    by_proc_root,
    by_proc_cwd,
    by_proc_fd,
    by_dev,
    by_environ,
    named_like_a_document,
    with_a_name_that_looks_inside,
    to_a_neighbour_whose_name_begins_alike,
    as_the_ignore_file,
]


@pytest.mark.parametrize("make", LINKS, ids=lambda make: make.__name__)
def test_no_link_leads_out(storage, make):
    """The walk names it with a reason and lists nothing behind it; no job reads through it."""
    make(storage)
    found = {item.path: item.reason for item in Walk(storage)}
    links = [path for path in found if path.split("/")[-1].startswith("x")]
    assert links
    for path in links:
        assert "link" in found[path]
        assert_closed(storage, path)
        for behind in ("secret.txt", "etc/passwd", "storage-other/secret.txt", "b/kept.txt"):
            assert_closed(storage, f"{path}/{behind}")
    assert not any("secret" in path or "passwd" in path for path in found)
    assert found["kept.txt"] == ""
    # A look at what changed is no other door.
    for below in ("x", "x/secret.txt", "x/etc", "../secret.txt", "a/../../secret.txt", "..", "."):
        assert not any("secret" in item.path or "etc" in item.path for item in Walk(storage, below=(below,)))


def test_a_folder_that_becomes_a_link_between_looking_and_reading(storage):
    """Exchanged as fast as possible while it is read thousands of times: the secret never comes."""
    (storage / "a" / "secret.txt").write_text("harmless words")
    outside = storage.parent / "storage-other"
    stop = threading.Event()

    def exchange() -> None:
        (storage / "link").symlink_to(outside)
        while not stop.is_set():
            os.rename(storage / "a", storage / "aside")
            os.rename(storage / "link", storage / "a")
            os.rename(storage / "a", storage / "link")
            os.rename(storage / "aside", storage / "a")

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        read = 0
        for _ in range(3000):
            try:
                (piece,) = parse(ParseFile(folder=str(storage), path="a/secret.txt")).pieces
            except KaraisError:
                continue
            assert piece.text == "harmless words"
            read += 1
        for _ in range(300):
            assert all("storage-other" not in item.path for item in Walk(storage, below=("a",)))
        assert read
    finally:
        stop.set()
        thread.join()


def test_a_file_that_becomes_a_link_between_looking_and_reading(storage):
    """The same with the file itself."""
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            (storage / "new").symlink_to("../secret.txt")
            os.replace(storage / "new", storage / "kept.txt")
            (storage / "new").write_text("harmless words")
            os.replace(storage / "new", storage / "kept.txt")

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(3000):
            try:
                pieces = parse(ParseFile(folder=str(storage), path="kept.txt")).pieces
            except KaraisError:
                continue
            assert all(SECRET not in piece.text for piece in pieces)
    finally:
        stop.set()
        thread.join()


def test_a_hard_link_is_a_file_of_the_storage(storage):
    """It cannot be told from any file; whoever may make one may read the file."""
    os.link(storage / "a" / "b" / "kept.txt", storage / "hard.txt")
    assert parse(ParseFile(folder=str(storage), path="hard.txt")).pieces[0].text == "harmless words"


@pytest.mark.parametrize(
    "name", ["../../secret.txt", "/etc/passwd", "..\\..\\secret.txt", "word/../../../secret.txt"]
)
def test_names_inside_an_archive_are_only_names(storage, name):
    """A document whose archive has members that climb out writes and reads nothing outside."""
    from docx import Document

    document = Document()
    document.add_paragraph("harmless words")
    file = io.BytesIO()
    document.save(file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, "written outside")
    (storage / "a.docx").write_bytes(file.getvalue())
    before = sorted(path for path in storage.parent.rglob("*"))
    assert parse(ParseFile(folder=str(storage), path="a.docx")).pieces[0].text == "harmless words"
    assert sorted(path for path in storage.parent.rglob("*")) == before
    assert (storage.parent / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize("target", ["../../../secret.txt", "file:///etc/passwd", "/etc/passwd"])
def test_relations_of_a_document_lead_nowhere(storage, target):
    """A picture or template that a document names by a path or an address is not opened."""
    from docx import Document
    from docx.opc.constants import RELATIONSHIP_TYPE

    document = Document()
    document.add_paragraph("harmless words")
    for kind in (RELATIONSHIP_TYPE.IMAGE, RELATIONSHIP_TYPE.HYPERLINK):
        document.part.relate_to(target, kind, is_external=True)
    document.save(str(storage / "a.docx"))
    pieces = parse(ParseFile(folder=str(storage), path="a.docx")).pieces
    assert [piece.text for piece in pieces] == ["harmless words"]


@pytest.mark.parametrize(
    "name", ["../../secret.txt", "/etc/passwd", "C:\\secret.txt", "\u2026/secret.txt\n.md"]
)
def test_an_attachment_is_not_written_where_its_name_says(storage, name):
    """It is read in memory, and shown without folders."""
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"] = "Hello"
    message.set_content("harmless words")
    message.add_attachment(b"attached words", maintype="text", subtype="plain", filename=name)
    (storage / "a.eml").write_bytes(message.as_bytes())
    before = sorted(path for path in storage.parent.rglob("*"))
    pieces = parse(ParseFile(folder=str(storage), path="a.eml")).pieces
    assert any("attached words" in piece.text for piece in pieces)
    assert not any("/" in piece.heading or "\\" in piece.heading for piece in pieces)
    assert sorted(path for path in storage.parent.rglob("*")) == before


def test_an_ignore_file_that_is_a_link_is_not_read(storage):
    """Its patterns would tell what stands in another file."""
    (storage.parent / "rules").write_text("kept.txt\n")
    (storage / ".karaisignore").symlink_to("../rules")
    assert "kept.txt" in {item.path for item in Walk(storage)}
