"""What the supervisor tells its owner: on the terminal, in a pipe, as JSON, and in its log."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


class Announcer:
    """Prints short sentences as they happen; a terminal that is gone is not an error."""

    def __init__(self, log: Path, *, as_json: bool = False) -> None:
        self._log = log
        self._as_json = as_json
        self._colour = not as_json and sys.stdout.isatty()

    def say(self, sentence: str, *, style: str = "") -> None:
        """Tell what happened."""
        self._keep(sentence)
        if not self._as_json:
            self._print(f"\x1b[{style}m{sentence}\x1b[0m" if self._colour and style else sentence)

    def fact(self, **facts: Any) -> None:
        """Print facts as one line of JSON, if that was asked for."""
        if self._as_json:
            self._print(json.dumps(facts, ensure_ascii=False))

    def problem(self, sentence: str) -> None:
        """Tell what went wrong, on the standard error stream."""
        self._keep(sentence)
        self.fact(error=sentence)
        self._print(f"karais: {sentence}", error=True)

    def _print(self, text: str, *, error: bool = False) -> None:
        try:
            print(text, file=sys.stderr if error else sys.stdout, flush=True)
        except (OSError, ValueError):
            self._colour = False  # The terminal was closed; the log goes on.

    def _keep(self, sentence: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        try:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(f"{stamp} {sentence}\n")
        except OSError:
            return  # A full disk must not end the supervisor.
