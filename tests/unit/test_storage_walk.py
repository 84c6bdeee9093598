"""Walking a storage full of nasty things, and parsing them in a limited process."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import msgspec
import pytest

from agents.common.child import Child
from agents.common.parsing import MODULE, ParsedFile, ParseFile, Parser, parse
from agents.librarian.walk import Walk
from schemas.errors import KaraisError, TimedOut
from schemas.failure import Code

ROOT = os.geteuid() == 0


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    folder.mkdir()
    return folder


def found(storage: Path, **more) -> dict[str, str]:
    return {item.path: item.reason for item in Walk(storage, **more)}


def reason(storage: Path, path: str, **more) -> str:
    with pytest.raises(KaraisError) as raised:
        parse(ParseFile(folder=str(storage), path=path, **more))
    assert str(raised.value).endswith(".")
    return str(raised.value)


def test_every_file_is_found_in_names_of_any_script(storage):
    """Chinese, Arabic, emoji, spaces, newlines, quotes."""
    names = [
        "\u6d88\u606f.md",
        "\u0645\u0644\u0641.txt",
        "\U0001f41d.md",
        "a b.txt",
        "new\nline.txt",
        'it\'s "x".md',
    ]
    (storage / "deep" / "er").mkdir(parents=True)
    for name in names:
        (storage / "deep" / "er" / name).write_text("x")
    assert found(storage) == {f"deep/er/{name}": "" for name in names}


def test_a_name_that_is_no_utf8_is_listed_and_can_be_sent(storage):
    """Its bytes appear escaped."""
    with open(os.fsencode(storage) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"x")
    listed = found(storage)
    assert listed == {"caf\\xe9.txt": "Its name is not valid UTF-8."}
    msgspec.json.encode(list(listed))


def test_links_are_never_followed(storage, tmp_path):
    """Loops, links out of the storage, links inside it, links to nothing: each with its reason."""
    (tmp_path / "secret.txt").write_text("secret")
    (storage / "folder").mkdir()
    (storage / "folder" / "file.txt").write_text("x")
    (storage / "folder" / "up").symlink_to("..")
    (storage / "loop").symlink_to("loop")
    (storage / "out").symlink_to(tmp_path / "secret.txt")
    (storage / "inside").symlink_to("folder/file.txt")
    (storage / "nothing").symlink_to("nowhere")
    listed = found(storage)
    assert listed.pop("folder/file.txt") == ""
    assert "leads to itself" in listed["loop"]
    assert "out of the storage" in listed["out"]
    assert "leads nowhere" in listed["nothing"]
    assert "its own place" in listed["inside"]
    assert set(listed) == {"folder/up", "loop", "out", "inside", "nothing"}
    for path in ("out", "inside", "loop"):
        assert "link" in reason(storage, path)
    assert "link" in reason(storage, "folder/up/folder/file.txt") or "not there" in reason(
        storage, "folder/up/folder/file.txt"
    )


def test_hidden_and_generated_folders_are_left_out(storage, tmp_path):
    """And KARAIS's own data folder, if it lies in the storage."""
    for folder in (".git", "node_modules", "home", "kept"):
        (storage / folder).mkdir()
        (storage / folder / "a.txt").write_text("x")
    assert found(storage, leave_out=(storage / "home",)) == {"kept/a.txt": ""}


def test_what_is_no_file_does_not_hold_up_the_walk_or_the_parser(storage):
    """Pipes and sockets."""
    os.mkfifo(storage / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(storage)  # the path of a socket is short
        server.bind("socket")
        assert found(storage) == dict.fromkeys(("pipe", "socket"), "It is no regular file.")
        assert "no regular file" in reason(storage, "pipe")


def test_a_huge_file_is_not_read(storage):
    """Its size is known by a look at it; two gigabytes that take no room on the disk."""
    with (storage / "huge.txt").open("wb") as file:
        file.truncate(2 * 10**9)
    assert found(storage)["huge.txt"] == "It has 2,000 MB; files of more than 50 MB are not read."
    assert "2,000 MB" in reason(storage, "huge.txt")


@pytest.mark.skipif(ROOT, reason="root may read everything")
def test_without_permission_files_and_folders_are_named(storage):
    """The rest is found."""
    (storage / "closed").mkdir(mode=0)
    (storage / "file.txt").write_text("x")
    (storage / "file.txt").chmod(0)
    (storage / "open.txt").write_text("x")
    walk = Walk(storage)
    listed = {item.path: item.reason for item in walk}
    assert "cannot be read" in listed["closed"]
    assert walk.unreadable == ["closed"]
    assert listed["open.txt"] == ""
    assert "no permission" in reason(storage, "file.txt")
    (storage / "closed").chmod(0o700)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "", "a//b", "nul\x00byte"])
def test_no_path_leads_out_of_the_storage(storage, path):
    """Whatever a job's path says."""
    reason(storage, path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.txt", b"", "empty"),
        ("blank.md", b"\n \n\t\n", "empty"),
        ("junk.txt", os.urandom(100_000), "no text"),
        ("zip.docx", b"PK\x03\x04" + os.urandom(500), "archive is damaged"),
        ("broken.pdf", b"%PDF-1.7\n" + os.urandom(5000), "PDF is damaged"),
        ("cut.pdf", b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog", "PDF is damaged"),
        ("empty.html", b"<html><body><script>x</script></body></html>", "no text"),
    ],
)
def test_what_holds_no_text_is_named_for_what_it_is(storage, name, content, expected):
    """By its content, whatever its name says."""
    (storage / name).write_bytes(content)
    assert expected in reason(storage, name)


