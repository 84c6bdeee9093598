"""Holding a text to a JSON schema: the grammar for an engine, and what cannot be one.

A schema comes from a client or from a tool server, and llama.cpp goes on
*without* it when it cannot make sense of it. So it is compiled here first, by
the same library that llama.cpp has inside, and within bounds: what is too
large, contradictory or not supported is refused with the reason, before the
engine sees it. ``Follower`` then reads along what the engine generates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from agents.brain.engine import Constraint
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

MOST_BYTES = 64 << 10
"""Of a schema."""
MOST_VALUES = 4000
"""Objects, lists, strings and numbers in a schema."""
MOST_DEPTH = 64
"""Levels of a schema."""
MOST_TRIGGER_CHARS = 256
_MOST_SYMBOLS = 20_000
"""Of the compiled grammar: some 70 ms of work at most. Choices within choices multiply."""
_MOST_STEPS = 20_000
"""Spent on finding out whether a schema's values can end; after them it is taken to be fine."""
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""How values are written: on one line, so that a small model cannot go on with blanks for ever, and
as chat templates write the calls that were made before."""
_PLAIN = b'"' + bytes(range(48, 58)) + bytes(range(97, 123)) + bytes(range(65, 91))
_IN_STRINGS = (*_PLAIN, *(byte for byte in range(256) if byte not in _PLAIN))
_BETWEEN = (*b"}]", *_IN_STRINGS)
"""What ends a value first is tried first."""


def grammar_of(constraint: Constraint, ends: Sequence[int] = ()) -> str:
    """Return the grammar of a constraint in llguidance's dialect of Lark.

    ``ends`` are the tokens with which the model ends an answer. llama.cpp knows
    one of them by itself, which need not be the one that the model takes.

    Blocks for milliseconds, at most for some 100. Raises KaraisError
    ``invalid`` with what is wrong with the schema.
    """
    grammar = _grammar(constraint, compact=True)
    _matcher(grammar)
    endings = "".join(f" | text <[{token}]>" for token in ends)
    return grammar.replace("\nstart: text\n", f"\nstart: text{endings}\n", 1)


def holds(constraint: Constraint, text: str) -> bool:
    """Tell whether a text is whole and as the constraint wants it, however it is spaced."""
    matcher = _matcher(_grammar(constraint, compact=False)).deep_copy()
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and bool(matcher.is_accepting())


def completed(schema: str, wanted: str = "", most: int = 4096) -> str:
    """Return a short value that satisfies a schema and begins as ``wanted`` does, as far as it may.

    One that gets too long is broken off.
    """
    matcher = _matcher(_grammar(Constraint(schema=schema), compact=True)).deep_copy()
    value = bytearray(wanted.encode())
    del value[matcher.try_consume_tokens(list(value)) :]
    while len(value) < most and not (value and matcher.is_accepting()):
        mask = matcher.compute_bitmask()
        tried = _IN_STRINGS if value.count(b'"') % 2 else _BETWEEN
        byte = next(byte for byte in tried if mask[byte >> 3] >> (byte & 7) & 1)
        matcher.consume_token(byte)
        value.append(byte)
    return value.decode(errors="replace")


class Follower:
    """Reads along a text that should be held to a constraint."""

    def __init__(self, constraint: Constraint) -> None:
        self._matcher = _matcher(_grammar(constraint, compact=True)).deep_copy()

    def read(self, text: str) -> None:
        """Read on. Raises KaraisError ``invalid`` when the engine did not hold the text to the schema."""
        data = list(text.encode())
        if self._matcher.try_consume_tokens(data) < len(data):
            reason = _reason(self._matcher.get_error()) if self._matcher.is_error() else "it is too complex"
            raise _refused(reason)


def _grammar(constraint: Constraint, *, compact: bool) -> str:
    trigger = constraint.trigger
    if len(trigger) > MOST_TRIGGER_CHARS:
        raise KaraisError(
            f"The trigger of a constraint may have {MOST_TRIGGER_CHARS} characters, this one has"
            f" {len(trigger)}.",
            code=Code.INVALID,
        )
    schema = dict(_read(constraint.schema))
    if compact:
        schema["x-guidance"] = _COMPACT
    else:
        schema.pop("x-guidance", None)
    value = f"%json {msgspec.json.encode(schema).decode()}"
    if not trigger:
        return f"%llguidance {{}}\nstart: text\ntext: {value}"
    # `before` ends at the first trigger; a text without one is all `rest`. Some models begin a line there.
    return (
        "%llguidance {}\nstart: text\ntext: before value | before NEWLINE value | rest\nNEWLINE: /\\n/\n"
        f"before[suffix={msgspec.json.encode(trigger).decode()}]: /(?s:.*)/\n"
        f"rest: /(?s:.*)/\nvalue: {value}"
    )


@lru_cache(maxsize=64)
def _read(schema: str) -> dict[str, Any]:
    if len(schema) > MOST_BYTES:
        raise _refused(f"it has {len(schema):,} characters, and {MOST_BYTES:,} are the most")
    try:
        value = msgspec.json.decode(schema)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _refused(f"it is no JSON ({error})") from None
    if value is True:
        value = {}
    if value is False:
        raise _refused("it is false, which no value satisfies")
    if not isinstance(value, dict):
        raise _refused("it is no object")
    _check_size(value)
    if not _Ends(value).check(value):
        raise _refused("each of its values has to contain another one, without end")
    return value


def _check_size(schema: Any) -> None:
    level, depth, values = [schema], 0, 0
    while level:
        depth += 1
        values += len(level)
        if depth > MOST_DEPTH:
            raise _refused(f"it has more than {MOST_DEPTH} levels")
        if values > MOST_VALUES:
            raise _refused(f"it has more than {MOST_VALUES:,} values")
        within = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list))
        level = [inner for value in within for inner in value]


class _Ends:
    """Whether some value of a schema is finite, as far as required parts and references tell."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._known: set[str] = set()
        self._open: list[str] = []
        self._steps = _MOST_STEPS

    def check(self, schema: Any) -> bool:
        self._steps -= 1
        if not isinstance(schema, dict) or self._steps < 0:
            return True
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in self._known:
            if reference in self._open:
                return False
            self._open.append(reference)
            finite = self.check(_resolve(reference, self._root))
            self._open.pop()
            if not finite:
                return False
            self._known.add(reference)
        if not all(map(self.check, _required_parts(schema))):
            return False
        for name in ("anyOf", "oneOf"):
            choices = schema.get(name)
            if isinstance(choices, list) and choices and not any(map(self.check, choices)):
                return False
        return True


