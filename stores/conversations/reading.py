"""What is asked of the conversations; nothing here changes them."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from schemas.chat import Compacted, Conversation, History, Turn
from schemas.forgetting import TurnsForgotten
from stores.full_text import match_query
from stores.projection import Projection


class ConversationQueries(Projection):
    """The questions. Each blocks for milliseconds and may come from any thread."""

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
        return tuple(decode_turn(entry) for (entry,) in rows)

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
        return tuple(decode_turn(entry) for (entry,) in rows)

    def unsupported(self, sources: Collection[str]) -> set[str]:
        """Return those of these turns, by their sources, that are answers which no passage supported."""
        with self._lock:
            rows = self._database.execute(
                "SELECT source FROM unsupported WHERE source IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(sorted(sources)).decode(),),
            ).fetchall()
        return {source for (source,) in rows}

    def recalled_too_late(self) -> tuple[Turn, ...]:
        """Return the answers that ended with a passage of a turn that was forgotten meanwhile."""
        with self._lock:
            rows = self._database.execute(
                "SELECT t.entry, f.at FROM forgotten_sources f JOIN recalled r USING (source)"
                " JOIN turns t USING (sequence)"
            ).fetchall()
        return tuple(turn for turn, at in ((decode_turn(entry), at) for entry, at in rows) if turn.at > at)

    def of_project(self, project: str) -> tuple[Turn, ...]:
        """Return the turns of a project, of all users, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT t.entry FROM turns t JOIN conversations c USING (number) WHERE c.project = ?"
                " ORDER BY t.sequence",
                (project,),
            ).fetchall()
        return tuple(decode_turn(entry) for (entry,) in rows)

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
        return tuple((sequence, decode_turn(entry)) for sequence, entry in rows)

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
        return tuple(decode_turn(entry) for (entry,) in reversed(rows))

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
            summary = self._newest_summary(number)
        return History(
            conversation=conversation,
            title=title,
            turns=tuple(decode_turn(entry) for _, entry in reversed(rows)),
            sequence=rows[0][0] if rows else 0,
            answering=answering[0] if answering else "",
            summary=decode_summary(summary[1]) if summary else None,
            summarised=summary[0] if summary else 0,
        )

    def summaries(self, project: str, conversation: str) -> set[int]:
        """Return the positions in the log of the summaries of a conversation."""
        with self._lock:
            rows = self._database.execute(
                "SELECT sequence FROM summaries JOIN conversations USING (number)"
                " WHERE project = ? AND conversation = ?",
                (project, conversation),
            ).fetchall()
        return {sequence for (sequence,) in rows}

    def _newest_summary(self, number: int) -> tuple[int, bytes] | None:
        row: tuple[int, bytes] | None = self._database.execute(
            "SELECT sequence, entry FROM summaries WHERE number = ? ORDER BY sequence DESC LIMIT 1", (number,)
        ).fetchone()
        return row

    def _summarised_until(self, number: int) -> str:
        """Return the last exchange that a conversation's summaries stand for; empty without any."""
        row = self._newest_summary(number)
        return decode_summary(row[1]).turns[-1] if row else ""

    def _has_all(self, number: int, answers: Collection[str]) -> bool:
        """Say whether all these exchanges, of which there are some, are in a conversation."""
        (found,) = self._database.execute(
            "SELECT count(DISTINCT answer) FROM turns WHERE number = ?"
            " AND answer IN (SELECT value FROM json_each(?))",
            (number, msgspec.json.encode(sorted(answers)).decode()),
        ).fetchone()
        return bool(answers) and int(found) == len(answers)

    def unanswered(self) -> tuple[Turn, ...]:
        """Return the questions, of all projects, that have no answer in the log yet; oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT entry FROM turns JOIN open_answers USING (sequence) ORDER BY sequence"
            ).fetchall()
        return tuple(decode_turn(entry) for (entry,) in rows)

    def _is_forgotten(self, project: str, conversation: str, answer: str) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM forgotten WHERE project = ? AND conversation = ? AND answer = ?",
            (project, conversation, answer),
        ).fetchone()
        return found is not None


def decode_summary(entry: bytes) -> Compacted:
    """Return a summary from how the table has it."""
    return msgspec.json.decode(entry, type=Compacted)


def decode_turn(entry: bytes) -> Turn:
    """Return a turn from how the table has it."""
    return msgspec.json.decode(entry, type=Turn)
