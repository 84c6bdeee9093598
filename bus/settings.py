"""What the owner can choose, and where things are kept.

Each setting comes, in this order, from the command line, from an environment
variable ``KARAIS_<NAME>``, from ``karais.toml`` in the data folder, or from
the default written here. Agents that ``karais up`` starts get the result
through their environment, so a process can be started by hand in the same way.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.errors import KaraisError
from schemas.failure import Code


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one KARAIS on one machine."""

    home: Path = Path("~/.karais")
    """The data folder: everything that KARAIS keeps."""
    storage: Path | None = None
    """The folder with the owner's files; None when KARAIS shall know none."""
    nats: str = ""
    """URL of a NATS server that already runs; empty starts an own one."""
    host: str = "127.0.0.1"
    """Address on which the gateway listens."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 7878
    """Port of the gateway; 0 takes a free one."""
    bus_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Port of the own NATS server; 0 takes a free one and keeps it."""
    origins: tuple[str, ...] = ()
    """Further origins (scheme://host:port) from which the page may be used, such as a proxy's."""
    backup_days: Annotated[int, Meta(ge=0)] = 0
    """Days for which snapshots and backups of the data folder, made outside of KARAIS, are kept; 0 for none.
    KARAIS says, by it, until when they hold what was forgotten."""
    engine: Literal["auto", "llamacpp", "openvino", "transformers", "exllamav2", "scripted"] = "auto"
    """What runs the language model; ``auto`` chooses by what the machine and the weights allow."""
    model: str = "smollm2-135m-instruct"
    """Name of the language model, as ``karais models list`` shows it."""
    embedding_model: str = "all-minilm-l6-v2"
    slots: Annotated[int, Meta(ge=1, le=64)] = 8
    """Answers that the engine generates at a time."""
    context: Annotated[int, Meta(ge=512)] = 8192
    """Tokens of context, shared by the running answers."""
    threads: Annotated[int, Meta(ge=0)] = 0
    """Threads of the engine; 0 takes the physical cores."""
    gpu_layers: int = -1
    """Layers of the model on the GPU; -1 takes as many as fit, 0 none."""
    script: Path | None = None
    """What the scripted engine says; only with ``engine = "scripted"``."""

    @property
    def keys(self) -> Path:
        """Seeds of the agents' identities and the local API key, readable by the owner alone."""
        return self.home / "keys"

    @property
    def api_key(self) -> Path:
        """The key that the command line, the benches and API clients use."""
        return self.keys / "api.key"

    @property
    def mcp(self) -> Path:
        """Which servers of tools may be used; written by the administrator alone."""
        return self.home / "mcp.json"

    @property
    def bus(self) -> Path:
        """Configuration and JetStream files of the own NATS server."""
        return self.home / "bus"

    @property
    def models(self) -> Path:
        """Weights (Tier-0)."""
        return self.home / "models"

    @property
    def cache(self) -> Path:
        """What can be got or computed again: downloads, converted weights."""
        return self.home / "cache"

    @property
    def memory(self) -> Path:
        """LanceDB tables and projections of the log."""
        return self.home / "memory"

    @property
    def rebuilding(self) -> Path:
        """Where memory is built anew, while ``karais rebuild`` runs."""
        return self.home / "rebuilding"

    @property
    def logs(self) -> Path:
        """One log file an agent."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process ids, addresses and sockets of what runs now."""
        return self.home / "run"

    @property
    def card_memory(self) -> Path:
        """What the brain notes of cards whose memory did not suffice; a new ``karais up`` forgets it."""
        return self.run / "brain" / "gpu.json"


def load(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings for this process.

    ``overrides`` holds what was given on the command line; values of None are
    ignored. Raises KaraisError with code ``invalid``, naming the setting and
    where it was set, when a value does not fit.
    """
    given = {k: v for k, v in (overrides or {}).items() if v is not None}
    home = Path(given.get("home") or environ.get("KARAIS_HOME") or "~/.karais").expanduser().absolute()
    merged: dict[str, Any] = {}
    file = home / "karais.toml"
    if file.exists():
        try:
            merged |= tomllib.loads(file.read_text("utf-8"))
            _convert(merged, str(file))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise KaraisError(f"{file} is no valid TOML: {error}.", code=Code.INVALID) from None
    for name in Settings.__struct_fields__:
        value = environ.get(f"KARAIS_{name.upper()}")
        if value:
            merged[name] = value.split(",") if name == "origins" else value
            _convert({name: merged[name]}, f"the environment variable KARAIS_{name.upper()}")
    merged |= given
    merged["home"] = home
    settings = _convert(merged, "the command line")
    storage = settings.storage
    if storage is not None:
        settings = msgspec.structs.replace(settings, storage=storage.expanduser().absolute())
    return settings


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that give another process the same settings."""
    plain = msgspec.to_builtins(settings, enc_hook=str)
    return {
        f"KARAIS_{name.upper()}": ",".join(value) if isinstance(value, (list, tuple)) else str(value)
        for name, value in plain.items()
        if value not in (None, "", (), [])
    }


def _convert(values: Mapping[str, Any], where: str) -> Settings:
    def path(kind: type, value: Any) -> Any:
        if kind is Path:
            return Path(value)
        raise TypeError(kind)

    try:
        return msgspec.convert(dict(values), Settings, strict=False, dec_hook=path)
    except msgspec.ValidationError as error:
        raise KaraisError(f"A setting in {where} is wrong: {error}.", code=Code.INVALID) from None
