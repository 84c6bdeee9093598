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

import hashlib
import logging
import re
from collections.abc import Sequence

import msgspec

from schemas.chat import Conversation, Deleted, History, Titled, Turn
from schemas.forgetting import TurnsForgotten
from stores.full_text import match_query, spaced
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
CREATE TABLE open_answers (number INTEGER, answer TEXT, sequence INTEGER, PRIMARY KEY (number, answer));
CREATE VIRTUAL TABLE texts USING fts5 (text, number UNINDEXED, tokenize = "unicode61 remove_diacritics 2");
CREATE TABLE recalled (
    source TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (source, sequence)
) WITHOUT ROWID;
CREATE INDEX recalled_by ON recalled (sequence);
CREATE TABLE forgotten (
    project TEXT NOT NULL, conversation TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (project, conversation, answer)
) WITHOUT ROWID;
CREATE TABLE forgotten_sources (source TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE to_erase (
    number INTEGER PRIMARY KEY AUTOINCREMENT, marked INTEGER NOT NULL, entry BLOB NOT NULL
);
"""


class Conversations(Projection):
    """The projection. Its methods block for milliseconds and may be called from any thread."""

    schema = _SCHEMA
    version = 3

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
                        self._forget(entry, marked=True)
        if is_new and isinstance(entry, Deleted | TurnsForgotten):
            self.scrub()

    def scrub(self) -> None:
        """As for every projection; the words of what was deleted leave the full-text index as well."""
        with self._lock, transaction(self._database):
            self._database.execute("INSERT INTO texts (texts) VALUES ('optimize')")
        super().scrub()

    def to_erase(self) -> tuple[tuple[int, bool, TurnsForgotten], ...]:
        """Return what is forgotten here and not erased from the log yet, each under a number.

        The flag says whether the log has the marker; that of a conversation
        that was deleted in the old way has to be written first.
        """
        with self._lock:
            rows = self._database.execute(
                "SELECT number, marked, entry FROM to_erase ORDER BY number"
            ).fetchall()
        return tuple(
            (number, bool(marked), msgspec.json.decode(entry, type=TurnsForgotten))
            for number, marked, entry in rows
        )

    def erased(self, numbers: Sequence[int]) -> None:
        """Take note that nothing of these is left anywhere."""
        with self._lock, transaction(self._database):
            self._database.executemany("DELETE FROM to_erase WHERE number = ?", [(n,) for n in numbers])

    def is_forgotten(self, project: str, conversation: str, answer: str) -> bool:
        """Say whether an exchange was forgotten for good."""
        with self._lock:
            return self._is_forgotten(project, conversation, answer)

    def holds(self, project: str, user: str, *, conversation: str = "", answer: str = "") -> tuple[Turn, ...]:
        """Return the turns of a conversation, or of one exchange, oldest first."""
        conditions, values = ["c.project = ?", "c.user = ?"], [project, user]
        if conversation:
            conditions.append("c.conversation = ?")
            values.append(conversation)
        if answer:
            conditions.append("t.answer = ?")
            values.append(answer)
        with self._lock:
            rows = self._database.execute(
                "SELECT t.entry FROM turns t JOIN conversations c USING (number)"  # noqa: S608  conditions are constants
                f" WHERE {' AND '.join(conditions)} ORDER BY t.sequence",
                values,
            ).fetchall()
        return tuple(_turn(entry) for (entry,) in rows)

    def knew(self, project: str, *, conversation: str = "", answer: str = "") -> bool:
        """Say whether there was a conversation, or an exchange, that is forgotten."""
        column, value = ("conversation", conversation) if conversation else ("answer", answer)
        with self._lock:
            found = self._database.execute(
                f"SELECT 1 FROM forgotten WHERE project = ? AND {column} = ?",  # noqa: S608  a constant
                (project, value),
            ).fetchone()
        return found is not None

    def recalling(self, source: str) -> tuple[Turn, ...]:
        """Return the answers, of all projects, to which a passage of a turn or a fact was given."""
        with self._lock:
            rows = self._database.execute(
                "SELECT t.entry FROM recalled r JOIN turns t USING (sequence) WHERE r.source = ?", (source,)
            ).fetchall()
        return tuple(_turn(entry) for (entry,) in rows)

    def recalled_too_late(self) -> tuple[Turn, ...]:
        """Return the answers that ended with a passage of a turn that was forgotten meanwhile."""
        with self._lock:
            rows = self._database.execute(
                "SELECT t.entry, f.at FROM forgotten_sources f JOIN recalled r USING (source)"
                " JOIN turns t USING (sequence)"
            ).fetchall()
        return tuple(turn for turn, at in ((_turn(entry), at) for entry, at in rows) if turn.at > at)

    def of_project(self, project: str) -> tuple[Turn, ...]:
        """Return the turns of a project, of all users, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT t.entry FROM turns t JOIN conversations c USING (number) WHERE c.project = ?"
                " ORDER BY t.sequence",
                (project,),
            ).fetchall()
        return tuple(_turn(entry) for (entry,) in rows)

    def title_by_user(self, project: str, conversation: str) -> str:
        """Return the title that the user gave a conversation; empty without one."""
        with self._lock:
            row = self._database.execute(
                "SELECT title FROM conversations WHERE project = ? AND conversation = ? AND by_user",
                (project, conversation),
            ).fetchone()
        return row[0] if row else ""

    def learn_from(self, after: int, limit: int) -> tuple[tuple[int, Turn], ...]:
        """Return the next turns behind a sequence with their sequences, of all projects, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT sequence, entry FROM turns WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        return tuple((sequence, _turn(entry)) for sequence, entry in rows)

    def until(self, project: str, conversation: str, answer: str, count: int) -> tuple[Turn, ...]:
        """Return the ``count`` turns of a conversation that end with this question, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT t.entry FROM turns t JOIN conversations c USING (number)"
                " WHERE c.project = ? AND c.conversation = ? AND t.sequence <="
                " (SELECT sequence FROM turns q WHERE q.number = t.number AND q.answer = ?"
                " AND q.role = 'user')"
                " ORDER BY t.sequence DESC LIMIT ?",
                (project, conversation, answer, count),
            ).fetchall()
        return tuple(_turn(entry) for (entry,) in reversed(rows))

    def list(
        self, project: str, user: str, *, limit: int = 100, before: float = 0, matching: str = ""
    ) -> tuple[Conversation, ...]:
        """Return a project's conversations, newest first; ``matching`` words may be beginnings."""
        conditions = ["project = ?", "user = ?", "turns > 0"]
        values: list[str | float | int] = [project, user]
        if before:
            conditions.append("updated < ?")
            values.append(before)
        if matching.strip():
            query = match_query(matching)
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
                "SELECT number, title FROM conversations WHERE project = ? AND conversation = ? AND user = ?",
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
        for answer in forgotten.answers:
            of_it = "(SELECT sequence FROM turns WHERE number = ? AND answer = ?)"
            execute(f"DELETE FROM texts WHERE rowid IN {of_it}", (number, answer))  # noqa: S608  a constant
            execute(f"DELETE FROM recalled WHERE sequence IN {of_it}", (number, answer))  # noqa: S608  a constant
            execute("DELETE FROM turns WHERE number = ? AND answer = ?", (number, answer))
            execute("DELETE FROM open_answers WHERE number = ? AND answer = ?", (number, answer))
        first = execute(
            "SELECT entry FROM turns WHERE number = ? ORDER BY sequence LIMIT 1", (number,)
        ).fetchone()
        if first is None:
            execute("DELETE FROM texts WHERE rowid = -?", (number,))
            execute("DELETE FROM conversations WHERE number = ?", (number,))
            return
        # An automatic title may hold what was forgotten.
        title = title if by_user else title_of(_turn(first[0]).text)
        execute(
            "UPDATE conversations SET turns = (SELECT count(*) FROM turns t WHERE t.number = ?1),"
            " title = ?2 WHERE number = ?1",
            (number, title),
        )
        self._index(-number, number, title)

    def _note_to_erase(
        self, entry: Turn | Titled | TurnsForgotten, answers: tuple[str, ...], at: float, *, marked: bool
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

    def _is_forgotten(self, project: str, conversation: str, answer: str) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM forgotten WHERE project = ? AND conversation = ? AND answer = ?",
            (project, conversation, answer),
        ).fetchone()
        return found is not None

    def _index(self, rowid: int, number: int, text: str) -> None:
        """Make a text findable; titles have the negative of their conversation's number as rowid."""
        self._database.execute(
            "INSERT OR REPLACE INTO texts (rowid, text, number) VALUES (?, ?, ?)",
            (rowid, spaced(text), number),
        )


def turn_source(project: str, conversation: str, answer: str, role: str) -> str:
    """Return the identity under which a turn's passages are kept: 32 hex digits."""
    named = "\x1f".join((project, conversation, answer, role))
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def source_of(passage: str) -> str:
    """Return the identity of the source that a passage, by its identity, is a piece of."""
    return passage.rpartition("-")[0]


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


def _turn(entry: bytes) -> Turn:
    return msgspec.json.decode(entry, type=Turn)
