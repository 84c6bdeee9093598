"""The conversations, as a projection of the log CHAT in SQLite.

The log is the truth and this file can be thrown away at any time: it is built
again from sequence 0 when its schema is older, when SQLite finds it damaged,
and when the log was made anew. So it runs with ``synchronous=NORMAL``: a power
cut may take its last transactions, never its consistency, and as the sequence
it stands at is written in the same transaction, the log fills in what is lost.
"""

from __future__ import annotations

import logging
import re

import msgspec

from schemas.chat import Conversation, Deleted, History, Titled, Turn
from schemas.forgetting import TurnsForgotten
from stores.projection import Projection
from stores.rebuildable import transaction

log = logging.getLogger(__name__)

TITLE_CHARS = 60

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    project TEXT NOT NULL, conversation TEXT NOT NULL, user TEXT NOT NULL,
    title TEXT NOT NULL, by_user INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, updated REAL NOT NULL,
    turns INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, conversation)
);
CREATE INDEX by_time ON conversations (project, user, deleted, updated);
CREATE TABLE turns (
    sequence INTEGER PRIMARY KEY,
    number INTEGER NOT NULL REFERENCES conversations (number),
    answer TEXT NOT NULL, role TEXT NOT NULL, entry BLOB NOT NULL,
    UNIQUE (number, answer, role)
);
CREATE INDEX by_conversation ON turns (number, sequence);
CREATE TABLE open_answers (number INTEGER, answer TEXT, sequence INTEGER, PRIMARY KEY (number, answer));
CREATE VIRTUAL TABLE texts USING fts5 (text, number UNINDEXED, tokenize = "unicode61 remove_diacritics 2");
"""


class Conversations(Projection):
    """The projection. Its methods block for milliseconds and may be called from any thread."""

    schema = _SCHEMA
    version = 2

    def apply(self, entry: Turn | Titled | Deleted | TurnsForgotten, sequence: int) -> None:
        """Take in the log's entry at ``sequence``; one that was taken in before changes nothing."""
        with self._applying(sequence) as is_new:
            if is_new:
                match entry:
                    case Turn():
                        self._apply_turn(entry, sequence)
                    case Titled():
                        self._apply_title(entry)
                    case Deleted():
                        self._apply_deletion(entry)
                    case TurnsForgotten():
                        self._apply_forgetting(entry)

    def learn_from(self, after: int, limit: int) -> tuple[tuple[int, Turn], ...]:
        """Return the next turns behind a sequence with their sequences, of all projects, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT sequence, entry FROM turns WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        return tuple((sequence, _turn(entry)) for sequence, entry in rows)

    def position(self, name: str) -> int:
        """Return how far a reader of the turns came (a sequence), as ``set_position`` was told."""
        with self._lock:
            row = self._database.execute("SELECT value FROM meta WHERE key = ?", (f"read.{name}",)).fetchone()
        return int(row[0]) if row else 0

    def set_position(self, name: str, sequence: int) -> None:
        """Keep how far a reader came; as rebuildable as the rest."""
        with self._lock, transaction(self._database):
            self._database.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"read.{name}", str(sequence))
            )

    def list(
        self, project: str, user: str, *, limit: int = 100, before: float = 0, matching: str = ""
    ) -> tuple[Conversation, ...]:
        """Return a project's conversations, newest first; ``matching`` words may be beginnings."""
        conditions = ["project = ?", "user = ?", "deleted = 0", "turns > 0"]
        values: list[str | float | int] = [project, user]
        if before:
            conditions.append("updated < ?")
            values.append(before)
        if matching.strip():
            query = _match_query(matching)
            if not query:
                return ()
            conditions.append("number IN (SELECT number FROM texts WHERE texts MATCH ?)")
            values.append(query)
        with self._lock:
            rows = self._database.execute(
                "SELECT conversation, project, title, created, updated, turns,"  # noqa: S608  conditions are constants
                " coalesce((SELECT answer FROM open_answers o WHERE o.number = c.number"
                "           ORDER BY sequence DESC LIMIT 1), '')"
                f" FROM conversations c WHERE {' AND '.join(conditions)}"
                " ORDER BY updated DESC, number DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return tuple(
            Conversation(
                conversation=row[0],
                project=row[1],
                title=row[2],
                created=row[3],
                updated=row[4],
                turns=row[5],
                answering=row[6],
            )
            for row in rows
        )

    def history(self, project: str, user: str, conversation: str, *, last: int = 500) -> History:
        """Return a conversation's last turns, oldest first; an unknown one has none."""
        with self._lock:
            found = self._database.execute(
                "SELECT number, title FROM conversations"
                " WHERE project = ? AND conversation = ? AND user = ? AND deleted = 0",
                (project, conversation, user),
            ).fetchone()
            if found is None:
                return History(conversation=conversation, title="", turns=(), sequence=0)
            number, title = found
            rows = self._database.execute(
                "SELECT sequence, entry FROM turns WHERE number = ? ORDER BY sequence DESC LIMIT ?",
                (number, last),
            ).fetchall()
            answering = self._database.execute(
                "SELECT answer FROM open_answers WHERE number = ? ORDER BY sequence DESC LIMIT 1", (number,)
            ).fetchone()
        return History(
            conversation=conversation,
            title=title,
            turns=tuple(_turn(entry) for _, entry in reversed(rows)),
            sequence=rows[0][0] if rows else 0,
            answering=answering[0] if answering else "",
        )

    def unanswered(self) -> tuple[Turn, ...]:
        """Return the questions, of all projects, that have no answer in the log yet; oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT entry FROM turns JOIN open_answers USING (sequence) ORDER BY sequence"
            ).fetchall()
        return tuple(_turn(entry) for (entry,) in rows)

    def _apply_turn(self, turn: Turn, sequence: int) -> None:
        execute = self._database.execute
        row = execute(
            "SELECT number, deleted FROM conversations WHERE project = ? AND conversation = ?",
            (turn.project, turn.conversation),
        ).fetchone()
        if row is not None and row[1] and turn.role == "assistant":
            # The answer that ran while its conversation was deleted.
            return
        if row is None or row[1]:
            title = title_of(turn.text) if turn.role == "user" else ""
            execute(
                "INSERT INTO conversations (project, conversation, user, title, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET user = excluded.user, by_user = 0,"
                " title = excluded.title, created = excluded.created, turns = 0, deleted = 0",
                (turn.project, turn.conversation, turn.user, title, turn.at, turn.at),
            )
        number: int = execute(
            "SELECT number FROM conversations WHERE project = ? AND conversation = ?",
            (turn.project, turn.conversation),
        ).fetchone()[0]
        added = execute(
            "INSERT INTO turns VALUES (?, ?, ?, ?, ?) ON CONFLICT (number, answer, role) DO NOTHING",
            (sequence, number, turn.answer, turn.role, msgspec.json.encode(turn)),
        ).rowcount
        if not added:
            # A second copy, such as two workers that ended one answer: the first in the log counts.
            return
        if row is None or row[1]:
            self._index(-number, number, title_of(turn.text))
        execute(
            "UPDATE conversations SET turns = turns + 1, updated = max(updated, ?) WHERE number = ?",
            (turn.at, number),
        )
        self._index(sequence, number, turn.text)
        if turn.role == "assistant":
            execute("DELETE FROM open_answers WHERE number = ? AND answer = ?", (number, turn.answer))
        elif not execute(
            "SELECT 1 FROM turns WHERE number = ? AND answer = ? AND role = 'assistant'",
            (number, turn.answer),
        ).fetchone():
            execute("INSERT OR REPLACE INTO open_answers VALUES (?, ?, ?)", (number, turn.answer, sequence))

    def _apply_title(self, titled: Titled) -> None:
        changed = self._database.execute(
            "UPDATE conversations SET title = ?, by_user = ?"
            " WHERE project = ? AND conversation = ? AND deleted = 0"
            " AND (? OR NOT by_user) RETURNING number",
            (titled.title, titled.by_user, titled.project, titled.conversation, titled.by_user),
        ).fetchone()
        if changed:
            self._index(-changed[0], changed[0], titled.title)

    def _apply_deletion(self, deleted: Deleted) -> None:
        execute = self._database.execute
        found = execute(
            "UPDATE conversations SET deleted = 1, turns = 0, title = ''"
            " WHERE project = ? AND conversation = ?"
            " RETURNING number",
            (deleted.project, deleted.conversation),
        ).fetchone()
        if found:
            execute("DELETE FROM texts WHERE rowid IN (SELECT sequence FROM turns WHERE number = ?)", found)
            execute("DELETE FROM texts WHERE rowid = -?", found)
            execute("DELETE FROM turns WHERE number = ?", found)
            execute("DELETE FROM open_answers WHERE number = ?", found)

    def _apply_forgetting(self, forgotten: TurnsForgotten) -> None:
        """Remove exchanges; a conversation that has none left is gone."""
        execute = self._database.execute
        row = execute(
            "SELECT number FROM conversations WHERE project = ? AND conversation = ?",
            (forgotten.project, forgotten.conversation),
        ).fetchone()
        if row is None:
            return
        for answer in forgotten.answers:
            where = "number = ? AND answer = ?"
            execute(
                f"DELETE FROM texts WHERE rowid IN (SELECT sequence FROM turns WHERE {where})",  # noqa: S608  a constant
                (*row, answer),
            )
            execute(f"DELETE FROM turns WHERE {where}", (*row, answer))  # noqa: S608  a constant
            execute(f"DELETE FROM open_answers WHERE {where}", (*row, answer))  # noqa: S608  a constant
        first = execute("SELECT entry FROM turns WHERE number = ? ORDER BY sequence LIMIT 1", row).fetchone()
        # An automatic title may hold what was forgotten.
        title = title_of(_turn(first[0]).text) if first else ""
        execute(
            "UPDATE conversations SET turns = (SELECT count(*) FROM turns t WHERE t.number = ?1),"
            " title = CASE WHEN by_user AND ?2 != '' THEN title ELSE ?2 END WHERE number = ?1",
            (*row, title),
        )
        self._index(-row[0], row[0], title)

    def _index(self, rowid: int, number: int, text: str) -> None:
        """Make a text findable; titles have the negative of their conversation's number as rowid."""
        self._database.execute(
            "INSERT OR REPLACE INTO texts (rowid, text, number) VALUES (?, ?, ?)",
            (rowid, _spaced(text), number),
        )


