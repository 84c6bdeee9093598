"""The version of KARAIS that runs."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """Return the installed version; ``unknown`` in a tree that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("karais")
    except metadata.PackageNotFoundError:
        return "unknown"