def test_a_pdf_is_read_by_pages_and_an_encrypted_one_is_named(storage):
    """A real PDF, and the same under a password."""
    from pypdf import PdfReader, PdfWriter

    (storage / "two.data").write_bytes(pdf("Bees live in hives", "Wasps do not"))
    pieces = parse(ParseFile(folder=str(storage), path="two.data")).pieces
    assert [(piece.page, piece.text) for piece in pieces] == [(1, "Bees live in hives"), (2, "Wasps do not")]
    writer = PdfWriter(clone_from=PdfReader(storage / "two.data"))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(storage / "locked.pdf")
    assert reason(storage, "locked.pdf") == "The PDF is encrypted."


def test_html_gives_its_text_under_its_headings(storage):
    """Without scripts, styles and navigation, entities resolved."""
    (storage / "page").write_text(
        "<!DOCTYPE html><html><head><title>Guide</title><style>p{}</style></head><body><nav>Menu</nav>"
        "<h1>Start</h1><p>Plug &amp; play.</p><script>alert(1)</script><h2>Then</h2>"
        "<ul><li>one<li>two</ul></body></html>"
    )
    pieces = parse(ParseFile(folder=str(storage), path="page")).pieces
    text = "\n".join(piece.text for piece in pieces)
    assert pieces[0].heading.startswith("Guide > Start")
    assert "Plug & play." in text
    assert "two" in text
    assert not any(word in text for word in ("Menu", "alert", "p{}"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_common_encodings(storage, encoding):
    """With the same text as result."""
    (storage / "a.txt").write_bytes("Gr\u00fc\u00dfe aus K\u00f6ln, sehr sch\u00f6n.".encode(encoding))
    (piece,) = parse(ParseFile(folder=str(storage), path="a.txt")).pieces
    assert piece.text == "Gr\u00fc\u00dfe aus K\u00f6ln, sehr sch\u00f6n."


def test_a_file_that_did_not_change_is_not_cut_again(storage):
    """Its hash says so."""
    (storage / "a.txt").write_text("text")
    first = parse(ParseFile(folder=str(storage), path="a.txt"))
    again = parse(ParseFile(folder=str(storage), path="a.txt", known_hash=first.content_hash))
    assert again.unchanged
    assert again.pieces == ()


def test_a_file_that_is_written_while_it_is_read_is_left_for_later(storage, monkeypatch):
    """Half of a file is never indexed."""
    (storage / "a.txt").write_text("first half")
    real, seen = os.fstat, []

    def fstat(descriptor):
        if seen:
            with (storage / "a.txt").open("a") as file:
                file.write(" second half")
        seen.append(descriptor)
        return real(descriptor)

    monkeypatch.setattr("agents.common.parsing.os.fstat", fstat)
    assert reason(storage, "a.txt") == "It was being written while it was read."


async def test_a_parser_that_eats_memory_or_time_is_ended_and_the_next_file_is_read(storage):
    """The process is limited; the caller gets a reason."""
    (storage / "deep.html").write_text("<html><body>" + "<div>" * 200_000)
    (storage / "good.txt").write_text("good")
    parser = Parser(storage, seconds=20, memory_bytes=300 * 2**20)
    try:
        for _ in range(2):
            with pytest.raises(KaraisError) as raised:
                await parser.parse("deep.html")
            assert str(raised.value).endswith(".")
            assert (await parser.parse("good.txt")).pieces[0].text == "good"
    finally:
        await parser.close()


async def test_a_hanging_child_is_killed_and_an_idle_one_ends(storage):
    """No process stays behind."""
    (storage / "good.txt").write_text("good")
    request = ParseFile(folder=str(storage), path="good.txt")
    child = Child(MODULE, idle_seconds=0.2)
    with pytest.raises(TimedOut):
        await child.call(request, ParsedFile, timeout=0.001)
    assert child.pid is None
    assert await child.call(request, ParsedFile, timeout=20)
    pid = child.pid
    assert pid
    with pytest.raises(ProcessLookupError):  # noqa: PT012  # it is still ending for a moment
        for _ in range(100):
            os.kill(pid, 0)
            await asyncio.sleep(0.1)
    assert await child.call(request, ParsedFile, timeout=20)
    await child.close()


async def test_a_refusal_of_the_child_keeps_its_code(storage):
    """It crosses the pipe as a typed failure, and the process goes on."""
    child = Child(MODULE)
    with pytest.raises(KaraisError) as raised:
        await child.call(ParseFile(folder=str(storage), path="none.txt"), ParsedFile, timeout=20)
    assert raised.value.code is Code.NOT_FOUND
    assert child.pid
    await child.close()


def pdf(*pages: str) -> bytes:
    """Return a PDF with one line of text a page."""
    count = len(pages)
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(count))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {count} >>"]
    for n, text in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents {4 + 2 * n} 0 R "
            "/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        )
        stream = f"BT /F 12 Tf 20 200 Td ({text}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    return (
        body
        + (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
            f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
        ).encode()
    )
