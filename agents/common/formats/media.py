"""Images, recordings and films: told by the first bytes, read by other agents."""

from __future__ import annotations

import re

from agents.common.formats.reading import Awaited
from schemas.documents import Awaits

HEAD_BYTES = 64 * 1024
"""As much of a file as tells what it is."""

_WAITS_FOR = {
    "image": "the vision agent",
    "scan": "the vision agent",
    "audio": "the listener agent",
    "video": "the listener and vision agents",
}
_SIGNATURES: tuple[tuple[bytes, Awaits, str], ...] = (
    (rb"\x89PNG\r\n\x1a\n", "image", "PNG"),
    (rb"\xff\xd8\xff", "image", "JPEG"),
    (rb"GIF8[79]a", "image", "GIF"),
    (rb"RIFF....WEBP", "image", "WebP"),
    (rb"II\*\x00|MM\x00\*", "image", "TIFF"),
    (rb"BM.{4}\x00{4}", "image", "BMP"),
    (rb"\x00\x00\x01\x00[\x01-\x40]\x00", "image", "icon"),
    (rb"....ftyp(?:heic|heix|mif1|msf1|hevc|avif|avis)", "image", "HEIF"),
    (rb"\x00\x00\x00\x0cJXL |\xff\x0a", "image", "JPEG XL"),
    (rb"\x00\x00\x00\x0cjP  ", "image", "JPEG 2000"),
    (rb"RIFF....WAVE", "audio", "WAV"),
    (rb"ID3[\x02-\x04]|\xff[\xfb\xf3\xf2\xfa]", "audio", "MP3"),
    (rb"\xff[\xf1\xf9]", "audio", "AAC"),
    (rb"fLaC", "audio", "FLAC"),
    (rb"OggS", "audio", "Ogg"),
    (rb"#!AMR", "audio", "AMR"),
    (rb"....ftypM4[AB]", "audio", "M4A"),
    (rb"FORM....AIF[FC]", "audio", "AIFF"),
    (rb"....ftyp", "video", "MP4"),
    (rb"\x1aE\xdf\xa3", "video", "Matroska"),
    (rb"RIFF....AVI ", "video", "AVI"),
    (rb"\x00\x00\x01[\xba\xb3]", "video", "MPEG"),
    (rb"FLV\x01", "video", "FLV"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video", "ASF"),
)
_MAGIC = tuple((re.compile(pattern, re.S), kind, name) for pattern, kind, name in _SIGNATURES)
_SVG = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE\s+svg[^>]*>\s*)*<svg\b", re.S
)
_NAMES = {"image": "an image", "audio": "a recording", "video": "a film"}


def check(head: bytes) -> None:
    """Raise Awaited when a file that begins with ``head`` is an image, a recording or a film."""
    if _SVG.match(head):
        raise awaited("image", "It is an image (SVG)")
    found = next(((kind, name) for magic, kind, name in _MAGIC if magic.match(head)), None)
    if found is None or _is_text(head):
        return
    kind, name = found
    raise awaited(kind, f"It is {_NAMES[kind]} ({name})")


def awaited(kind: Awaits, what: str) -> Awaited:
    """Return the exception for a file that is ``what``."""
    return Awaited(kind, f"{what}: it waits for {_WAITS_FOR[kind]}.")


def _is_text(head: bytes) -> bool:
    """Some marks are letters, which a text may begin with."""
    if b"\x00" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character that was cut
    return True
