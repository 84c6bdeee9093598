"""Files of every format that is read: their text, and where in the file it stands."""

from __future__ import annotations

import io
import itertools
from email.message import EmailMessage

import pytest

from agents.common import formats
from agents.common.formats import Awaited, media
from schemas.errors import KaraisError


def pieces(path: str, content: bytes):
    return formats.read(path, content).pieces


def docx() -> bytes:
    from docx import Document

    document = Document()
    document.add_heading("Household", 0)
    document.add_heading("Boiler", 1)
    document.add_paragraph("It was serviced in May.")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Part", "Price"
    for part, price in (("valve", "40"), ("pump", "180")):
        cells = table.add_row().cells
        cells[0].text, cells[1].text = part, price
    document.add_heading("Garden", 1)
    document.add_paragraph("The hedge is cut in autumn.")
    return saved(document)


def saved(document) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def test_word_gives_paragraphs_and_tables_under_their_headings():
    """A table's rows name their columns."""
    found = pieces("house.docx", docx())
    boiler = next(piece for piece in found if "serviced in May" in piece.text)
    assert boiler.heading.endswith("Household > Boiler") or "Boiler" in boiler.text
    assert "Part: valve; Price: 40" in boiler.text
    garden = next(piece for piece in found if "hedge" in piece.text)
    assert "Garden" in garden.heading + garden.text


