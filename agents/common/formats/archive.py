"""Opening ZIP archives that may be hostile, in memory.

Nothing is ever extracted to a disk, so a member's name is only a name. Before
any member is read, the directory is checked: how many members, how many bytes
they say they become, how much more that is than what is stored, and that no
two share the same stored bytes (which lets 42 kB become petabytes). zipfile
never gives more bytes of a member than the directory says, so what was checked
holds while it is read. XML with a document type is refused: Office formats
forbid it, and entities that explode or name files are declared there.
"""

from __future__ import annotations

from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING
from xml.parsers import expat

from agents.common.formats.reading import refusal
from schemas.errors import KaraisError
from schemas.failure import Code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zipfile import ZipFile, ZipInfo

MAX_MEMBERS = 5_000
MAX_BYTES = 300 * 10**6
"""Of all members together, uncompressed."""
MAX_RATIO = 200
"""Uncompressed to compressed; office files with much repetition reach about 50."""
RATIO_FROM_BYTES = 5 * 10**6
"""Smaller members may be compressed as well as they like."""
_HEADER_BYTES = 30
_XML = (".xml", ".rels", ".vml")


@contextmanager
def opened(content: bytes) -> Iterator[ZipFile]:
    """Yield a checked archive; raises KaraisError when it is a bomb, encrypted or damaged."""
    from zipfile import ZipFile

    try:
        with ZipFile(BytesIO(content)) as archive:
            _check(archive.infolist(), len(content))
            yield archive
    except (KaraisError, MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001  # a damaged file breaks the standard library in any way
        if isinstance(error, RuntimeError) and "encrypted" in str(error):
            raise refusal("It is encrypted.", Code.FORBIDDEN) from None
        reason = str(error).rstrip(".") or type(error).__name__
        raise refusal(f"The archive is damaged: {reason[:200]}.") from None


def check_xml(archive: ZipFile) -> None:
    """Refuse an archive of which any XML member declares a document type."""
    for member in archive.infolist():
        if member.filename.lower().endswith(_XML):
            with archive.open(member) as file:
                _check_prolog(iter(lambda: file.read(16_384), b""), member.filename)


def _check(members: list[ZipInfo], size: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise refusal(
            f"The archive has {len(members):,} members; {MAX_MEMBERS:,} is the most.", Code.TOO_LARGE
        )
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise refusal(
            f"Unpacked it would have {total / 1e6:,.0f} MB; {MAX_BYTES / 1e6:,.0f} MB is the most.",
            Code.TOO_LARGE,
        )
    for member in members:
        if member.flag_bits & 1:
            raise refusal("It is encrypted.", Code.FORBIDDEN)
        if member.file_size > max(RATIO_FROM_BYTES, MAX_RATIO * member.compress_size):
            ratio = member.file_size // max(member.compress_size, 1)
            raise refusal(
                f"It looks like a zip bomb: a part of it unpacks to {ratio:,} times its size.", Code.TOO_LARGE
            )
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise refusal("It looks like a zip bomb: parts of it overlap.", Code.TOO_LARGE)
        end = member.header_offset + _HEADER_BYTES + member.compress_size
    if end > size:
        raise refusal("The archive is damaged: it ends early.")


def _check_prolog(blocks: Iterator[bytes], name: str) -> None:
    """Read XML up to its first element, before which alone a document type can stand."""

    class Begun(Exception):
        """The first element begins."""

    def document_type(*_: object) -> None:
        raise refusal(f"Its part {name[:100]!r} declares a document type, as XML bombs do.", Code.FORBIDDEN)

    def element(*_: object) -> None:
        raise Begun

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = document_type
    parser.StartElementHandler = element
    try:
        for block in blocks:
            parser.Parse(block)
    except Begun:
        pass
    except KaraisError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise refusal(f"Its part {name[:100]!r} is no XML: {error}.") from None
