"""The facts, as a projection of the log MEMORY in SQLite: what holds, what held, and since when.

Deleted rows are overwritten (``secure_delete``) and the write-ahead log is
emptied after a fact was forgotten, so that its text is in no file of the
projection. There is no full-text index for the same reason: a household's
facts are few enough to be looked through.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from schemas.base import GLOBAL
from schemas.memory import Fact, FactEdited, FactForgotten, FactLearned, Facts, FactWithHistory
from stores.projection import Projection
from stores.rebuildable import transaction
from stores.timeline import normalised, slot_of, timeline

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL, user TEXT NOT NULL, id TEXT NOT NULL, slot TEXT NOT NULL,
    at REAL NOT NULL, starts REAL NOT NULL, ends REAL, holds INTEGER NOT NULL,
    superseded_by TEXT NOT NULL DEFAULT '', words TEXT NOT NULL, entry BLOB NOT NULL,
    UNIQUE (project, user, id)
);
CREATE INDEX by_slot ON facts (project, user, slot);
CREATE INDEX by_time ON facts (project, user, at);
CREATE TABLE edits (
    project TEXT NOT NULL, user TEXT NOT NULL, wrong TEXT NOT NULL, replacement TEXT NOT NULL,
    PRIMARY KEY (project, user, wrong)
) WITHOUT ROWID;
CREATE TABLE forgotten (
    project TEXT NOT NULL, user TEXT NOT NULL, id TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (project, user, id)
) WITHOUT ROWID;
CREATE TABLE to_erase (number INTEGER PRIMARY KEY AUTOINCREMENT, entry BLOB NOT NULL);
"""
_COLUMNS = "number, starts, ends, superseded_by, entry"


