"""Passages of any kind of text: LanceDB tables with one writer each and any number of readers.

``documents`` holds the storage and is the librarian's, ``memory`` holds turns
and facts and is the memory agent's. The agent that owns a table alone writes it
(a lock in the folder holds this); everyone may read. A source's passages are
replaced in one commit: a reader sees the old ones or the new ones. It is
idempotent, because a passage's id is made of its source's id and its number, so
a job that is redelivered after a kill leaves no passage twice.
"""

from stores.passages.book import Book, TableName, state
from stores.passages.reader import PassagesReader, with_texts
from stores.passages.rows import (
    Kind,
    Moved,
    SourcePassages,
    embedded_text,
    searched_words,
    text_hash,
)
from stores.passages.writer import PassagesWriter, Written

__all__ = [
    "Book",
    "Kind",
    "Moved",
    "PassagesReader",
    "PassagesWriter",
    "SourcePassages",
    "TableName",
    "Written",
    "embedded_text",
    "searched_words",
    "state",
    "text_hash",
    "with_texts",
]
