"""What a benchmark prints: a table for a person, and last one line of JSON for a program."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured value and what it had to reach."""

    name: str
    value: float | None
    """None when it could not be measured."""
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None without a goal."""
        if self.at_most is None and self.at_least is None:
            return None
        if self.value is None or math.isnan(self.value):
            return False
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def goal(self) -> str:
        """The goal as a person reads it."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else ""


@dataclass
class Report:
    """The figures of one run."""

    bench: str
    packages: Sequence[str] = ()
    """Distributions whose versions matter."""
    figures: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Comparators and parts that could not be run, each with the reason."""
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        value: float | None,
        unit: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        note: str = "",
    ) -> None:
        """Add a figure."""
        self.figures.append(Figure(name, value, unit, at_most, at_least, note))

    def show(self, *, json_only: bool = False, samples: bool = False) -> int:
        """Print the report; return 0 when every goal is met, else 1."""
        if not json_only:
            self._table()
        line: dict[str, Any] = {
            "bench": self.bench,
            "machine": machine(),
            "versions": versions(self.packages),
            "figures": {
                f.name.strip(): {"value": _rounded(f.value), "unit": f.unit}
                | ({"goal": f.goal, "met": f.met} if f.met is not None else {})
                for f in self.figures
            },
            "met": all(f.met is not False for f in self.figures),
            "missing": self.missing,
        }
        if samples:
            line["samples"] = {name: [_rounded(v) for v in values] for name, values in self.samples.items()}
        print(json.dumps(line, ensure_ascii=False))
        return 0 if line["met"] else 1

    def _table(self) -> None:
        table = Table(title=f"karais bench {self.bench}", title_justify="left")
        for column in ("figure", "value", "unit", "goal", "met", "note"):
            table.add_column(column, justify="right" if column == "value" else "left")
        for figure in self.figures:
            value = "not measured" if figure.value is None else f"{figure.value:.4g}"
            met = {True: "yes", False: "[bold]no[/bold]", None: ""}[figure.met]
            table.add_row(figure.name, value, figure.unit, figure.goal, met, figure.note)
        console = Console(stderr=False)
        console.print(table)
        for name in self.missing:
            console.print(f"not run: {name}")


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the values lie; nan without values."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def median(values: Iterable[float]) -> float:
    """Return the middle value; nan without values."""
    return percentile(values, 0.5)


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    import psutil

    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "cpu": name,
        "cores": psutil.cpu_count(logical=True),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of KARAIS and of the given distributions."""
    found = {}
    for package in ("karais", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(f"{value:.5g}")
