"""Messages to bytes and back, typed in both directions.

A message is one JSON object. One with a ``data: bytes`` field (vectors, audio,
images) travels as those raw bytes, its other fields as JSON in a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from schemas.base import Message
from schemas.errors import KaraisError, Refused
from schemas.failure import Code, Failure

FIELDS_HEADER = "Karais-Message"
ERROR_HEADER = "Nats-Service-Error"
ERROR_CODE_HEADER = "Nats-Service-Error-Code"

_encoder = msgspec.json.Encoder()
_failures = msgspec.json.Decoder(Failure)


@cache
def is_raw(message: type[Message]) -> bool:
    """Tell whether messages of this type travel as raw bytes with a header."""
    return any(f.name == "data" and f.type is bytes for f in msgspec.structs.fields(message))


def encode(message: Message) -> tuple[bytes, dict[str, str] | None]:
    """Return payload and headers of a message."""
    if not is_raw(type(message)):
        return _encoder.encode(message), None
    fields = {name: getattr(message, name) for name in message.__struct_fields__ if name != "data"}
    header = _encoder.encode({"type": message.__struct_config__.tag, **fields}).decode()
    return message.data, {FIELDS_HEADER: header}  # type: ignore[attr-defined]  # is_raw says that it is there


@cache
def _decoder(types: tuple[type[Message], ...]) -> msgspec.json.Decoder[Any]:
    union: Any = types[0]
    for other in types[1:]:
        union = union | other
    return msgspec.json.Decoder(union)


def decode(types: tuple[type[Message], ...], payload: bytes, headers: Mapping[str, str] | None = None) -> Any:
    """Return the message in ``payload``, which must be of one of ``types``.

    Raises KaraisError (``invalid``) that names the field at fault.
    """
    try:
        if len(types) == 1 and is_raw(types[0]):
            fields = msgspec.json.decode((headers or {}).get(FIELDS_HEADER, "{}"), type=dict[str, Any])
            fields.pop("type", None)
            return msgspec.convert({**fields, "data": payload}, types[0])
        return _decoder(types).decode(payload)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        field = path.rstrip("`")
        where = f"the field {field} of " if field else ""
        raise KaraisError(
            f"{text} in {where}a message of type {_names(types)}.", code=Code.INVALID, field=field
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KaraisError(
            f"The payload is no valid JSON for a message of type {_names(types)}: {error}.", code=Code.INVALID
        ) from None


def decode_reply(reply: type[Message], payload: bytes, headers: Mapping[str, str] | None) -> Any:
    """Return a reply, or raise Refused when it is a failure."""
    if headers and ERROR_HEADER in headers:
        try:
            failure = _failures.decode(payload)
        except msgspec.MsgspecError:
            failure = Failure(code=Code.INTERNAL, message=headers[ERROR_HEADER])
        raise Refused.of(failure)
    return decode((reply,), payload, headers)


def decode_json(payload: bytes) -> dict[str, Any]:
    """Return an untyped JSON object, as NATS itself sends them."""
    return msgspec.json.decode(payload, type=dict[str, Any])


def encode_failure(failure: Failure) -> tuple[bytes, dict[str, str]]:
    """Return payload and headers of a failure, as NATS micro (ADR-32) wants errors."""
    headers = {ERROR_HEADER: failure.message, ERROR_CODE_HEADER: str(failure.code.http_status)}
    return _encoder.encode(failure), headers


def _names(types: tuple[type[Message], ...]) -> str:
    return " or ".join(str(t.__struct_config__.tag) for t in types)
