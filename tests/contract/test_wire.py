"""The wire format: golden bytes, evolution, and documents that follow from the code."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bus import asyncapi, codec
from bus.subjects import ROUTES, Rpc, pattern_of, subject_of
from schemas.errors import KaraisError
from tests.contract.golden import MESSAGES

GOLDEN = Path(__file__).parent / "golden.jsonl"
BEFORE = Path(__file__).parent / "golden-before.jsonl"
"""What was written before projects, memory and temporary questions came: logs are kept for years."""
TYPES = {type(m).__struct_config__.tag: type(m) for m in MESSAGES}


def line(message) -> str:
    payload, headers = codec.encode(message)
    if headers:
        return json.dumps({"headers": headers, "hex": payload.hex()})
    return payload.decode()


@pytest.mark.parametrize(
    ("message", "golden"),
    list(zip(MESSAGES, GOLDEN.read_text("utf-8").splitlines(), strict=True)),
    ids=lambda m: type(m).__name__ if not isinstance(m, str) else "",
)
def test_golden_bytes_pin_the_wire_format(message, golden: str) -> None:
    """Each message is encoded to exactly the bytes of its line, and read back from them unchanged."""
    assert line(message) == golden
    payload, headers = codec.encode(message)
    assert codec.decode((type(message),), payload, headers) == message


@pytest.mark.parametrize("line", BEFORE.read_text("utf-8").splitlines())
def test_what_an_older_version_wrote_is_read(line: str) -> None:
    """Each older line is read as the message that it names, and none of its values is lost."""
    raw = json.loads(line)
    if "hex" in raw:
        payload, headers = bytes.fromhex(raw["hex"]), raw["headers"]
        raw = json.loads(headers[codec.FIELDS_HEADER])
    else:
        payload, headers = line.encode(), None
    kind = TYPES[raw["type"]] if "type" in raw else TYPES["vectors"]
    read = msgspec.to_builtins(codec.decode((kind,), payload, headers))
    assert contains(read, raw)


def contains(value, part) -> bool:
    """Say whether all of a JSON value is in another, which may have further fields."""
    if isinstance(part, dict):
        return all(contains(value[name], inner) for name, inner in part.items())
    if isinstance(part, list):
        return len(value) == len(part) and all(map(contains, value, part))
    return value == part


def test_every_routed_message_is_pinned() -> None:
    """A message that is added to the table gets a golden line."""
    routed = set(ROUTES) | {r.reply for r in ROUTES.values() if isinstance(r, Rpc)}
    assert routed <= {type(m) for m in MESSAGES}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_unknown_fields_are_ignored(message) -> None:
    """An older agent understands a newer one's message."""
    payload, headers = codec.encode(message)
    if headers:
        fields = json.loads(headers[codec.FIELDS_HEADER]) | {"added_later": 1}
        headers = {codec.FIELDS_HEADER: json.dumps(fields)}
    else:
        payload = msgspec.json.encode(msgspec.json.decode(payload) | {"added_later": {"x": [1]}})
    assert codec.decode((type(message),), payload, headers) == message


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b'{"type":"ask","answer":"a","conversation":"c"}', "text"),
        (b'{"type":"ask","answer":"a","conversation":"c","text":""}', "$.text"),
        (b'{"type":"ask","answer":"a b","conversation":"c","text":"x"}', "$.answer"),
        (
            b'{"type":"ask","answer":"a","conversation":"c","text":"x","sampling":{"max_tokens":0}}',
            "max_tokens",
        ),
        (b'{"type":"ask","answer":"a","conversation":"c","text":"x","project":"a.b"}', "$.project"),
    ],
)
def test_wrong_field_is_named(payload: bytes, field: str) -> None:
    """Missing and wrong values are refused with the field's name."""
    with pytest.raises(KaraisError, match=r"(?s).*") as refused:
        codec.decode(tuple(t for t in ROUTES if t.__name__ == "Ask"), payload)
    assert field in str(refused.value)


@pytest.mark.parametrize(
    "message", [m for m in MESSAGES if type(m) in ROUTES], ids=lambda m: type(m).__name__
)
def test_subject_matches_its_pattern(message) -> None:
    """What a message is published on is covered by the wildcard that permissions are made of."""
    subject, pattern = subject_of(message).split("."), pattern_of(type(message)).split(".")
    assert len(subject) == len(pattern)
    assert all(p in ("*", s) for s, p in zip(subject, pattern, strict=True))


def test_asyncapi_document_is_current() -> None:
    """docs/asyncapi.json is what the code says; `karais bus asyncapi > docs/asyncapi.json` renews it."""
    kept = json.loads((Path(__file__).parents[2] / "docs" / "asyncapi.json").read_text("utf-8"))
    made = msgspec.to_builtins(asyncapi.document(kept["info"]["version"]))
    assert kept == json.loads(json.dumps(made))