def test_a_presentation_gives_its_slides_with_notes_and_tables():
    """``page`` is the slide, the heading its title."""
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    for title, text in (("Plan", "Dig the pond"), ("Costs", "Ten bags of sand")):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
        slide.notes_slide.notes_text_frame.text = f"Say why: {title}"
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for row, cells in enumerate((("Item", "Price"), ("liner", "95"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    first, second = pieces("deck.pptx", saved(deck))
    assert (first.page, first.heading) == (1, "Plan")
    assert "Dig the pond" in first.text
    assert "Say why: Plan" in first.text
    assert (second.page, second.heading) == (2, "Costs")
    assert "Item: liner; Price: 95" in second.text


def test_a_workbook_gives_rows_that_name_their_columns():
    """The heading is the sheet's name; lines are the rows as the program numbers them; dates are short."""
    import datetime

    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "Cars"
    sheet.append(["Model", "Bought", "Price"])
    sheet.append(["Golf", datetime.datetime(2019, 4, 1), 15300.0])
    sheet.append([])
    sheet.append(["Polo", None, 9900.5])
    other = book.create_sheet("Notes")
    other["C7"] = "Only a remark"
    cars, notes = pieces("cars.xlsx", saved(book))
    assert (cars.heading, cars.page, cars.first_line, cars.last_line) == ("Cars", 1, 2, 4)
    assert cars.text.splitlines() == [
        "Model: Golf; Bought: 2019-04-01; Price: 15300",
        "Model: Polo; Price: 9900.5",
    ]
    assert (notes.heading, notes.page, notes.first_line, notes.text) == ("Notes", 2, 7, "Only a remark")


@pytest.mark.parametrize(
    ("extension", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t"), ("csv", "\t")]
)
def test_a_table_of_text_gives_rows_with_their_lines(extension, delimiter):
    """Quoted cells may hold delimiters and line ends; lines stay those of the file."""
    rows = [["name", "town", "note"], ["Ada", "London", f'"two{delimiter}\nlines"'], ["Bo", "", "short"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (piece,) = pieces(f"people.{extension}", text.encode())
    shown = " ".join(f"two{delimiter} lines".split())
    assert piece.text.splitlines() == [f"name: Ada; town: London; note: {shown}", "name: Bo; note: short"]
    assert (piece.first_line, piece.last_line) == (2, 4)


def test_a_long_table_is_cut_between_rows_and_each_part_stands_alone():
    """Every passage names the columns, and its lines are exact."""
    text = "city;people\n" + "".join(f"town {n};{n * 10}\n" for n in range(1, 500))
    found = pieces("towns.csv", text.encode())
    assert len(found) > 5
    assert found[0].first_line == 2
    assert found[-1].last_line == 500
    for before, after in itertools.pairwise(found):
        assert after.first_line == before.last_line + 1
    for piece in found:
        lines = piece.text.splitlines()
        assert len(lines) == piece.last_line - piece.first_line + 1
        assert lines[0] == f"city: town {piece.first_line - 1}; people: {(piece.first_line - 1) * 10}"


def test_a_table_without_a_header_is_not_given_one():
    """A first row with numbers is a row."""
    (piece,) = pieces("values.csv", b"1,2,3\n4,5,6\n")
    assert piece.text.splitlines() == ["1 | 2 | 3", "4 | 5 | 6"]
    assert (piece.first_line, piece.last_line) == (1, 2)


def mail(**attachments: bytes) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Gr\u00fc\u00dfe and the boiler"
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "bo@example.org"
    message["Date"] = "Mon, 05 May 2025 10:00:00 +0000"
    message.set_content("The plumber comes on Thursday.\n")
    for name, content in attachments.items():
        message.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=name.replace("_", ".")
        )
    return message


def test_a_message_gives_its_headers_text_and_attached_documents():
    """Attachments are named; documents are read, what cannot be read is remarked."""
    png = b"\x89PNG\r\n\x1a\n\x00\x00"
    content = mail(offer_docx=docx(), list_csv=b"part,price\nvalve,40\n", photo_png=png).as_bytes()
    reading = formats.read("boiler.eml", content)
    first = reading.pieces[0]
    assert first.heading == "Gr\u00fc\u00dfe and the boiler"
    for line in (
        "From: Ada <ada@example.org>",
        "Date: Mon, 05 May 2025",
        "Attachment: offer.docx",
        "Thursday",
    ):
        assert line in first.text
    attached = next(piece for piece in reading.pieces if "serviced in May" in piece.text)
    assert attached.heading.startswith("Gr\u00fc\u00dfe and the boiler > offer.docx")
    assert any("part: valve; price: 40" in piece.text for piece in reading.pieces)
    assert "photo.png: It is an image" in reading.remark


def test_a_message_in_html_and_one_in_another_are_read():
    """The text of an HTML body; a forwarded message below its own subject; names keep no folders."""
    inner = mail(**{"../../etc/passwd_txt": b"harmless words"})
    outer = EmailMessage()
    outer["Subject"] = "Forwarded"
    outer.set_content("<html><body><p>See <b>below</b>.</p></body></html>", subtype="html")
    outer.add_attachment(inner)
    found = pieces("x.eml", outer.as_bytes())
    assert "See below." in found[0].text
    assert any("The plumber comes" in piece.text for piece in found)
    assert any(piece.heading.endswith("passwd.txt") and "harmless" in piece.text for piece in found)
    assert not any("/etc/" in piece.heading + piece.text for piece in found)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image"),
        ("photo.md", b"\xff\xd8\xff\xe0" + bytes(50), "image"),
        (
            "logo.svg",
            b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><text>x</text></svg>',
            "image",
        ),
        ("memo.wav", b"RIFF\x10\x00\x00\x00WAVEfmt ", "audio"),
        ("song.mp3", b"ID3\x04\x00\x00\x00\x00" + bytes(9), "audio"),
        ("memo.m4a", b"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00", "audio"),
        ("film.mp4", b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "video"),
        ("film.mkv", b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", "video"),
    ],
)
def test_media_wait_for_another_agent(name, content, kind):
    """By their content, whatever their name says."""
    with pytest.raises(Awaited) as raised:
        media.check(content)
    assert raised.value.kind == kind
    assert raised.value.reason.endswith("agent." if kind != "video" else "agents.")


@pytest.mark.parametrize(
    "text", ["OggS is a mark of files.", "ID3 tags name songs.", "GIF89a is an old format.", "BM25"]
)
def test_text_that_begins_like_media_is_text(text):
    """Letters alone make no image."""
    media.check(text.encode())
    assert pieces("a.txt", text.encode())


def test_an_office_file_under_another_name_and_another_archive_under_its_name():
    """The content decides."""
    import zipfile

    assert any("serviced in May" in piece.text for piece in pieces("house.txt", docx()))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(KaraisError, match="archives are not opened"):
        pieces("a.docx", file.getvalue())
