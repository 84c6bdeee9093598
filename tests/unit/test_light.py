"""Processes stay small: what is heavy is imported by those who need it, when they need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "lancedb", "pyarrow", "numpy", "xllamacpp", "sentence_transformers", "gguf", "pypdf", "bs4")


@pytest.mark.parametrize(
    "module",
    [
        "ops.cli",
        "ops.up",
        "ops.client",
        "edge",
        "agents.brain.agent",
        "agents.embedder",
        "agents.gateway.agent",
        "agents.librarian",
        "agents.memory",
    ],
)
def test_importing_brings_nothing_heavy(module: str) -> None:
    """A module of an agent or of the command line imports without torch, LanceDB and their like."""
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
