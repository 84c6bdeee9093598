"""Files that were made to hurt, in the real parser's process: each is refused with a reason or read.

After each of them the next file is read, within the limits of time and memory.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from agents.common.parsing import Parser
from schemas.errors import KaraisError
from tests.unit.test_storage_walk import pdf

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
NAMESPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    folder.mkdir()
    (folder / "good.txt").write_text("good words")
    return folder


@pytest.fixture
async def parser(storage):
    parser = Parser(storage)
    yield parser
    await parser.close()


async def refused(parser: Parser, path: str) -> str:
    """Return why a file is refused; hold that it takes seconds at most and the next one is read."""
    begun = time.monotonic()
    with pytest.raises(KaraisError) as raised:
        await parser.parse(path)
    assert time.monotonic() - begun < 60
    assert (await parser.parse("good.txt")).pieces[0].text == "good words"
    assert str(raised.value).endswith(".")
    return str(raised.value)


async def outcome(parser: Parser, path: str) -> str:
    """Return the reason that a file is refused with, or a sentence about what was read."""
    try:
        parsed = await parser.parse(path)
    except KaraisError as error:
        return str(error)
    assert parsed.pieces or parsed.awaits
    return "Read."


def office(members: dict[str, bytes | str]) -> bytes:
    """Return an archive with these members, compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def word(document: bytes | str, **more: bytes | str) -> bytes:
    return office(
        {"[Content_Types].xml": CONTENT_TYPES, "_rels/.rels": RELATIONS, "word/document.xml": document} | more
    )


def overlapping(count: int) -> bytes:
    """Return a ZIP of which every entry is the same stored bytes, as "a better zip bomb" does."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packed.compress(b"a" * 10**6) + packed.flush()
    checksum = zlib.crc32(b"a" * 10**6)
    fields = (20, 0, 8, 0, 0, checksum, len(kernel), 10**6)
    name = b"word/document.xml"
    local = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", *fields, len(name), 0) + name + kernel
    entries = b""
    for number in range(count):
        entry = name if not number else b"word/%08d.xml" % number
        entries += (
            b"PK\x01\x02"
            + struct.pack("<HHHHHHIIIHHHHHII", 20, *fields, len(entry), 0, 0, 0, 0, 0, 0)
            + entry
        )
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), len(local), 0)
    return local + entries + b"PK\x05\x06" + end


async def test_zip_bombs_are_refused_unread(storage, parser):
    """A huge ratio, a huge sum, ten thousand members, entries that overlap, a bomb in a bomb."""
    zeros = bytes(10**6) * 400
    inner = office({"a.bin": zeros})
    bombs = {
        "ratio.docx": (word(zeros[: 50 * 10**6]), "zip bomb"),
        "sum.xlsx": (office({"xl/workbook.xml": zeros}), "Unpacked it would have"),
        "members.pptx": (office({f"ppt/{n}.xml": "x" for n in range(10_000)}), "members"),
        "overlap.docx": (overlapping(4000), "Unpacked it would have"),
        "overlap-small.docx": (overlapping(100), "overlap"),
        "nested.docx": (office({"word/document.zip": inner, "more.zip": inner}), "archives are not opened"),
        "gzip.docx": (gzip.compress(zeros[: 50 * 10**6]), "gzip"),
    }
    for name, (content, reason) in bombs.items():
        assert len(content) < 5 * 10**6
        (storage / name).write_bytes(content)
        assert reason in await refused(parser, name), name


async def test_a_member_that_is_larger_than_it_says_is_not_unpacked(storage, parser):
    """The directory's size is a lie: what is read ends there."""
    content = bytearray(word(bytes(30 * 10**6)))
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"word/document.xml"))
    content[at + 24 : at + 28] = struct.pack("<I", 1000)
    (storage / "liar.docx").write_bytes(content)
    assert "damaged" in await refused(parser, "liar.docx")


BILLION = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a0 "lol">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + f"]><w:document {NAMESPACE}><w:body><w:p><w:r><w:t>&a9;</w:t></w:r></w:p></w:body></w:document>"
)


