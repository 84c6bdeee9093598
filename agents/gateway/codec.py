"""Frames and bodies, decoded and encoded: the gateway's boundary to the outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import web

from schemas.errors import KaraisError, TimedOut
from schemas.failure import Code
from schemas.web import ClientFrame, Problem

if TYPE_CHECKING:
    from bus.reading import AnswerReader, Received

T = TypeVar("T")

ATTACH_SECONDS = 120.0
"""How long a client may wait for the first event of an answer that it attaches to."""

NO_BUS = "The bus cannot be reached; KARAIS reconnects by itself: try again in a moment."

_NAME_RULE = "expected 1 to 64 letters, digits, `_` or `-`"
MAX_FRAME_BYTES = 512 * 1024
"""The longest question, written in JSON escapes, takes 384,000 bytes."""

MAX_PROMPT_BYTES = 4 * 1024 * 1024
"""The longest prompt of a client that keeps it itself, tools and escapes included."""

_frames: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)
encode = msgspec.json.Encoder().encode


class _Named(msgspec.Struct):
    """The parts of a wrong frame that tell what it was about."""

    answer: Any = ""
    conversation: Any = ""


_named = msgspec.json.Decoder(_Named)


def decode_frame(frame: bytes) -> ClientFrame:
    """Return the message in a client's frame.

    Raises KaraisError with code ``too_large`` or ``invalid``, naming the field
    at fault where there is one.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise KaraisError(
            f"The frame has {len(frame)} bytes and may have {MAX_FRAME_BYTES}: send less.",
            code=Code.TOO_LARGE,
        )
    return _decode(_frames, frame)


def decode_body(kind: type[T], body: bytes) -> T:
    """Return a REST body; raises KaraisError with code ``invalid`` when it does not fit."""
    return _decode(msgspec.json.Decoder(kind), body)


async def read_prompt(request: web.Request, kind: type[T]) -> T:
    """Return the body of a request that brings a whole prompt.

    Raises KaraisError with code ``too_large`` or ``invalid``, naming the field.
    """
    try:
        body = await request.clone(client_max_size=MAX_PROMPT_BYTES).read()
    except web.HTTPRequestEntityTooLarge:
        raise KaraisError(
            f"The body may have {MAX_PROMPT_BYTES} bytes: send less.", code=Code.TOO_LARGE
        ) from None
    return decode_body(kind, body)


def _decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KaraisError(f"This is no valid JSON object: {error}.", code=Code.INVALID) from None


def invalid(error: msgspec.ValidationError) -> KaraisError:
    """Return what is wrong with a message as one sentence that names the field."""
    reason, _, path = str(error).partition(" - at `")
    field = path.rstrip("`") or "$"
    reason = _NAME_RULE if "regex" in reason else reason[:1].lower() + reason[1:]
    where = "The message" if field == "$" else f"The field `{field.removeprefix('$.')}`"
    return KaraisError(f"{where} is wrong: {reason}.", code=Code.INVALID, field=field)


def ref_of(frame: bytes) -> str:
    """Return which answer or conversation a wrong frame was about, or nothing."""
    if len(frame) > MAX_FRAME_BYTES:
        return ""
    try:
        named = _named.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    for name in (named.answer, named.conversation):
        if isinstance(name, str) and 0 < len(name) <= 64:
            return name
    return ""


async def first_event(events: AnswerReader) -> Received:
    """Return the next event of an answer that somebody attached to.

    Raises TimedOut when none comes: nothing tells an answer that ended long
    ago from one whose model still reads a long prompt, but time.
    """
    try:
        async with asyncio.timeout(ATTACH_SECONDS):
            return await anext(events)
    except (TimeoutError, StopAsyncIteration):
        raise TimedOut(
            f"Nothing came of this answer in {ATTACH_SECONDS:.0f} s: it may have ended long ago; "
            "read its conversation instead."
        ) from None


def problem(error: KaraisError, ref: str = "") -> Problem:
    """Return the frame that tells a client of an error."""
    return Problem(code=error.code, message=str(error), field=error.field, ref=ref)