class FactBook(Projection):
    """The projection. Its methods block for milliseconds and may be called from any thread."""

    schema = _SCHEMA
    version = 2

    def apply(self, entry: FactLearned | FactEdited | FactForgotten, sequence: int) -> None:
        """Take in the log's entry at ``sequence``; one that was taken in before changes nothing."""
        with self._applying(sequence) as is_new:
            if is_new:
                match entry:
                    case FactLearned():
                        self._learn(entry.project, entry.user, entry.learned)
                    case FactEdited():
                        self._edit(entry)
                    case FactForgotten():
                        self._forget(entry)
        if is_new and isinstance(entry, FactForgotten):
            self.scrub()

    def to_erase(self) -> tuple[tuple[int, FactForgotten], ...]:
        """Return what is forgotten here and not erased from the log yet, each under a number."""
        with self._lock:
            rows = self._database.execute("SELECT number, entry FROM to_erase ORDER BY number").fetchall()
        return tuple((number, msgspec.json.decode(entry, type=FactForgotten)) for number, entry in rows)

    def erased(self, numbers: Sequence[int]) -> None:
        """Take note that nothing of these is left anywhere."""
        with self._lock, transaction(self._database):
            self._database.executemany("DELETE FROM to_erase WHERE number = ?", [(n,) for n in numbers])

    def all(self, project: str) -> tuple[tuple[str, Fact], ...]:
        """Return every version of every fact of a project, each with its user, in the order of learning."""
        with self._lock:
            rows = self._database.execute(
                "SELECT user, entry FROM facts WHERE project = ? ORDER BY number", (project,)
            ).fetchall()
        return tuple((user, msgspec.json.decode(entry, type=Fact)) for user, entry in rows)

    def replaced_by(self, project: str, user: str, fact: str) -> tuple[str, ...]:
        """Return the versions that the user put right by this one."""
        with self._lock:
            rows = self._database.execute(
                "SELECT wrong FROM edits WHERE project = ? AND user = ? AND replacement = ?",
                (project, user, fact),
            ).fetchall()
        return tuple(wrong for (wrong,) in rows)

    def is_forgotten(self, project: str, user: str, fact: str) -> bool:
        """Say whether a fact was forgotten for good."""
        with self._lock:
            return self._is_forgotten(project, user, fact)

    def forgotten_at(self) -> dict[str, float]:
        """Return when each fact was forgotten that was, in seconds since the epoch."""
        with self._lock:
            return dict(self._database.execute("SELECT id, at FROM forgotten").fetchall())

    def list(
        self,
        project: str,
        user: str,
        *,
        matching: str = "",
        history: bool = False,
        as_of: float | None = None,
        with_global: bool = False,
        limit: int = 100,
        after: str = "",
    ) -> Facts:
        """Return facts, latest said first, each with the time in which it holds.

        Without ``history`` those that hold at ``as_of`` (seconds since the
        epoch, now by default); with it all that was ever learned, wrong and
        ended ones included. ``matching`` words may be beginnings.
        """
        projects = (project, GLOBAL) if with_global else (project,)
        conditions = [f"project IN ({', '.join('?' * len(projects))})", "user = ?"]
        values: list[str | float | int] = [*projects, user]
        if not history:
            moment = time.time() if as_of is None else as_of
            conditions.append("holds = 1 AND starts <= ? AND (ends IS NULL OR ends > ?)")
            values += [moment, moment]
        for word in normalised(matching).split():
            conditions.append("words LIKE ? ESCAPE '!'")
            values.append(f"% {_escaped(word)}%")
        with self._lock:
            if after:
                behind = self._database.execute(
                    f"SELECT at, number FROM facts WHERE {' AND '.join(conditions[:2])} AND id = ?",  # noqa: S608  conditions are constants
                    (*projects, user, after),
                ).fetchone()
                if behind is None:
                    return Facts(facts=())
                conditions.append("(at, number) < (?, ?)")
                values += behind
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM facts WHERE {' AND '.join(conditions)}"  # noqa: S608  conditions are constants
                " ORDER BY at DESC, number DESC LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
        return Facts(facts=tuple(_fact(row) for row in rows[:limit]), more=len(rows) > limit)

    def show(
        self, project: str, user: str, fact: str, *, with_global: bool = False
    ) -> FactWithHistory | None:
        """Return a fact with the other versions of its slot; None when it is not known here."""
        for place in (project, GLOBAL) if with_global else (project,):
            with self._lock:
                found = self._row(place, user, fact)
                if found is None:
                    continue
                rows = self._slot(place, user, found[1])
            numbers = [row[0] for row in rows]
            at = numbers.index(found[0])
            versions = [_fact(row) for row in rows]
            return FactWithHistory(
                fact=versions[at], earlier=tuple(versions[:at]), later=tuple(versions[at + 1 :])
            )
        return None

    def alike(self, project: str, user: str, fact: str) -> tuple[str, ...]:
        """Return the identities of all versions that say what this one says, itself included.

        They are forgotten together: else what was said twice would still be known.
        """
        shown = self.show(project, user, fact)
        if shown is None:
            return ()
        value = normalised(shown.fact.value)
        return tuple(
            other.id
            for other in (*shown.earlier, shown.fact, *shown.later)
            if normalised(other.value) == value
        )

    def knows(self, project: str, user: str, fact: str) -> bool:
        """Say whether a fact needs not be learned: it was learned, or it was forgotten for good."""
        with self._lock:
            return self._row(project, user, fact) is not None or self._is_forgotten(project, user, fact)

    def holds(self, project: str, user: str, fact: str, moment: float) -> bool:
        """Say whether a fact was learned and held at a moment, in seconds since the epoch."""
        with self._lock:
            row = self._database.execute(
                "SELECT 1 FROM facts WHERE project = ? AND user = ? AND id = ?"
                " AND holds = 1 AND starts <= ? AND (ends IS NULL OR ends > ?)",
                (project, user, fact, moment, moment),
            ).fetchone()
        return row is not None

    def numbered_from(self, after: int, limit: int) -> tuple[tuple[int, Fact], ...]:
        """Return the facts behind a number with their numbers, of all projects, in the order of learning."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM facts WHERE number > ? ORDER BY number LIMIT ?",  # noqa: S608  columns are constants
                (after, limit),
            ).fetchall()
        return tuple((row[0], _fact(row)) for row in rows)

    def _learn(self, project: str, user: str, fact: Fact) -> None:
        if self._is_forgotten(project, user, fact.id):
            # Its text is in the log once more.
            self._note_to_erase(FactForgotten(project=project, user=user, fact=fact.id, at=fact.at))
            return
        fact = msgspec.structs.replace(fact, project=project, superseded_by="")
        slot = slot_of(fact)
        self._database.execute(
            "INSERT INTO facts (project, user, id, slot, at, starts, holds, words, entry)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING",
            (
                project,
                user,
                fact.id,
                slot,
                fact.at,
                fact.valid_from,
                _words(fact),
                msgspec.json.encode(fact),
            ),
        )
        self._resolve(project, user, slot)

    def _edit(self, edited: FactEdited) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO edits VALUES (?, ?, ?, ?)",
            (edited.project, edited.user, edited.fact, edited.replacement.id),
        )
        self._learn(edited.project, edited.user, edited.replacement)
        wrong = self._row(edited.project, edited.user, edited.fact)
        if wrong:
            self._resolve(edited.project, edited.user, wrong[1])

    def _forget(self, forgotten: FactForgotten) -> None:
        key = (forgotten.project, forgotten.user, forgotten.fact)
        found = self._row(*key)
        self._note_to_erase(forgotten)
        self._database.execute("INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?, ?)", (*key, forgotten.at))
        # What the user had put right by it was wrong all the same.
        self._database.executemany(
            "INSERT OR REPLACE INTO edits VALUES (?, ?, ?, ?)",
            [(*key[:2], wrong, forgotten.fact) for wrong in forgotten.replaced],
        )
        for wrong in forgotten.replaced:
            known = self._row(*key[:2], wrong)
            if known:
                self._resolve(*key[:2], known[1])
        self._database.execute("DELETE FROM facts WHERE project = ? AND user = ? AND id = ?", key)
        if found:
            self._resolve(forgotten.project, forgotten.user, found[1])

    def _note_to_erase(self, forgotten: FactForgotten) -> None:
        self._database.execute("INSERT INTO to_erase (entry) VALUES (?)", (msgspec.json.encode(forgotten),))

    def _resolve(self, project: str, user: str, slot: str) -> None:
        """Work out anew when each version of a slot holds."""
        rows = self._slot(project, user, slot)
        facts = [msgspec.json.decode(row[4], type=Fact) for row in rows]
        numbers = {fact.id: row[0] for fact, row in zip(facts, rows, strict=True)}
        marks = ", ".join("?" * len(facts))
        edits = dict(
            self._database.execute(
                "SELECT wrong, replacement FROM edits"  # noqa: S608  only question marks are put in
                f" WHERE project = ? AND user = ? AND wrong IN ({marks})",
                (project, user, *numbers),
            ).fetchall()
        )
        for version in timeline(facts, edits):
            self._database.execute(
                "UPDATE facts SET starts = ?, ends = ?, holds = ?, superseded_by = ? WHERE number = ?",
                (
                    version.starts,
                    version.ends,
                    version.holds,
                    version.superseded_by,
                    numbers[version.fact.id],
                ),
            )

    def _slot(
        self, project: str, user: str, slot: str
    ) -> Sequence[tuple[int, float, float | None, str, bytes]]:
        return self._database.execute(
            f"SELECT {_COLUMNS} FROM facts WHERE project = ? AND user = ? AND slot = ?"  # noqa: S608  columns are constants
            " ORDER BY starts, at, number",
            (project, user, slot),
        ).fetchall()

    def _row(self, project: str, user: str, fact: str) -> tuple[int, str] | None:
        row: tuple[int, str] | None = self._database.execute(
            "SELECT number, slot FROM facts WHERE project = ? AND user = ? AND id = ?", (project, user, fact)
        ).fetchone()
        return row

    def _is_forgotten(self, project: str, user: str, fact: str) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM forgotten WHERE project = ? AND user = ? AND id = ?", (project, user, fact)
        ).fetchone()
        return found is not None


def _fact(row: tuple[int, float, float | None, str, bytes]) -> Fact:
    """Return the fact with the time in which it holds, as the slot's other versions leave it."""
    fact = msgspec.json.decode(row[4], type=Fact)
    return msgspec.structs.replace(fact, valid_from=row[1], valid_to=row[2], superseded_by=row[3])


def _words(fact: Fact) -> str:
    """Return what is searched: every word behind a space."""
    return " " + " ".join("".join(c if c.isalnum() else " " for c in normalised(fact.text)).split())


def _escaped(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
