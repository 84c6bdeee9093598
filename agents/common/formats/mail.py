"""E-mail: who wrote what to whom and when, and the documents attached to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from agents.common.formats import html, media
from agents.common.formats.reading import Awaited, Reading, clean, refusal
from schemas.errors import KaraisError
from stores.chunking import MAX_PASSAGES, Piece, chunk_sections

MAX_ATTACHMENTS = 50
_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_BEGINS = re.compile(rb"(?:Return-Path|Received|Delivered-To|X-Original-To|ARC-Seal|DKIM-Signature):", re.I)
_IDENTIFIED = re.compile(rb"^Message-ID:", re.I | re.M)

ReadAttachment = Callable[[str, bytes, int], Reading]


def is_message(extension: str, content: bytes) -> bool:
    """Tell whether a text is an e-mail: by its name, or by headers that only servers write."""
    return extension == "eml" or bool(_BEGINS.match(content) and _IDENTIFIED.search(content[:65_536]))


def read(content: bytes, attached: ReadAttachment | None, depth: int) -> Reading:
    """Return the passages of a message and, by ``attached``, of the documents attached to it."""
    try:
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return _read(message, attached, depth)
    except (KaraisError, MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001  # broken headers break the standard library in any way
        raise refusal(f"The message is damaged ({type(error).__name__}).") from None


def _read(message: EmailMessage, attached: ReadAttachment | None, depth: int) -> Reading:
    headers = [(name, _header(message, name)) for name in _SHOWN]
    subject = next((value for name, value in headers if name == "Subject"), "")
    heading = (subject,) if subject else ()
    body = message.get_body(preferencelist=("plain", "html"))
    parts = [part for part in message.walk() if part is not body and _is_attachment(part)]
    lines = [f"{name}: {value}" for name, value in headers if value]
    lines += [f"Attachment: {_name(part)}" for part in parts[:MAX_ATTACHMENTS]]
    sections = [(heading, "\n".join(lines) + "\n\n" + _body(body))]
    pieces = chunk_sections(sections)
    remarks = []
    for part in parts[:MAX_ATTACHMENTS]:
        if attached is None:
            break
        name = _name(part)
        try:
            found = _attachment(part, name, attached, depth)
        except KaraisError as error:
            remarks.append(f"{name}: {error}")
        except Awaited as waits:
            remarks.append(f"{name}: {waits.reason}")
        else:
            pieces += [_below(piece, (*heading, name)) for piece in found.pieces]
        if len(pieces) >= MAX_PASSAGES:
            break
    remark = f"Of its attachments was not read: {' '.join(remarks)}"[:500] if remarks else ""
    return Reading(pieces=pieces[:MAX_PASSAGES], remark=remark)


def _attachment(part: Any, name: str, attached: ReadAttachment, depth: int) -> Reading:
    if part.get_content_type() == "message/rfc822":
        (inner,) = part.get_payload()
        return attached("message.eml", inner.as_bytes(), depth)
    content = part.get_payload(decode=True) or b""
    media.check(content[: media.HEAD_BYTES])
    return attached(name, content, depth)


def _is_attachment(part: Any) -> bool:
    if part.get_content_type() == "message/rfc822":
        return True
    if part.is_multipart():
        return False
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _name(part: Any) -> str:
    """Return an attachment's name without any folder; it names no file here, and is only shown."""
    name = clean(str(part.get_filename() or "")).replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(character for character in name if character.isprintable())[:200]
    return name or ("message.eml" if part.get_content_type() == "message/rfc822" else "unnamed")


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(clean(str(message.get(name, ""))).split())[:1000]
    except Exception:  # noqa: BLE001  # a header that cannot be read says nothing
        return ""


def _body(body: Any) -> str:
    if body is None:
        return ""
    content = body.get_payload(decode=True) or b""
    try:
        text = content.decode(body.get_content_charset() or "utf-8", "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    if body.get_content_subtype() == "html":
        return "\n\n".join(text for _, text in html.sections(text))
    return clean(text)


def _below(piece: Piece, headings: tuple[str, ...]) -> Piece:
    """Return a piece of an attachment under the message that it came with; its lines are not the file's."""
    heading = " > ".join((*headings, *filter(None, (piece.heading,))))
    return Piece(text=piece.text, page=piece.page, heading=heading)
