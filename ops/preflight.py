"""What must be right before anything is started, each failure in one sentence."""

from __future__ import annotations

import errno
import os
import shutil
import socket

from bus.settings import Settings
from ops.exits import ConfigurationError, explained
from schemas.errors import KaraisError

SERVER_PARTS = ("bs4", "gguf", "lancedb", "pypdf", "torch", "xllamacpp")
"""Packages that only the extra ``server`` brings."""
NEEDED_BYTES = 64 * 2**20
"""Free space below which the bus could not keep its log."""


def check(settings: Settings) -> None:
    """Prepare the data folder and raise ConfigurationError for what would keep KARAIS from running."""
    parts()
    folders(settings)
    disk(settings)
    storage(settings)
    weights(settings)
    port(settings)


def parts() -> None:
    """Refuse to serve from an installation that is only a client's."""
    from importlib.util import find_spec

    missing = [name for name in SERVER_PARTS if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"This installation is only a client ({', '.join(missing)} are missing): "
            "run `pip install 'karais[server]'` to make this machine a server."
        )


def folders(settings: Settings) -> None:
    """Make the data folder and its parts, readable by their owner alone."""
    try:
        for folder in (settings.home, settings.run, settings.logs, settings.keys):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise ConfigurationError(
                    f"The folder {folder} cannot be written: give it to the user that runs KARAIS,"
                    " or choose another data folder with KARAIS_HOME."
                )
        probe = settings.run / ".probe"
        probe.write_bytes(b"\0" * 65536)
        probe.unlink()
    except FileExistsError as error:
        raise ConfigurationError(f"{error.filename} is a file, but KARAIS keeps a folder there.") from None
    except OSError as error:
        raise explained(error) from None


def disk(settings: Settings) -> None:
    """Refuse a data folder on a disk that is full."""
    free = shutil.disk_usage(settings.home).free
    if free < NEEDED_BYTES:
        raise ConfigurationError(
            f"The disk of {settings.home} is full: {free // 2**20} MiB are free and {NEEDED_BYTES // 2**20}"
            " are needed; free some space, or choose another data folder with KARAIS_HOME."
        )


def storage(settings: Settings) -> None:
    """Refuse a storage that is no folder."""
    folder = settings.storage
    if folder is None:
        return
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise ConfigurationError(
            f"The storage {folder} {what}: name the folder with your files by --storage."
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ConfigurationError(f"The storage {folder} cannot be read: let KARAIS's user read it.")


def models_needed(settings: Settings) -> tuple[str, ...]:
    """Return the names of the models that the agents load."""
    scripted = settings.engine == "scripted"
    return (settings.embedding_model,) if scripted else (settings.model, settings.embedding_model)


def weights(settings: Settings) -> None:
    """Refuse to start without the models' weights, or with files that were cut short."""
    from stores.weights.registry import find

    for name in models_needed(settings):
        try:
            find(settings.models, name)
        except KaraisError as error:
            raise ConfigurationError(str(error)) from None


def port(settings: Settings) -> None:
    """Refuse a port that another program uses."""
    if settings.port == 0:
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                _refuse_port(settings)
            elif error.errno == errno.EACCES:
                raise ConfigurationError(
                    f"Port {settings.port} needs the rights of an administrator: choose one above 1023"
                    " with --port."
                ) from None
            elif error.errno == errno.EADDRNOTAVAIL:
                raise ConfigurationError(
                    f"This machine has no address {settings.host}: choose another with --host."
                ) from None


def _refuse_port(settings: Settings) -> None:
    from ops import processes

    if "gateway" not in processes.leaders(settings.home):
        raise ConfigurationError(
            f"Port {settings.port} on {settings.host} is in use by another program: "
            "choose another with --port."
        )
