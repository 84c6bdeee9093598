"""What a file is, and its text: Markdown, HTML, PDF, source code, any other text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from schemas.errors import KaraisError
from schemas.failure import Code
from stores import chunking
from stores.chunking import Piece

_CODE_NAMES = """
asm awk bash bat c cc clj cmake cpp cs css cu cxx dart el erl ex exs f90 fish go gradle groovy h hh
hpp hs hxx ino java jl js jsx kt kts lisp lua m mjs ml mm nix nim pas php pl pm proto ps1 py pyi r
rb rs sass scala scm scss sh sol sql st svelte swift tcl tf ts tsx v vb vhd vim vue zig zsh
"""
_BLOCK_NAMES = """
address article aside blockquote body br caption dd details div dl dt figcaption figure footer form
h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul
"""
_MARKDOWN = {"md", "markdown", "mdown", "mkd", "mdx", "rmd", "qmd"}
_CODE = frozenset(_CODE_NAMES.split())
_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "an image, sound or film (RIFF)"),
    (b"OggS", "a sound or film (Ogg)"),
    (b"fLaC", "a sound (FLAC)"),
    (b"ID3", "a sound (MP3)"),
    (b"\x1aE\xdf\xa3", "a film (Matroska)"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"GGUF", "weights of a model (GGUF)"),
)
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def pieces_of(path: str, content: bytes) -> list[Piece]:
    """Return the passages of a file's content; raises KaraisError with the reason to skip it."""
    if not content.strip(b"\x00 \t\r\n\xef\xbb\xbf"):
        raise KaraisError("It is empty.", code=Code.INVALID)
    extension = path.rsplit("/", 1)[-1].rpartition(".")[2].lower()
    if b"%PDF-" in content[:1024]:
        pieces = chunking.chunk_pages(_pdf_pages(content))
        if not pieces:
            raise KaraisError("The PDF holds no text, only images (it may be a scan).", code=Code.INVALID)
        return pieces
    text = _decode(content)
    if _HTML.match(content[:4096]) or (extension in ("html", "htm", "xhtml") and "<" in text):
        pieces = chunking.chunk_sections(_html_sections(content))
    elif extension in _MARKDOWN:
        pieces = chunking.chunk_markdown(text)
    elif extension in _CODE or text.startswith("#!"):
        pieces = chunking.chunk_code(text)
    else:
        pieces = chunking.chunk_text(text)
    if not pieces:
        raise KaraisError("There is no text in it.", code=Code.INVALID)
    return pieces


def _decode(content: bytes) -> str:
    """Return the text, or raise with what the file looks like instead."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError:
                break
    if b"\x00" not in content:
        try:
            return _checked(content.decode("utf-8"))
        except UnicodeDecodeError:
            pass
        kind = next((name for magic, name in _MAGIC if content.startswith(magic)), "")
        # Bytes below a space are hardly ever text in any encoding.
        head = content[:65536]
        controls = sum(1 for byte in head if byte < 32 and byte not in (9, 10, 12, 13, 27))
        if not kind and controls * 200 < len(head):
            from bs4.dammit import UnicodeDammit

            if found := UnicodeDammit(content).unicode_markup:
                return _checked(found)
    kind = next((name for magic, name in _MAGIC if content.startswith(magic)), "binary data")
    raise KaraisError(f"It is no text (it looks like {kind}).", code=Code.INVALID)


def _checked(text: str) -> str:
    head = text[:65536]
    if sum(1 for character in head if character < " " and character not in "\t\n\f\r\x1b") * 50 > len(head):
        raise KaraisError("It is no text (it looks like binary data).", code=Code.INVALID)
    return text


def _pdf_pages(content: bytes) -> Iterator[str]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise KaraisError("The PDF is encrypted.", code=Code.FORBIDDEN)
        for page in reader.pages:
            # Lone surrogates come from broken font tables and can be neither stored nor sent.
            yield page.extract_text().encode("utf-8", "replace").decode("utf-8")
    except (FileNotDecryptedError, DependencyError, NotImplementedError):
        raise KaraisError("The PDF is encrypted.", code=Code.FORBIDDEN) from None
    except (KaraisError, MemoryError, RecursionError):
        raise
    except PyPdfError as error:
        raise KaraisError(f"The PDF is damaged: {str(error).rstrip('.')}.", code=Code.INVALID) from None
    except Exception as error:  # noqa: BLE001  # a damaged file breaks the parser in any way
        raise KaraisError(f"The PDF is damaged ({type(error).__name__}).", code=Code.INVALID) from None


_BLOCKS = frozenset(_BLOCK_NAMES.split())


def _html_sections(content: bytes) -> list[tuple[tuple[str, ...], str]]:
    """Return (headings, text) in the order of the page; without scripts, styles and navigation."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "html.parser")
    for useless in soup(["script", "style", "noscript", "template", "svg", "nav", "head"]):
        if useless.name != "head":
            useless.decompose()
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    sections: list[tuple[tuple[str, ...], str]] = []
    headings: list[tuple[int, str]] = [(0, title)] if title else []
    texts: list[str] = []

    def flush() -> None:
        lines = [" ".join(line.split()) for line in "".join(texts).split("\n")]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
        if text:
            sections.append((tuple(name for _, name in headings), text))
        texts.clear()

    def walk(element: Any) -> None:
        for node in element.children:
            name = getattr(node, "name", None)
            if name is None:
                if type(node).__name__ == "NavigableString":
                    texts.append(str(node) if element.name == "pre" else re.sub(r"\s+", " ", str(node)))
            elif re.fullmatch(r"h[1-6]", name):
                flush()
                level = int(name[1])
                headings[:] = [(depth, text) for depth, text in headings if depth < level]
                heading = " ".join(node.get_text().split())
                if heading:
                    headings.append((level, heading))
                    texts.append(heading + "\n\n")
            else:
                if name in _BLOCKS:
                    texts.append(
                        "\n\n" if name in ("p", "div", "section", "table", "ul", "ol", "pre") else "\n"
                    )
                walk(node)
                if name in _BLOCKS:
                    texts.append("\n")

    walk(soup.body or soup)
    flush()
    return sections