def external(target: str) -> str:
    return (
        f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "{target}">]>'
        f"<w:document {NAMESPACE}><w:body><w:p><w:r><w:t>&x;</w:t></w:r></w:p></w:body></w:document>"
    )


async def test_xml_with_a_document_type_is_refused(storage, parser):
    """Entities that explode or name a file or an address, in any part and in other encodings."""
    quadratic = f'<!DOCTYPE d [<!ENTITY a "{"A" * 50_000}">]><d>{"&a;" * 50_000}</d>'
    plain = f"<w:document {NAMESPACE}><w:body/></w:document>"
    documents = {
        "billion.docx": word(BILLION),
        "quadratic.docx": word(quadratic),
        "file.docx": word(external("file:///etc/passwd")),
        "http.docx": word(external("http://127.0.0.1:1/x")),
        "relative.docx": word(external("../../good.txt")),
        "utf16.docx": word(BILLION.replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16")),
        "styles.docx": word(plain, **{"word/styles.xml": BILLION}),
        "relations.docx": word(plain, **{"word/_rels/document.xml.rels": external("file:///etc/passwd")}),
        "sheet.xlsx": office({"xl/workbook.xml": BILLION}),
        "strings.xlsx": office({"xl/workbook.xml": "<w/>", "xl/sharedStrings.xml": BILLION}),
        "slides.pptx": office({"ppt/presentation.xml": external("file:///etc/passwd")}),
    }
    for name, content in documents.items():
        (storage / name).write_bytes(content)
        assert "document type" in await refused(parser, name), name


async def test_entities_in_html_stay_text(storage, parser):
    """HTML has no entities of its own making: nothing is opened and nothing explodes."""
    (storage / "x.html").write_text(
        '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        "<html><body><p>start &x; end</p></body></html>"
    )
    pieces = (await parser.parse("x.html")).pieces
    assert "start" in pieces[0].text
    assert not any("root:" in piece.text for piece in pieces)


async def test_a_pdf_of_ten_thousand_pages_is_read_within_its_time(storage, parser):
    """As far as passages and time go; what is left out is said."""
    (storage / "long.pdf").write_bytes(pdf(*(f"page number {n}" for n in range(1, 10_001))))
    parsed = await parser.parse("long.pdf")
    assert [piece.page for piece in parsed.pieces[:3]] == [1, 2, 3]
    assert parsed.pieces[99].text == "page number 100"
    assert "Only its first" in parsed.remark


async def test_encrypted_documents_are_named(storage, parser):
    """A PDF under a password; an office file, which is then no archive; an encrypted archive."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("secret"))))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(storage / "locked.pdf")
    assert "encrypted" in await refused(parser, "locked.pdf")
    (storage / "locked.docx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(4096))
    assert "encrypted" in await refused(parser, "locked.docx")
    content = bytearray(word("<x/>"))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + offset] |= 1
    (storage / "locked.xlsx").write_bytes(content)
    assert "encrypted" in await refused(parser, "locked.xlsx")


@pytest.mark.parametrize("name", ["line.txt", "line.md", "line.csv", "line.py", "line.html", "line.eml"])
async def test_one_line_of_a_hundred_megabytes_is_refused_and_one_of_ten_is_read(storage, parser, name):
    """By its size alone; below the limit it is cut into passages."""
    with (storage / name).open("wb") as file:
        for _ in range(100):
            file.write(b"word, " * 170_000)
    assert "files of more than" in await refused(parser, name)
    with (storage / name).open("wb") as file:
        file.truncate(0)
        file.write(b"word, " * (1_700_000 if name == "line.txt" else 100_000))
    parsed = await parser.parse(name)
    assert len(parsed.pieces) > 10


async def test_wrong_names_change_nothing(storage, parser):
    """What a file is decides its content."""
    (storage / "image.md").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (storage / "document.txt").write_bytes(pdf("page of a book"))
    (storage / "program.docx").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(500))
    (storage / "text.pdf").write_text("no PDF, only words")
    (storage / "text.xlsx").write_text("a,b\n1,2\n")
    assert (await parser.parse("image.md")).awaits == "image"
    assert (await parser.parse("document.txt")).pieces[0].page == 1
    assert "a program" in await refused(parser, "program.docx")
    assert (await parser.parse("text.pdf")).pieces[0].text == "no PDF, only words"
    assert (await parser.parse("text.xlsx")).pieces


async def test_files_cut_anywhere_are_refused_or_read(storage, parser):
    """At forty places each; no cut breaks the parser, and every refusal is a sentence."""
    from tests.unit.test_formats import docx, mail

    whole = {"a.docx": docx(), "a.pdf": pdf("one", "two"), "a.eml": mail(x_docx=docx()).as_bytes()}
    for name, content in whole.items():
        for part in range(40):
            (storage / name).write_bytes(content[: len(content) * part // 40])
            said = await outcome(parser, name)
            assert said.endswith(".")
            assert "broke" not in said


async def test_bytes_changed_anywhere_are_refused_or_read(storage, parser):
    """Two hundred documents with random damage; the same each time."""
    import random

    from tests.unit.test_formats import docx

    dice = random.Random(7)
    for number in range(200):
        content = bytearray(docx() if number % 2 else pdf("one", "two"))
        for _ in range(dice.choice((1, 5, 50))):
            content[dice.randrange(len(content))] = dice.randrange(256)
        (storage / "damaged").write_bytes(content)
        assert (await outcome(parser, "damaged")).endswith(".")
    assert (await parser.parse("good.txt")).pieces[0].text == "good words"


async def test_nests_are_refused_or_read(storage, parser):
    """HTML in HTML, mail in mail, parts in parts, tables in tables, PDF objects in objects."""
    deep = 20_000
    nests = {
        "deep.html": b"<html><body>" + b"<div>" * deep + b"text",
        "deep.eml": b"Content-Type: message/rfc822\n\n" * deep + b"Subject: x\n\ntext",
        "deep.md": b"> " * deep + b"text",
        "deep.csv": b'"' * deep + b",\n" * 100,
        "deep.pdf": pdf("x").replace(b"/MediaBox [0 0 300 300]", b"/X " + b"[" * deep + b"]" * deep),
        "deep.docx": word(
            f"<w:document {NAMESPACE}><w:body>"
            + "<w:tbl><w:tr><w:tc>" * 5000
            + "</w:tc></w:tr></w:tbl>" * 5000
            + "</w:body></w:document>"
        ),
    }
    for name, content in nests.items():
        (storage / name).write_bytes(content)
        assert (await outcome(parser, name)).endswith(".")
        assert (await parser.parse("good.txt")).pieces[0].text == "good words"


async def test_a_sheet_that_claims_a_million_rows_is_read_in_time(storage, parser):
    """A cell in the last row and the last column; what it says of its size is not believed."""
    from openpyxl import Workbook

    book = Workbook()
    book.active["A1"] = "first words"
    book.active["XFD1048576"] = "last words"
    book.save(storage / "wide.xlsx")
    pieces = (await parser.parse("wide.xlsx")).pieces
    assert pieces[-1].last_line == 1_048_576
    assert pieces[-1].text.endswith("last words")


async def test_what_is_no_file_or_vanishes_is_named(storage, parser):
    """Pipes, sockets, devices, folders, nothing: never waited for, never read."""
    import socket

    os.mkfifo(storage / "pipe.txt")
    (storage / "folder.txt").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(storage)
        server.bind("socket.txt")
        if os.geteuid() == 0:
            os.mknod(storage / "zero.txt", 0o666 | 0o020000, os.makedev(1, 5))
            assert await refused(parser, "zero.txt")
        for name in ("pipe.txt", "socket.txt", "folder.txt"):
            assert "no regular file" in await refused(parser, name)
    assert "not there any more" in await refused(parser, "gone.txt")
