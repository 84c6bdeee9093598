"""What a file is, and its text, cut into passages: one module a family of formats.

A file's content decides what it is; its name only tells apart what is all
text: Markdown, source code, tables, mail. Nothing here opens a file, follows a
reference or writes: what is given is bytes.
"""

from __future__ import annotations

from agents.common.formats import html, mail, office, pdf, tables, text
from agents.common.formats.reading import Awaited, Reading, refusal

__all__ = ["Awaited", "Reading", "read"]

DEPTH = 2
"""Attachments of a message that is attached to a message are read; what is attached to them is only named."""


def read(path: str, content: bytes, depth: int = 0) -> Reading:
    """Return the passages of a file's content.

    Raises KaraisError with the reason to skip it, or Awaited when it holds
    what another agent has to read. ``depth`` counts the messages around an
    attachment.
    """
    if not content.strip(b"\x00 \t\r\n\xef\xbb\xbf"):
        raise refusal("It is empty.")
    extension = extension_of(path)
    if pdf.MARK in content[:1024]:
        reading = pdf.read(content)
    elif content.startswith(office.MARKS):
        reading = office.read(content)
    else:
        decoded = text.decode(content)
        if mail.is_message(extension, content):
            attached = read if depth < DEPTH else None
            reading = mail.read(content, attached, depth + 1)
        elif html.is_html(extension, content):
            reading = html.read(content)
        else:
            reading = tables.read(extension, decoded) or text.read(extension, decoded)
    if not reading.pieces:
        raise refusal("There is no text in it.")
    return reading


def extension_of(path: str) -> str:
    """Return what stands behind the last dot of a file's name, in lower case; empty without a dot."""
    return path.rsplit("/", 1)[-1].rpartition(".")[2].lower()
