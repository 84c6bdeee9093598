"""How files are cut into passages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.chunking import (
    MAX_WORDS,
    TARGET_WORDS,
    Page,
    chunk_code,
    chunk_markdown,
    chunk_pages,
    chunk_sections,
    chunk_text,
    words,
)

PAGE = """# Bees

Bees live in hives.

## Food

They eat honey.

### Winter

In winter they eat what they stored.

## Enemies

Wasps.
"""

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["", "# One", "## Two", "```", "~~~", "---", "===", "def f():", "    x = 1", "class A:"]
        ),
        st.text(
            st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
            max_size=80,
        ),
        st.integers(1, 700).map(lambda n: "word " * n),
        st.integers(1, 900).map(lambda n: "\u6d88\u606f" * n),
        st.integers(1, 9000).map(lambda n: "x" * n),
    ),
    max_size=30,
).map("\n".join)


@pytest.mark.parametrize("chunk", [chunk_markdown, chunk_text, chunk_code])
@given(text=LINES)
def test_passages_are_the_files_exact_text_in_order_and_complete(chunk, text):
    """Nothing but white space is lost, nothing comes twice, and line numbers point at the text."""
    lines = text.splitlines(keepends=True)
    pieces = chunk(text)
    for piece in pieces:
        assert piece.text in "".join(lines[piece.first_line - 1 : piece.last_line])
        assert piece.text.strip()
    assert "".join("".join(p.text for p in pieces).split()) == "".join(text.split())


@pytest.mark.parametrize("chunk", [chunk_markdown, chunk_text, chunk_code])
@given(text=LINES)
def test_no_passage_is_longer_than_what_the_models_read(chunk, text):
    """However long lines, words and blocks are."""
    assert all(words(piece.text) <= MAX_WORDS + TARGET_WORDS // 10 for piece in chunk(text))


def test_markdown_is_cut_at_headings_and_knows_their_path():
    """A passage names the headings above it, outermost first."""
    long = (
        PAGE.replace("hives.", "hives. " * 60)
        .replace("They eat honey.", "They eat honey. " * 40)
        .replace("Wasps.", "Wasps and more. " * 40)
    )
    headings = [piece.heading for piece in chunk_markdown(long)]
    assert headings == ["Bees", "Bees > Food", "Bees > Food > Winter", "Bees > Enemies"]


def test_a_heading_inside_a_code_fence_is_no_heading():
    """A comment of a shell script does not cut a fence."""
    text = "# Title\n\n```sh\n# not a heading\nls\n```\n"
    (piece,) = chunk_markdown(text)
    assert piece.text == text.strip()
    assert piece.heading == "Title"


def test_a_code_fence_stays_whole_when_it_fits():
    """Text before it makes room rather than tearing it."""
    fence = "```\n" + "a = 1\n" * 30 + "```\n"
    pieces = chunk_markdown("# T\n\n" + "Some words here. " * 45 + "\n\n" + fence)
    assert any(fence.strip() in piece.text for piece in pieces)


def test_underlined_headings_and_front_matter_are_understood():
    """Setext headings count; the dashes of a YAML header do not."""
    text = "---\ntitle: x\n---\n\nBig\n===\n\ntext " + "more " * 170 + "\n\nSmall\n-----\n\nend\n"
    assert [piece.heading for piece in chunk_markdown(text)][-2:] == ["Big", "Big > Small"]


def test_code_is_cut_at_definitions():
    """Each long definition is a passage of its own, named after it, with its decorator."""
    body = "    total = first + second + third\n" * 20
    text = f"import os\n\n\n@cache\ndef one():\n{body}\n\nclass Two:\n{body}"
    pieces = chunk_code(text)
    assert [piece.heading for piece in pieces] == ["one", "Two"]
    assert "@cache\ndef one" in pieces[0].text


def test_pages_keep_their_numbers():
    """A PDF's passages never cross pages, and pages without text are counted."""
    pieces = chunk_pages([Page(1, (), "first page"), Page(2, (), ""), Page(3, (), "third page")])
    assert [(piece.page, piece.text) for piece in pieces] == [(1, "first page"), (3, "third page")]


def test_sections_keep_their_headings():
    """Sections of HTML come with the headings that stand above them."""
    pieces = chunk_sections([(("Guide", "Start"), "Plug it in."), (("Guide", "End"), "Pull it out.")])
    assert [piece.heading for piece in pieces] == ["Guide > Start", "Guide > End"]


def test_scripts_without_spaces_have_words_too():
    """A Chinese text is not one endless word."""
    assert words("\u6d88\u606f\u961f\u5217" * 30) == 80
    assert len(chunk_text("\u6d88\u606f\u961f\u5217\u3002" * 200)) > 3
