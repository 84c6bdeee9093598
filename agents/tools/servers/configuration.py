"""Which servers of tools there are: a file that the administrator writes, in the form that others use too.

::

    {"mcpServers": {
        "home":  {"url": "http://ha.local:8123/api/mcp",
                  "headers": {"Authorization": "Bearer ${file:/etc/ha}"}, "reads": ["GetLiveContext"]},
        "files": {"command": "mcp-files", "args": ["/srv"], "env": {"TOKEN": "${env:FILES_TOKEN}"}}}}

Everything of a server counts as changing something, unless ``reads`` names
the tool, or ``trust_annotations`` is true and the server says that it only
reads. ``changes`` wins over both. Each is a list of names or ``"all"``.
No message and no request can write this file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.tools import BUILT_IN

MAX_BYTES = 1024 * 1024
MAX_SECRET_BYTES = 64 * 1024

Names = tuple[str, ...] | Literal["all"]

_NAME = re.compile(r"[A-Za-z0-9](?:_?[A-Za-z0-9-])*")
_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")


class ServerConfig(Struct, frozen=True, kw_only=True):
    """One server: reached at a URL, or started as a program."""

    url: Annotated[str, Meta(pattern=r"^(https?://\S+)?$")] = ""
    headers: dict[str, str] = {}
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str = ""
    changes: Names = ()
    """Tools that change something, whatever else is said of them."""
    reads: Names = ()
    """Tools that only read."""
    trust_annotations: bool = False
    """The server may say itself which of its tools only read."""
    trust_descriptions: bool = False
    """What the server writes about its tools counts as the administrator's own words."""
    trust_data: bool = False
    """What is sent to it stays at home: tools that only read may be called with whatever a model knows."""
    disabled: bool = False


class Configuration(Struct, frozen=True, kw_only=True):
    """What the file says."""

    servers: dict[str, ServerConfig]
    problems: dict[str, str]
    """By server, what is wrong with its entry, in one sentence."""


class _File(Struct, frozen=True):
    servers: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict, name="mcpServers")


def stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when the file does; empty while there is none."""
    try:
        info = path.stat()
    except OSError:
        return ()
    return (info.st_mtime_ns, info.st_size, info.st_ino, info.st_mode, info.st_uid)


def read(path: Path) -> Configuration:
    """Return what the file says; without one there are no servers.

    Raises KaraisError when it cannot be read, or when another user could have
    written it: it names programs that are started.
    """
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            if info.st_uid not in (os.getuid(), 0) or stat.S_IMODE(info.st_mode) & 0o022:
                raise _wrong(f"Others can write {path}, so it is not used: chown and chmod 600 it")
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Configuration(servers={}, problems={})
    except OSError as error:
        raise _wrong(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise _wrong(f"{path} is larger than {MAX_BYTES} bytes")
    try:
        entries = msgspec.json.decode(content, type=_File).servers
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(f"{path} is wrong: {error}") from None
    servers: dict[str, ServerConfig] = {}
    problems: dict[str, str] = {}
    for name, raw in entries.items():
        try:
            server = _server(name, raw)
        except KaraisError as error:
            problems[name[:64]] = str(error)
        else:
            if not server.disabled:
                servers[name] = server
    return Configuration(servers=servers, problems=problems)


def _server(name: str, raw: msgspec.Raw) -> ServerConfig:
    if not _NAME.fullmatch(name) or len(name) > 32 or name == BUILT_IN:
        raise _wrong(f"A server may not be called {name[:64]!r}: up to 32 letters, digits, - and single _")
    try:
        server = msgspec.json.decode(raw, type=ServerConfig)
    except msgspec.DecodeError as error:
        raise _wrong(f"The entry is wrong: {error}") from None
    if bool(server.url) == bool(server.command):
        raise _wrong("The entry needs either a url or a command")
    return server


def resolved(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return text in which ``${env:NAME}`` and ``${file:/path}`` stand for what they name.

    Raises KaraisError when that is not there.
    """

    def value(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if kind == "env":
            if name not in environ:
                raise _wrong(f"There is no environment variable {name}")
            return environ[name]
        try:
            with open(name, "rb") as file:
                return file.read(MAX_SECRET_BYTES).decode().strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise _wrong(f"The file {name} cannot be read: {reason}") from None

    return _REFERENCE.sub(value, text)


def all_resolved(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values with what they refer to in its place; raises KaraisError as ``resolved``."""
    return {name: resolved(value) for name, value in values.items()}


def named(name: str, names: Names) -> bool:
    """Tell whether a list of the file names a tool."""
    return names == "all" or name in names


def _wrong(sentence: str) -> KaraisError:
    return KaraisError(f"{sentence}.", code=Code.INVALID)
