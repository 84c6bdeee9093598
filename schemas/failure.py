"""What goes wrong, in a form that a program can branch on and a person can read."""

from __future__ import annotations

from enum import StrEnum

from schemas.base import Message


class Code(StrEnum):
    """The kinds of failure, each with the HTTP status that a gateway shows for it."""

    INVALID = "invalid"
    """The message is malformed or a field has a wrong value (400)."""
    FORBIDDEN = "forbidden"
    """The sender may not do this (403)."""
    NOT_FOUND = "not_found"
    """What the message names does not exist (404)."""
    CONFLICT = "conflict"
    """It cannot be done in the present state, such as a second question during an answer (409)."""
    TOO_LARGE = "too_large"
    """More than the receiver accepts (413)."""
    BUSY = "busy"
    """The receiver has no room now; the same message may succeed later (429)."""
    INTERNAL = "internal"
    """A defect; details are in the agent's log (500)."""
    UNAVAILABLE = "unavailable"
    """The agent, model or store that is needed cannot be reached (503)."""
    INTERRUPTED = "interrupted"
    """Work was begun and its worker died; nothing more will come (503)."""
    TIMEOUT = "timeout"
    """No reply in time (504)."""

    @property
    def http_status(self) -> int:
        """The HTTP status for this kind of failure."""
        return _HTTP_STATUS[self]


_HTTP_STATUS = {
    Code.INVALID: 400,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.CONFLICT: 409,
    Code.TOO_LARGE: 413,
    Code.BUSY: 429,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.INTERRUPTED: 503,
    Code.TIMEOUT: 504,
}


class Failure(Message, frozen=True, kw_only=True):
    """Why a request failed, as it is sent instead of the reply."""

    code: Code
    """The kind of failure."""

    message: str
    """One sentence: what is wrong, where, and what to do."""

    field: str = ""
    """The path of the field at fault, such as ``$.text``; empty when no field is."""
