"""`karais bench recall`: how well, how fast and how truly KARAIS finds again, beside others in the same run.

Parts: ``quality`` (LoCoMo and Cranfield against BM25, the embedding model and
their fusion), ``scale`` (100,000 passages and more), ``memory`` (precision of
what is learned from conversations), ``citations``. A part whose data is not
named is listed as missing.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bus import settings
from ops.bench import recall_quality
from ops.bench.figures import Report
from schemas.errors import KaraisError
from schemas.failure import Code

PARTS = {
    "scale": "ops.bench.search_scale",
    "memory": "ops.bench.memory_quality",
    "citations": "ops.bench.citations",
}
"""Further parts, each a module with ``measure``; one with ``add_options`` has options of its own."""


def main(argv: Sequence[str]) -> int:
    """Measure; return 0 when every goal is met."""
    known = settings.load()
    parser = argparse.ArgumentParser(prog="karais bench recall", description=__doc__)
    parser.add_argument("--locomo", type=Path, help="a file of LoCoMo conversations (JSON)")
    parser.add_argument("--cranfield", type=Path, help="a folder with corpus.jsonl and queries*.jsonl")
    every_part = ",".join(("quality", *PARTS))
    parser.add_argument("--parts", default=every_part, help="which to run, with commas between")
    parser.add_argument(
        "--model", type=Path, default=known.models / known.embedding_model, help="embedding model's folder"
    )
    parser.add_argument("--cache", type=Path, default=known.home / "bench", help="where vectors are kept")
    parser.add_argument("--json", action="store_true", help="print only the line of JSON")
    parser.add_argument("--samples", action="store_true", help="add each question's figure to it")
    modules = {}
    missing = []
    for part, name in PARTS.items():
        try:
            modules[part] = import_module(name)
        except ModuleNotFoundError as error:
            missing.append(f"{part}: {error.name} is not installed")
            continue
        if hasattr(modules[part], "add_options"):
            modules[part].add_options(parser)
    options = parser.parse_args(argv)
    parts = [part.strip() for part in options.parts.split(",") if part.strip()]
    unknown = sorted(set(parts) - {"quality", *PARTS})
    if unknown:
        raise KaraisError(
            f"There is no part {unknown[0]}; there are quality, {', '.join(PARTS)}.", code=Code.INVALID
        )
    report = Report("recall", ("lancedb", "numpy", "torch", "bm25s", "PyStemmer"))
    report.missing += [line for line in missing if line.partition(":")[0] in parts]

    async def measure() -> None:
        if "quality" in parts:
            await recall_quality.measure(report, options, options.model, options.cache)
        for part, module in modules.items():
            if part in parts:
                await module.measure(report, options)

    asyncio.run(measure())
    return report.show(json_only=options.json, samples=options.samples)
