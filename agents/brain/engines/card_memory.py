"""How many layers go on the cards when their memory does not suffice, at the start or later.

Loading tries fewer layers until one try succeeds; on the CPU it always may. A
card can also run out of memory under answers, and takes the process along. So
the brain writes down what it has on the cards, and its successor finds in
``Settings.card_memory`` that it died: after a death with no more memory, and
after two deaths of whatever cause within ten minutes, fewer layers are tried.
``karais up`` begins anew.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

SOON_S = 600.0
"""Deaths within this time belong together."""
_DEATHS = 2
_FEWEST = 8
"""Less than an eighth of the layers on the card is not worth the way there and back."""


class Record(Struct, frozen=True, kw_only=True):
    """What is known from earlier processes."""

    pid: int = 0
    """The process that has layers on the cards; 0 when it ended in order."""
    layers: int = 0
    """How many; negative for as many as fit."""
    deaths: tuple[float, ...] = ()
    """When processes with layers on the cards died, in seconds since the epoch."""
    most: int | None = None
    """Layers that may be tried; None for any number."""
    reason: str = ""
    """Why not more."""


def fewer(layers: int, total: int) -> int:
    """Return the next smaller number of layers to try; 0 when only the CPU is left."""
    half = (total if layers < 0 or layers > total else layers) // 2
    return half if half and half * _FEWEST >= total else 0


def layers_to_try(wanted: int, total: int, most: int | None = None) -> tuple[int, ...]:
    """Return numbers of layers, most first and 0 last, of which the first that loads is taken.

    ``wanted`` is the setting: negative for as many as fit. ``total`` is the
    model's layers, 0 when it is not known; ``most`` bounds them all.
    """
    first = wanted
    if most is not None and (wanted < 0 or most < wanted):
        first = most
    found = []
    while first != 0:
        found.append(first)
        first = fewer(first, total) if total else 0
    return (*found, 0)


def after_death(record: Record, total: int, now: float) -> Record:
    """Return the record after its process died with layers on the cards, for whatever reason."""
    deaths = (*(at for at in record.deaths if now - at < SOON_S), now)
    died = msgspec.structs.replace(record, pid=0, deaths=deaths)
    if len(deaths) < _DEATHS:
        return died
    minutes = round(SOON_S / 60)
    return stepped_down(died, total, f"the brain died {len(deaths)} times within {minutes} minutes")


def stepped_down(record: Record, total: int, reason: str) -> Record:
    """Return the record with fewer layers allowed than were tried last."""
    return Record(most=fewer(record.layers, total), layers=record.layers, reason=reason)


def alert(card: str, layers: int, total: int, reason: str) -> str:
    """Return what the owner should know when fewer layers than wanted are on the card."""
    of = f" of {total}" if total else ""
    where = f"only {layers}{of} layers are on {card}" if layers else f"nothing is on {card}"
    return (
        f"Answers are slower: {where}, since {reason}. End what else uses the card, or choose a smaller"
        " model or `context`; then `karais down` and `karais up`."
    )


class CardMemory:
    """The record on disk, for one process with layers on the cards."""

    def __init__(self, file: Path, total: int) -> None:
        """Read it; a process that died is taken into account."""
        self._file = file
        self._total = total
        try:
            record = msgspec.json.decode(self._file.read_bytes(), type=Record)
        except (OSError, msgspec.MsgspecError):
            record = Record()
        if record.pid and (record.pid == os.getpid() or not psutil.pid_exists(record.pid)):
            # The same id is another process's: in a container each one gets the same.
            record = after_death(record, total, time.time())
            self._write(record)
        self.record = record

    def loaded(self, layers: int) -> None:
        """Note what this process has on the cards from now on."""
        self.record = msgspec.structs.replace(self.record, pid=os.getpid(), layers=layers)
        self._write(self.record)

    def exhausted(self) -> None:
        """Note that a card had no more memory: the next process shall take less of it."""
        self.record = stepped_down(self.record, self._total, "the card ran out of memory under answers")
        self._write(self.record)

    def ended(self) -> None:
        """Note that this process ends in order."""
        if self.record.pid:
            self.record = msgspec.structs.replace(self.record, pid=0)
            self._write(self.record)

    def _write(self, record: Record) -> None:
        draft = self._file.with_suffix(".draft")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_bytes(msgspec.json.encode(record))
            draft.replace(self._file)
        except OSError:
            draft.unlink(missing_ok=True)  # without a record, the next process tries what this one did
