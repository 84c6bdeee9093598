"""PDF: the text of its pages."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator
from io import BytesIO

from agents.common.formats.media import awaited
from agents.common.formats.reading import Reading, clean, refusal
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.chunking import Page, chunk_pages

MARK = b"%PDF-"
SECONDS = 40.0
"""After so long the pages that were read are what is indexed; below the parser's own limit."""


_DIVIDED = re.compile(r"([^\W\d_]{2})[-\u00ad]\n([a-z\u00df-\u00ff]+[,.;:!?)]*) ?")
"""A divided word: its rest goes up to its beginning, which may join what had a hyphen of its own."""
_ACCENTS = {"\u00a8": "\u0308", "\u00b4": "\u0301"}
_ACCENTED = re.compile(r"([\u00a8\u00b4])([a-zA-Z])")
"""TeX's older fonts draw an accent before its letter."""


def read(content: bytes) -> Reading:
    """Return the passages of a PDF, each with its page."""
    pages = _Pages(content)
    pieces = chunk_pages(pages)
    if not pieces and pages.read:
        raise awaited("scan", "The PDF holds no text, only images (it may be a scan)")
    remark = ""
    if pages.cut:
        remark = f"Only its first {pages.read:,} of {pages.count:,} pages are indexed: more take too long."
    return Reading(pieces=pieces, remark=remark)


def _joined(text: str) -> str:
    """Return a page's text with the words whole that were divided at the end of a line."""
    return _DIVIDED.sub(r"\1\2\n", _ACCENTED.sub(_composed, text))


def _composed(match: re.Match[str]) -> str:
    accent, letter = match.groups()
    return unicodedata.normalize("NFC", letter + _ACCENTS[accent])


class _Pages:
    """Iterates over the pages' texts until time is up."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.read = self.count = 0
        self.cut = False

    def __iter__(self) -> Iterator[Page]:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

        deadline = time.monotonic() + SECONDS
        try:
            reader = PdfReader(BytesIO(self._content))
            if reader.is_encrypted and not reader.decrypt(""):
                raise refusal("The PDF is encrypted.", Code.FORBIDDEN)
            self.count = len(reader.pages)
            for page in reader.pages:
                if time.monotonic() > deadline:
                    self.cut = True
                    return
                self.read += 1
                # Broken font tables give lone surrogates.
                yield Page(self.read, (), _joined(clean(page.extract_text())))
        except (FileNotDecryptedError, DependencyError, NotImplementedError):
            raise refusal("The PDF is encrypted.", Code.FORBIDDEN) from None
        except (KaraisError, MemoryError, RecursionError):
            raise
        except PyPdfError as error:
            raise refusal(f"The PDF is damaged: {str(error).rstrip('.')}.") from None
        except Exception as error:  # noqa: BLE001  # a damaged file breaks the parser in any way
            raise refusal(f"The PDF is damaged ({type(error).__name__}).") from None
