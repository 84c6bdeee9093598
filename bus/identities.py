"""Who may do what on the bus: one nkey an agent, permissions from its declarations.

Seeds are kept one file each in ``keys/``, mode 0600; the server's
configuration holds only the public keys.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nkeys

from bus.agent import Agent, Answers, Follows, Hears, Works, declarations
from bus.streams import READABLE, erasing_subject
from bus.subjects import ROOT, ROUTES, Log, Rpc, pattern_of, rpc_subject

OPS = "ops"
"""The supervisor's identity, which owns the bus: it creates streams and may do everything."""
INSPECTOR = "inspector"
"""Reads everything and changes nothing."""
OPERATOR = "operator"
"""May call everything; for the owner's hands."""


@dataclass(frozen=True)
class Permissions:
    """Subjects that an identity may publish and subscribe to; ``>`` alone means all."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    responses: bool = False
    """It may answer requests on the inbox that they came with."""


def inbox_prefix(identity: str) -> str:
    """Return the prefix of the identity's inboxes, which no other agent may read."""
    return f"_INBOX_{identity}"


def seed(keys: Path, identity: str) -> str:
    """Return the identity's seed, made at first use and kept in a file of mode 0600."""
    file = keys / f"{identity}.nk"
    if not file.exists():
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        pair_seed = _new_seed()
        _write_private(file, pair_seed + "\n")
    return file.read_text("ascii").strip()


def public_key(pair_seed: str) -> str:
    """Return the public key (``U…``) of a user's seed (``SU…``)."""
    key: bytes = nkeys.from_seed(bytearray(pair_seed, "ascii")).public_key
    return key.decode()


def local_key(file: Path) -> str:
    """Return the key of the command line and the API, made at first use, mode 0600."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_private(file, secrets.token_urlsafe(32) + "\n")
    return file.read_text("ascii").strip()


def permissions_of(agent: type[Agent]) -> Permissions:
    """Derive an agent's permissions from what it declares."""
    kind = agent.kind
    publish: set[str] = {f"$KV.nodes.agent.{kind}.*"}
    subscribe: set[str] = {f"{inbox_prefix(kind)}.>"}
    for verb in ("PING", "INFO", "STATS"):
        # An agent may ask whether others of its kind live.
        publish |= {f"$SRV.{verb}.{kind}.*"}
        subscribe |= {f"$SRV.{verb}", f"$SRV.{verb}.{kind}", f"$SRV.{verb}.{kind}.*"}
    streams = set(agent.streams)
    for message in agent.calls:
        publish |= {rpc_subject(message), rpc_subject(message, "*")}
    publish |= {pattern_of(message) for message in agent.publishes}
    subscribe |= {pattern_of(message) for message in agent.subscribes}
    for _, declaration in declarations(agent):
        match declaration:
            case Answers(message, _):
                subscribe |= {rpc_subject(message), rpc_subject(message, "*")}
            case Hears(messages):
                subscribe |= {pattern_of(message) for message in messages}
            case Follows(messages):
                streams |= {route.stream for m in messages if isinstance(route := ROUTES[m], Log)}
            case Works():
                publish |= {
                    f"$JS.API.CONSUMER.MSG.NEXT.JOBS.{kind}",
                    f"$JS.API.CONSUMER.MSG.NEXT.JOBS_FAILED.{kind}",
                    f"$JS.ACK.JOBS.{kind}.>",
                    f"$JS.ACK.JOBS_FAILED.{kind}.>",
                    "$JS.API.STREAM.MSG.GET.JOBS",
                    "$JS.API.STREAM.MSG.DELETE.JOBS",
                    f"{ROOT}.dlq.JOBS",
                }
    for stream in streams:
        publish |= {
            f"$JS.API.CONSUMER.CREATE.{stream}.>",
            f"$JS.API.CONSUMER.DELETE.{stream}.*",
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.STREAM.INFO.{stream}",
        }
    publish |= {erasing_subject(stream) for stream in agent.erases}
    return Permissions(tuple(sorted(publish)), tuple(sorted(subscribe)), responses=True)


def inspector_permissions() -> Permissions:
    """Return what the inspector may do: look at everything, change nothing."""
    publish = {"$SRV.>", "$JS.API.INFO"}
    publish |= {"$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.*"}
    publish |= {"$JS.API.CONSUMER.NAMES.*", "$JS.API.CONSUMER.LIST.*", "$JS.API.CONSUMER.INFO.*.*"}
    publish |= {"$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>"}
    for stream in READABLE:
        # Ephemeral consumers alone: durable ones exist only on work queues, which are not readable.
        publish |= {
            f"$JS.API.CONSUMER.CREATE.{stream}",
            f"$JS.API.CONSUMER.CREATE.{stream}.>",
            f"$JS.API.CONSUMER.DELETE.{stream}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
            f"$JS.ACK.{stream}.>",
            f"$JS.FC.{stream}.>",
        }
    for message, route in ROUTES.items():
        if isinstance(route, Rpc) and route.read_only:
            publish |= {rpc_subject(message), rpc_subject(message, "*")}
    return Permissions(tuple(sorted(publish)), (">",))


EVERYTHING = Permissions((">",), (">",))


def identities(agents: Iterable[type[Agent]]) -> dict[str, Permissions]:
    """Return every identity of this KARAIS with its permissions."""
    table = {agent.kind: permissions_of(agent) for agent in agents}
    return table | {OPS: EVERYTHING, OPERATOR: EVERYTHING, INSPECTOR: inspector_permissions()}


def _new_seed() -> str:
    """Return a new user seed: two prefix bytes, 32 random ones, a CRC-16; base32 (nkeys specification)."""
    seed_prefix, user_prefix = nkeys.PREFIX_BYTE_SEED, nkeys.PREFIX_BYTE_USER
    raw = bytes([seed_prefix | user_prefix >> 5, (user_prefix & 31) << 3]) + secrets.token_bytes(32)
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return base64.b32encode(raw + crc.to_bytes(2, "little")).decode().rstrip("=")


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(temporary, file)  # fails when another process was first: then its secret is taken
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
