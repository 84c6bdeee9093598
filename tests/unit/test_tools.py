"""Parts of tools that need no bus: arithmetic, dates, the administrator's file, lines, schemas."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tools.builtin.calculator import calculate
from agents.tools.builtin.clock import Clock, tell
from agents.tools.servers.checking import Checker
from agents.tools.servers.configuration import read, resolved
from agents.tools.servers.lines import Lines, TooLong
from agents.tools.servers.listing import tool_name
from agents.tools.tool import NotDoneError, cleaned
from schemas.errors import KaraisError

NOW = datetime.datetime(2026, 11, 23, 6, 45, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2+2", "4"),
        ("0.1 + 0.2", "0.3"),
        ("19 % 5", "4"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("2 ** 100", "1267650600228229401496703205376"),
        ("2^10", "1024"),
        ("10 / 4", "2.5"),
        ("1/3", "0.3333333333333333333333333333"),
        ("sqrt(2)", "1.414213562373095048801688724"),
        ("round(2.5)", "3"),
        ("round(1234.567, 2)", "1234.57"),
        ("round(1234, -2)", "1200"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("factorial(20)", "2432902008176640000"),
        ("sin(pi)", "0"),
        ("3 × 4 ÷ 2", "6"),
        ("1e3", "1000"),
    ],
)
def test_arithmetic_is_exact(expression: str, value: str) -> None:
    """Decimals are decimals, whole numbers are whole, as people compute."""
    assert calculate(expression).removeprefix("-0") in (value, value.removeprefix("-0"))


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "9**9**9**9",
        "10**400",
        "factorial(1000000)",
        "1/0",
        "5 % 0",
        "sqrt(-1)",
        "ln(0)",
        "0**-1",
        "(-8)**(1/3)",
        "__import__('os')",
        "().__class__",
        "'a'*10**9",
        "[1]*10",
        "lambda: 1",
        "x",
        "True + 1",
        "1 if 1 else 2",
        "min(1)",
        "sqrt(1, 2)",
        "sqrt(x=1)",
        "(" * 400 + "1",
        "-" * 490 + "1" + "+",
        "1;2",
        "sin(10**310)",
        "0.5**10**300",
        "",
        "1\x00",
        "tan(1e999)",
    ],
)
def test_what_cannot_be_computed_is_refused_at_once(expression: str) -> None:
    """No code is run, and no number takes long or much memory."""
    begun = time.monotonic()
    with pytest.raises(NotDoneError) as refused:
        calculate(expression)
    assert refused.value.field == "expression"
    assert time.monotonic() - begun < 0.5


@given(st.text(alphabet="0123456789.+-*/%()e sqrtln,^", max_size=60))
def test_any_expression_ends_soon(expression: str) -> None:
    """Whatever is typed, there is a value or a sentence within a second."""
    begun = time.monotonic()
    try:
        assert len(calculate(expression)) < 1000
    except NotDoneError as error:
        assert str(error)  # noqa: PT017 - any of the two is right
    assert time.monotonic() - begun < 1


def test_clock_tells_and_counts() -> None:
    """Weekday, zone and spans are right across a change of the clocks."""
    assert tell(Clock(zone="Europe/Berlin"), NOW) == (
        "Monday, 2026-11-23 07:45:12 (Europe/Berlin, UTC+01:00), week 48"
    )
    assert tell(Clock(zone="UTC", add_days=39), NOW).startswith("Friday, 2027-01-01 06:45:12")
    spring = Clock(zone="Europe/Berlin", start="2026-03-28T12:00", add_days=1)
    assert tell(spring, NOW).startswith("Sunday, 2026-03-29 12:00:00 (Europe/Berlin, UTC+02:00)")
    hours = Clock(zone="Europe/Berlin", start="2026-03-28T12:00", add_hours=24)
    assert tell(hours, NOW).startswith("Sunday, 2026-03-29 13:00:00")
    until = tell(Clock(zone="UTC", start="2026-11-23", until="2026-12-24"), NOW)
    assert until.endswith("31 calendar days, 744 h 0 min.")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (Clock(zone="Mars/Base"), "zone"),
        (Clock(zone="../../etc/passwd"), "zone"),
        (Clock(start="tomorrow"), "start"),
        (Clock(until="2026-02-30"), "until"),
        (Clock(start="9999-12-31", add_days=5), "add_days"),
    ],
)
def test_wrong_dates_are_named(asked: Clock, field: str) -> None:
    """The argument at fault is named."""
    with pytest.raises(NotDoneError) as refused:
        tell(asked, NOW)
    assert refused.value.field == field


def test_file_may_refer_to_secrets(tmp_path: Path) -> None:
    """A variable or a file stands for its value; one that is not there is named."""
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    assert resolved(f"Bearer ${{file:{token}}} ${{env:A}}", {"A": "b"}) == "Bearer s3cret b"
    with pytest.raises(KaraisError, match="NOPE"):
        resolved("${env:NOPE}", {})
    with pytest.raises(KaraisError, match="/nope"):
        resolved("${file:/nope}")


def test_wrong_entry_leaves_the_others(tmp_path: Path) -> None:
    """Fields that others write are passed over, wrong entries are told by name."""
    file = tmp_path / "mcp.json"
    entries = {
        "home": {"url": "http://ha/mcp", "type": "http", "alwaysAllow": ["x"]},
        "off": {"command": "x", "disabled": True},
        "no url": {"url": "http://x"},
        "ftp": {"url": "ftp://x"},
        "number": {"command": 7},
    }
    file.write_text(json.dumps({"mcpServers": entries, "other": 1}))
    file.chmod(0o600)
    found = read(file)
    assert list(found.servers) == ["home"]
    assert set(found.problems) == {"no url", "ftp", "number"}
    assert read(tmp_path / "none.json").servers == {}


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 7))
def test_lines_are_cut_whatever_the_chunks(parts: list[bytes], size: int) -> None:
    """The same lines come out however the bytes were cut; long ones are passed over with their size."""
    data = b"\n".join(parts) + b"\n"
    lines = Lines(limit=20)
    found: list[bytes | TooLong] = []
    for start in range(0, len(data), size):
        found += lines.feed(data[start : start + size])
    expected = data.split(b"\n")[:-1]
    assert [line if isinstance(line, bytes) else line.size for line in found] == [
        line if len(line) <= 20 else len(line) for line in expected
    ]


@pytest.mark.parametrize(
    ("line", "id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"id":3,"t":"%s"}}', 7),
        (b'{"result":{"id":3,"t":"%s"},"jsonrpc":"2.0","id": 8}', 8),
        (b'{"jsonrpc":"2.0","id":"x","result":{"t":"%s"}}', None),
        (b"%s", None),
    ],
)
def test_long_message_is_known_by_its_number(line: bytes, id: int | None) -> None:
    """Whether the number stands before the result or behind it."""
    lines = Lines(limit=1000)
    (found,) = lines.feed(line % (b"x" * 100_000) + b"\n")
    assert isinstance(found, TooLong)
    assert found.id == id


def test_names_fit_every_interface() -> None:
    """Letters, digits, _ and -, at most 64; long ones stay apart."""
    assert tool_name("home", "Turn on/off") == "home__Turn_on_off"
    one, two = tool_name("home", "n" * 100 + "1"), tool_name("home", "n" * 100 + "2")
    assert len(one) == len(two) == 64
    assert one != two


def test_hidden_characters_are_removed() -> None:
    """Tags, directions and controls go; text in any language stays."""
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "obey")
    assert cleaned(f"Wärme{hidden}\u202e\u200b\x1b[31m 温度\n\t한국어") == "Wärme[31m 温度\n\t한국어"


HOSTILE: list[dict[str, Any]] = [
    {"properties": {"t": {"pattern": "^(a+)+$"}}},
    {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False},
    {"properties": {"t": {"$ref": "#"}}, "$ref": "#"},
    {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
    {"properties": {"t": {"$ref": "http://127.0.0.1:9/x"}}},
    {"properties": {"t": {"$ref": "file:///etc/passwd"}}},
    {"properties": {"t": {"$dynamicRef": "#"}}},
]


@pytest.mark.parametrize("schema", HOSTILE)
def test_hostile_schemas_end_soon(schema: dict[str, Any]) -> None:
    """Patterns, circles and references to elsewhere cost no time and fetch nothing."""
    checker = Checker({"type": "object", **schema})
    begun = time.monotonic()
    for text in (json.dumps({"t": "a" * 60 + "!"}), json.dumps({"a" * 60 + "!": 1})):
        try:
            checker.arguments(text)
        except NotDoneError as error:
            assert error.outcome == "invalid"  # noqa: PT017 - any of the two is right
    assert time.monotonic() - begun < 2
