"""Schemas that an engine can hold an answer to, and those that it cannot."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest

from agents.brain.constraining import MOST_BYTES, Follower, completed, grammar_of, holds
from agents.brain.engine import Constraint
from schemas.errors import KaraisError
from schemas.failure import Code

POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
    "required": ["x"],
}
TREE = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["next"],
}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


IMPOSSIBLE = [
    ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength"),
    ({"type": "integer", "minimum": 5, "maximum": 2}, "minimum"),
    ({"$ref": "#/definitions/nothing"}, "nothing"),
    ({"$ref": "#"}, "without end"),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "without end"),
    ({"type": "array", "minItems": 1, "items": {"$ref": "#"}}, "without end"),
    ({"$ref": "http://127.0.0.1:9/schema"}, "127.0.0.1"),
    ({"enum": []}, "empty"),
    ({"type": "nonsense"}, "nonsense"),
    ({"type": "string", "pattern": "(a"}, "unclosed"),
    ({"type": "string", "pattern": "^(?=a)b$"}, "look-around"),
    ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "incompatible"),
    ({"type": "object", "properties": {}, "additionalProperties": False, "required": ["x"]}, "'x'"),
    ({"not": {"type": "string"}}, "not"),
    ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    ([], "no object"),
    ("text", "no object"),
    (False, "false"),
    (deep(100), "levels"),
    ({"enum": list(range(5000))}, "values"),
    ({"type": "object", "description": "x" * 1_000_000}, f"{MOST_BYTES:,}"),
    (
        {"allOf": [{"anyOf": [{"properties": {f"p{i}_{j}": {}}} for j in range(4)]} for i in range(6)]},
        "",
    ),
]


@pytest.mark.parametrize(("schema", "named"), IMPOSSIBLE, ids=lambda value: str(value)[:40])
def test_what_nothing_satisfies_is_refused_at_once_with_the_reason(schema: Any, named: str) -> None:
    began = time.monotonic()
    with pytest.raises(KaraisError) as refused:
        grammar_of(Constraint(schema=json.dumps(schema)))
    assert time.monotonic() - began < 2
    assert refused.value.code is Code.INVALID
    assert named in str(refused.value)
    assert len(str(refused.value)) < 450


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[" * 5000, '{"a": ' * 2000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(KaraisError, match="no JSON"):
        grammar_of(Constraint(schema=text))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (POINT, '{"x": 0}'),
        (TREE, '{"next": null}'),
        ({"enum": ["yes", "no"]}, '"no"'),
        ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}, "minItems": 1}, "[[]]"),
        ({"type": "integer", "minimum": 5, "maximum": 7}, "5"),
        ({"type": "string", "minLength": 3}, '"000"'),
        (True, ""),
        (deep(20), ""),
    ],
)
def test_the_smallest_value_satisfies_its_schema(schema: Any, value: str) -> None:
    text = json.dumps(schema)
    assert value in ("", completed(text))
    assert holds(Constraint(schema=text), completed(text))
    Follower(Constraint(schema=text)).read(completed(text))


def test_a_value_is_completed_from_where_it_goes_wrong() -> None:
    schema = json.dumps(POINT)
    assert completed(schema, '{"x": 12, "y": 7}') == '{"x": 12, "y": 7}'
    assert completed(schema, '{"x": 12, "z": 7}').startswith('{"x": 12')
    assert completed(json.dumps({"enum": ["yes", "no"]}), '"yellow"') == '"yes"'
    for wanted in ('{"x": "twelve"}', "nonsense", '{"x": 1, "y"', "{"):
        assert holds(Constraint(schema=schema), completed(schema, wanted)), wanted


def test_a_value_holds_however_it_is_spaced() -> None:
    constraint = Constraint(schema=json.dumps(POINT))
    assert holds(constraint, '{"x":1,\n "y":2}')
    assert not holds(constraint, '{"x": 1')
    assert not holds(constraint, '{"y": 1}')


def test_a_text_is_free_until_the_trigger_stands_in_it() -> None:
    constraint = Constraint(schema=json.dumps(POINT), trigger="<call>")
    for text in ("no call at all", 'Well: <call>{"x": 1}', '<call>\n{"x": 1}', 'ä <cal <call>{"x": 1}'):
        assert holds(constraint, text), text
    for text in ("<call>", "<call>nonsense", 'a <call>{"x": 1} and more'):
        assert not holds(constraint, text), text


@pytest.mark.parametrize("trigger", ['"', "\\", "/", "\n", "[x](", "é€", "%json {}", '"]: /x/\nstart: "'])
def test_a_trigger_is_only_text(trigger: str) -> None:
    constraint = Constraint(schema=json.dumps(POINT), trigger=trigger)
    grammar_of(constraint)
    assert holds(constraint, f'abc{trigger}{{"x": 1}}')
    assert not holds(constraint, f"abc{trigger}abc")


def test_what_an_engine_generates_beside_the_schema_is_seen() -> None:
    follower = Follower(Constraint(schema=json.dumps(POINT), trigger="<call>"))
    for part in ("I think ", "<ca", 'll>{"x', '": 4'):
        follower.read(part)
    with pytest.raises(KaraisError, match="too complex"):
        follower.read(", nonsense")


def test_references_within_references_cost_no_time() -> None:
    """Each of sixty schemas needs the next one twice, and the last one the first."""
    for end in ({"type": "integer"}, {"$ref": "#/$defs/d0"}):
        defs: dict[str, Any] = {"d60": end}
        for n in range(60):
            part = {"type": "object", "properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}, "required": ["a"]}
            defs[f"d{n}"] = {"anyOf": [part, {**part, "title": "again"}]}
        began = time.monotonic()
        with contextlib.suppress(KaraisError):
            grammar_of(Constraint(schema=json.dumps({"$ref": "#/$defs/d0", "$defs": defs})))
        assert time.monotonic() - began < 2
