"""The conversations, as a projection of the log CHAT in SQLite.

The log is the truth and this file can be thrown away at any time: it is built
again from sequence 0 when its schema is older, when SQLite finds it damaged,
and when the log was made anew. So it runs with ``synchronous=NORMAL``: a power
cut may take its last transactions, never its consistency, and as the sequence
it stands at is written in the same transaction, the log fills in what is lost.

What was forgotten leaves a tombstone without text, so that nothing that comes
late brings it back, and a line in ``to_erase`` until the log's own messages are
erased: whoever is killed in between finds there what is left to do.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.chat import Compacted, Deleted, Titled, Turn
from schemas.forgetting import TurnsForgotten
from stores.conversations.naming import source_of, title_of, turn_source
from stores.conversations.reading import ConversationQueries, decode_summary, decode_turn
from stores.full_text import spaced
from stores.rebuildable import transaction

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    project TEXT NOT NULL, conversation TEXT NOT NULL, user TEXT NOT NULL,
    title TEXT NOT NULL, by_user INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, updated REAL NOT NULL,
    turns INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, conversation)
);
CREATE INDEX by_time ON conversations (project, user, updated);
CREATE TABLE turns (
    sequence INTEGER PRIMARY KEY,
    number INTEGER NOT NULL REFERENCES conversations (number),
    answer TEXT NOT NULL, role TEXT NOT NULL, entry BLOB NOT NULL,
    UNIQUE (number, answer, role)
);
CREATE INDEX by_conversation ON turns (number, sequence);
CREATE TABLE summaries (
    sequence INTEGER PRIMARY KEY,
    number INTEGER NOT NULL REFERENCES conversations (number), entry BLOB NOT NULL
);
CREATE INDEX summaries_by_conversation ON summaries (number, sequence);
CREATE TABLE open_answers (number INTEGER, answer TEXT, sequence INTEGER, PRIMARY KEY (number, answer));
CREATE VIRTUAL TABLE texts USING fts5 (text, number UNINDEXED, tokenize = "unicode61 remove_diacritics 2");
CREATE TABLE recalled (
    source TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (source, sequence)
) WITHOUT ROWID;
CREATE INDEX recalled_by ON recalled (sequence);
CREATE TABLE unsupported (source TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX unsupported_by ON unsupported (sequence);
CREATE TABLE forgotten (
    project TEXT NOT NULL, conversation TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (project, conversation, answer)
) WITHOUT ROWID;
CREATE TABLE forgotten_sources (source TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE to_erase (
    number INTEGER PRIMARY KEY AUTOINCREMENT, marked INTEGER NOT NULL, entry BLOB NOT NULL
);
"""


