"""Text of any encoding: Markdown, source code, prose."""

from __future__ import annotations

from agents.common.formats.reading import Reading, refusal
from stores import chunking

_CODE_NAMES = """
asm awk bash bat c cc clj cmake cpp cs css cu cxx dart el erl ex exs f90 fish go gradle groovy h hh
hpp hs hxx ino java jl js jsx kt kts lisp lua m mjs ml mm nix nim pas php pl pm proto ps1 py pyi r
rb rs sass scala scm scss sh sol sql st svelte swift tcl tf ts tsx v vb vhd vim vue zig zsh
"""
_CODE = frozenset(_CODE_NAMES.split())
_MARKDOWN = {"md", "markdown", "mdown", "mkd", "mdx", "rmd", "qmd"}
_MAGIC = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Office document"),
    (b"GGUF", "weights of a model (GGUF)"),
)
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read(extension: str, text: str) -> Reading:
    """Return the passages of a text, each with its exact lines."""
    if extension in _MARKDOWN:
        return Reading(pieces=chunking.chunk_markdown(text))
    if extension in _CODE or text.startswith("#!"):
        return Reading(pieces=chunking.chunk_code(text))
    return Reading(pieces=chunking.chunk_text(text))


def decode(content: bytes) -> str:
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
    raise refusal(f"It is no text (it looks like {kind}).")


def _checked(text: str) -> str:
    head = text[:65536]
    if sum(1 for character in head if character < " " and character not in "\t\n\f\r\x1b") * 50 > len(head):
        raise refusal("It is no text (it looks like binary data).")
    return text