def title_of(question: str) -> str:
    """Return a conversation's title: the question's first sentence, at most TITLE_CHARS, whole words."""
    line = next((line for line in question.splitlines() if re.search(r"\w", line)), "")
    line = " ".join(re.sub(r"^[\s#>*`-]+|[*`]+", "", line).split())
    # A dot ends a sentence only before a space, so that "v1.2" and "acks.md" stay whole.
    sentence = re.split(r"(?<=[.!?])\s|(?<=[\u3002\uff01\uff1f])", line, maxsplit=1)[0].strip() or "Untitled"
    if len(sentence) <= TITLE_CHARS:
        return sentence.rstrip(".\u3002") or "Untitled"
    cut = sentence[:TITLE_CHARS]
    at_word = cut.rsplit(" ", 1)[0] if " " in cut[TITLE_CHARS // 2 :] else cut[:-1]
    return at_word.rstrip(" ,;:.-") + "\u2026"


_WIDE = re.compile(r"([\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff])")


def _spaced(text: str) -> str:
    """Return a text in which each character of a script without spaces is a word."""
    return text if text.isascii() else _WIDE.sub(r" \1 ", text)


def _match_query(matching: str) -> str:
    """Return the FTS5 query for words that must all occur, the last letters of each left open."""
    words = [" ".join(re.findall(r"\w+", _spaced(word))) for word in matching.split()]
    return " AND ".join(f'"{word}"*' for word in words if word)


def _turn(entry: bytes) -> Turn:
    return msgspec.json.decode(entry, type=Turn)
