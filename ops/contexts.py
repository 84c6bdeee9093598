"""Contexts for the `nats` CLI."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bus.identities import INSPECTOR, OPERATOR, inbox_prefix, seed
from bus.server import url_of
from bus.settings import Settings


def write(settings: Settings, *, operator: bool = False, directory: Path | None = None) -> Path:
    """Write the context ``karais`` or ``karais-operator`` and return its file, mode 0600.

    With a server that is not KARAIS's own the context holds the URL alone.
    """
    identity = OPERATOR if operator else INSPECTOR
    name = "karais-operator" if operator else "karais"
    content = {"description": f"KARAIS in {settings.home}, as {identity}", "url": url_of(settings)}
    if not settings.nats:
        seed(settings.keys, identity)
        content["nkey"] = str(settings.keys / f"{identity}.nk")
        content["inbox_prefix"] = inbox_prefix(identity)
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folder = directory or configuration / "nats" / "context"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"{name}.json"
    draft = file.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
    draft.replace(file)
    return file
