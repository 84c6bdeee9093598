"""Checking arguments by a server's JSON schema, which may be made to take for ever: so within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from agents.tools.tool import NotDoneError, cleaned, shortened
from schemas.errors import KaraisError
from schemas.failure import Code

MAX_REFERENCES = 500
"""References that one check follows: a few that refer to each other twice over are exponentially many."""


class _TooMuch(Exception):
    """The schema is more work than it is worth."""


def _ignored(*_: Any) -> Iterator[ValidationError]:
    return iter(())


class Checker:
    """Checks the arguments of one tool. Raises KaraisError for a schema that is wrong."""

    def __init__(self, schema: Any) -> None:
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            raise KaraisError("it is not an object's", code=Code.INVALID)
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise KaraisError(shortened(cleaned(error.message), 100), code=Code.INVALID) from None
        self._left = 0
        follow = Draft202012Validator.VALIDATORS["$ref"]

        def counted(validator: Any, reference: Any, instance: Any, inner: Any) -> Iterator[ValidationError]:
            self._left -= 1
            if self._left < 0:
                raise _TooMuch
            yield from follow(validator, reference, instance, inner) or ()

        # Patterns and comparisons of all items with all may take hours; the server looks at those itself.
        bounded = extend(
            Draft202012Validator,
            {
                "$ref": counted,
                "$dynamicRef": _ignored,
                "pattern": _ignored,
                "uniqueItems": _ignored,
                "unevaluatedProperties": _ignored,
                "unevaluatedItems": _ignored,
            },
        )
        # An empty registry: a reference to elsewhere is never fetched.
        self._validator = bounded(_without_patterns(schema), registry=Registry())

    def arguments(self, text: str) -> dict[str, Any]:
        """Return the arguments in a JSON text; raises NotDoneError that names the field at fault."""
        try:
            arguments = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotDoneError("invalid", f"The arguments are no JSON object: {error}.") from None
        if not isinstance(arguments, dict):
            raise NotDoneError("invalid", "The arguments are no JSON object.")
        self._left = MAX_REFERENCES
        try:
            found = next(self._validator.iter_errors(arguments), None)
        except (_TooMuch, RecursionError, Unresolvable):
            raise NotDoneError("invalid", "The tool's schema cannot be used to check arguments.") from None
        if found is not None:
            raise _invalid(found)
        return arguments


def _without_patterns(value: Any) -> Any:
    """Return a schema without rules for names of a pattern, and without what depends on them."""
    if isinstance(value, list):
        return [_without_patterns(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    dropped = ("patternProperties", "additionalProperties") if "patternProperties" in value else ()
    return {name: _without_patterns(inner) for name, inner in value.items() if name not in dropped}


def _invalid(error: ValidationError) -> NotDoneError:
    path = [str(part) for part in error.absolute_path]
    if error.validator == "required" and isinstance(error.instance, dict):
        path += [name for name in error.validator_value if name not in error.instance][:1]
    field = ".".join(path)
    reason = shortened(cleaned(error.message), 300)  # quotes the schema
    where = f"The argument {field!r} is wrong" if field else "The arguments are wrong"
    return NotDoneError("invalid", f"{where}: {reason}.", field=shortened(field, 200), untrusted=True)