class Conversations(ConversationQueries):
    """The projection. Its methods block for milliseconds and may be called from any thread."""

    schema = _SCHEMA
    version = 5

    def apply(self, entry: Turn | Compacted | Titled | Deleted | TurnsForgotten, sequence: int) -> None:
        """Take in the log's entry at ``sequence``; one that was taken in before changes nothing."""
        with self._applying(sequence) as is_new:
            if is_new:
                match entry:
                    case Turn():
                        self._apply_turn(entry, sequence)
                    case Compacted():
                        self._apply_summary(entry, sequence)
                    case Titled():
                        self._apply_title(entry)
                    case Deleted():
                        self._apply_deletion(entry)
                    case TurnsForgotten():
                        self._forget(entry, marked=True)
        if is_new and isinstance(entry, Deleted | TurnsForgotten):
            self.scrub()

    def scrub(self) -> None:
        """As for every projection; the words of what was deleted leave the full-text index as well."""
        with self._lock, transaction(self._database):
            self._database.execute("INSERT INTO texts (texts) VALUES ('optimize')")
        super().scrub()

    def erased(self, numbers: Sequence[int]) -> None:
        """Take note that nothing of these is left anywhere."""
        with self._lock, transaction(self._database):
            self._database.executemany("DELETE FROM to_erase WHERE number = ?", [(n,) for n in numbers])

    def _apply_turn(self, turn: Turn, sequence: int) -> None:
        execute = self._database.execute
        if self._is_forgotten(turn.project, turn.conversation, turn.answer):
            # Such as the answer that ran while its conversation was forgotten.
            self._note_to_erase(turn, (turn.answer,), turn.at, marked=True)
            return
        row = execute(
            "SELECT number FROM conversations WHERE project = ? AND conversation = ?",
            (turn.project, turn.conversation),
        ).fetchone()
        if row is None:
            title = title_of(turn.text) if turn.role == "user" else ""
            execute(
                "INSERT INTO conversations (project, conversation, user, title, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?)",
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
        sources = {(source_of(p.id), sequence) for p in turn.passages if p.kind != "document"}
        self._database.executemany("INSERT INTO recalled VALUES (?, ?)", sorted(sources))
        if turn.role == "assistant" and turn.grounding != "supported":
            source = turn_source(turn.project, turn.conversation, turn.answer, turn.role)
            execute("INSERT OR REPLACE INTO unsupported VALUES (?, ?)", (source, sequence))
        if row is None:
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

    def _apply_summary(self, summary: Compacted, sequence: int) -> None:
        """Keep a summary of turns that are all here, and of no others; else have it erased."""
        row = self._database.execute(
            "SELECT number FROM conversations WHERE project = ? AND conversation = ? AND user = ?",
            (summary.project, summary.conversation, summary.user),
        ).fetchone()
        if row and self._summarised_until(row[0]) == summary.after and self._has_all(row[0], summary.turns):
            self._database.execute(
                "INSERT INTO summaries VALUES (?, ?, ?)", (sequence, row[0], msgspec.json.encode(summary))
            )
        else:
            # It was written while something that it stands for was forgotten, or the summary before it,
            # whose words it has as well.
            self._note_to_erase(summary, (), summary.at, marked=True)

    def _apply_title(self, titled: Titled) -> None:
        changed = self._database.execute(
            "UPDATE conversations SET title = ?, by_user = ?"
            " WHERE project = ? AND conversation = ?"
            " AND (? OR NOT by_user) RETURNING number",
            (titled.title, titled.by_user, titled.project, titled.conversation, titled.by_user),
        ).fetchone()
        if changed:
            self._index(-changed[0], changed[0], titled.title)
        elif self._database.execute(
            "SELECT 1 FROM forgotten WHERE project = ? AND conversation = ?",
            (titled.project, titled.conversation),
        ).fetchone():
            self._note_to_erase(titled, (), titled.at, marked=True)

    def _apply_deletion(self, deleted: Deleted) -> None:
        """Forget the whole conversation."""
        rows = self._database.execute(
            "SELECT DISTINCT t.answer FROM turns t JOIN conversations c USING (number)"
            " WHERE c.project = ? AND c.conversation = ? ORDER BY t.answer",
            (deleted.project, deleted.conversation),
        ).fetchall()
        if rows:
            self._forget(
                TurnsForgotten(
                    user=deleted.user,
                    project=deleted.project,
                    conversation=deleted.conversation,
                    answers=tuple(answer for (answer,) in rows),
                    at=deleted.at,
                ),
                marked=False,
            )

    def _forget(self, forgotten: TurnsForgotten, *, marked: bool) -> None:
        """Remove exchanges; a conversation that has none left is gone."""
        execute = self._database.execute
        place = (forgotten.project, forgotten.conversation)
        self._note_to_erase(forgotten, forgotten.answers, forgotten.at, marked=marked)
        for answer in forgotten.answers:
            execute("INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?)", (*place, answer))
            for role in ("user", "assistant"):
                source = turn_source(*place, answer, role)
                execute("INSERT OR REPLACE INTO forgotten_sources VALUES (?, ?)", (source, forgotten.at))
        row = execute(
            "SELECT number, title, by_user FROM conversations WHERE project = ? AND conversation = ?", place
        ).fetchone()
        if row is None:
            return
        number, title, by_user = row
        self._forget_summaries(number, set(forgotten.answers))
        for answer in forgotten.answers:
            of_it = "(SELECT sequence FROM turns WHERE number = ? AND answer = ?)"
            execute(f"DELETE FROM texts WHERE rowid IN {of_it}", (number, answer))  # noqa: S608  a constant
            for table in ("recalled", "unsupported"):
                execute(f"DELETE FROM {table} WHERE sequence IN {of_it}", (number, answer))  # noqa: S608  constants
            execute("DELETE FROM turns WHERE number = ? AND answer = ?", (number, answer))
            execute("DELETE FROM open_answers WHERE number = ? AND answer = ?", (number, answer))
        first = execute(
            "SELECT entry FROM turns WHERE number = ? ORDER BY sequence LIMIT 1", (number,)
        ).fetchone()
        if first is None:
            execute("DELETE FROM texts WHERE rowid = -?", (number,))
            execute("DELETE FROM summaries WHERE number = ?", (number,))
            execute("DELETE FROM conversations WHERE number = ?", (number,))
            return
        # An automatic title may hold what was forgotten.
        title = title if by_user else title_of(decode_turn(first[0]).text)
        execute(
            "UPDATE conversations SET turns = (SELECT count(*) FROM turns t WHERE t.number = ?1),"
            " title = ?2 WHERE number = ?1",
            (number, title),
        )
        self._index(-number, number, title)

    def _forget_summaries(self, number: int, answers: set[str]) -> None:
        """Remove the first summary that stands for one of these exchanges, and those that build on it."""
        for sequence, entry in self._database.execute(
            "SELECT sequence, entry FROM summaries WHERE number = ? ORDER BY sequence", (number,)
        ).fetchall():
            if answers.intersection(decode_summary(entry).turns):
                self._database.execute(
                    "DELETE FROM summaries WHERE number = ? AND sequence >= ?", (number, sequence)
                )
                return

    def _note_to_erase(
        self,
        entry: Turn | Compacted | Titled | TurnsForgotten,
        answers: tuple[str, ...],
        at: float,
        *,
        marked: bool,
    ) -> None:
        line = TurnsForgotten(
            user=entry.user,
            project=entry.project,
            conversation=entry.conversation,
            answers=answers,
            at=at,
        )
        self._database.execute(
            "INSERT INTO to_erase (marked, entry) VALUES (?, ?)", (marked, msgspec.json.encode(line))
        )

    def _index(self, rowid: int, number: int, text: str) -> None:
        """Make a text findable; titles have the negative of their conversation's number as rowid."""
        self._database.execute(
            "INSERT OR REPLACE INTO texts (rowid, text, number) VALUES (?, ?, ?)",
            (rowid, spaced(text), number),
        )