def _required_parts(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield the schemas of what every value of a schema has within."""
    properties, required, fewest = schema.get("properties"), schema.get("required"), schema.get("minItems")
    if schema.get("type") == "object" and isinstance(properties, dict) and isinstance(required, list):
        yield from (properties[name] for name in required if isinstance(name, str) and name in properties)
    if schema.get("type") == "array" and isinstance(fewest, int) and fewest > 0:
        yield schema.get("items")
    if isinstance(whole := schema.get("allOf"), list):
        yield from whole


def _resolve(reference: str, root: dict[str, Any]) -> Any:
    """Return what a reference within the schema points to, None when it is none or points nowhere."""
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found


@lru_cache(maxsize=64)
def _matcher(grammar: str) -> Any:
    """Return a matcher over bytes, at its beginning: copy it to use it."""
    try:
        import llguidance
    except ImportError as error:
        raise Unavailable(f"JSON schemas need llguidance ({error}): install the extra `server`.") from None
    limits = llguidance.LLParserLimits(max_grammar_size=_MOST_SYMBOLS, verbose_errors=False)
    try:
        matcher = llguidance.LLMatcher(_tokenizer(), grammar, log_level=0, limits=limits)
    except Exception as error:  # noqa: BLE001 - whatever the library finds wrong is wrong with the schema
        raise _refused(_reason(str(error))) from None
    if matcher.is_error():
        raise _refused(_reason(matcher.get_error()))
    return matcher


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    import llguidance

    return llguidance.LLTokenizer("byte")


def _reason(error: str) -> str:
    """Return the library's finding without its excerpt of the grammar."""
    found = error.split("\n   1 |")[0].split("<backtrace>")[0].split("<state>")[0]
    return " ".join(found.rpartition("failed to compile JSON schema: ")[2].split())[:300].rstrip(". ")


def _refused(reason: str) -> KaraisError:
    return KaraisError(f"The answer cannot be held to this JSON schema: {reason}.", code=Code.INVALID)
