"""Failures as the clients of each interface read them."""

from __future__ import annotations

import msgspec
from aiohttp import web

from agents.gateway.codec import encode
from schemas.failure import Code, Failure
from schemas.ollama import OllamaFailure
from schemas.openai import OpenAIError, OpenAIFailure

_TYPES = {
    Code.BUSY: "rate_limit_error",
    Code.INTERNAL: "server_error",
    Code.UNAVAILABLE: "server_error",
    Code.INTERRUPTED: "server_error",
    Code.TIMEOUT: "server_error",
}


def failure_response(failure: Failure, path: str, status: int = 0) -> web.Response:
    """Return a failure as an HTTP response of the interface that the path belongs to."""
    status = status or failure.code.http_status
    return web.Response(
        body=encode(failure_of(failure, path, status)), status=status, content_type="application/json"
    )


def failure_of(failure: Failure, path: str, status: int = 0) -> msgspec.Struct:
    """Return a failure in the shape of the interface that the path belongs to."""
    if path.startswith("/v1/"):
        return openai_failure(failure, status)
    if path.startswith("/api/") and not path.startswith("/api/v1/"):
        return OllamaFailure(error=failure.message)
    return failure


def openai_failure(failure: Failure, status: int = 0) -> OpenAIFailure:
    """Return a failure as OpenAI's clients read it."""
    field = failure.field.removeprefix("$").removeprefix(".")
    code = str(failure.code)
    if status == web.HTTPUnauthorized.status_code:
        code = "invalid_api_key"
    elif failure.code is Code.NOT_FOUND and field == "model":
        code = "model_not_found"
    kind = _TYPES.get(failure.code, "invalid_request_error")
    return OpenAIFailure(
        error=OpenAIError(message=failure.message, type=kind, param=field or None, code=code)
    )
