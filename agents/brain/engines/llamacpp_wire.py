"""What llama.cpp's server is sent and sends: sampling, chunks, errors, replies over its socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schemas.chat import Likelihood, Sampling
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights.registry import Profile

_TIMEOUT_S = 30.0
_IMPOSSIBLE = -9999.0


class Delta(Struct, gc=False):
    """New text."""

    content: str | None = None


class Token(Struct, gc=False):
    """A token and its probability."""

    token: str
    logprob: float | None
    bytes: tuple[int, ...] = ()
    top_logprobs: tuple[Token, ...] = ()


class Logprobs(Struct, gc=False):
    """Those of a chunk's tokens."""

    content: tuple[Token, ...] | None = None


class Choice(Struct, gc=False):
    """The one choice of a chunk."""

    delta: Delta
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Timings(Struct, gc=False):
    """Tokens of a completion; only in its last chunk."""

    cache_n: int = 0
    prompt_n: int = 0
    predicted_n: int = 0


class Error(Struct):
    """Why a request failed."""

    message: str
    type: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class Chunk(Struct, gc=False):
    """One event of a completion."""

    choices: tuple[Choice, ...] = ()
    timings: Timings | None = None
    error: Error | None = None


decode_chunk = msgspec.json.Decoder(Chunk).decode


def likelihoods(logprobs: Logprobs | None, others: int) -> tuple[Likelihood, ...]:
    """Return what the server says of a chunk's tokens, each with at most so many others."""
    content = logprobs.content if logprobs is not None else None
    if not content:
        return ()
    return tuple(
        _likelihood(token, tuple(_likelihood(other) for other in token.top_logprobs[:others]))
        for token in content
    )


def _likelihood(token: Token, top: tuple[Likelihood, ...] = ()) -> Likelihood:
    # JSON has no word for the logarithm of 0.
    logprob = _IMPOSSIBLE if token.logprob is None else min(0.0, max(_IMPOSSIBLE, token.logprob))
    return Likelihood(token=token.token, logprob=logprob, bytes=token.bytes, top=top)


def error_of(error: Error) -> KaraisError:
    """Return a server's error as one of ours."""
    if error.type == "exceed_context_size_error":
        return KaraisError(
            f"The prompt has {error.n_prompt_tokens:,} tokens, but the model's context holds"
            f" {error.n_ctx:,}: ask with less text.",
            code=Code.INVALID,
        )
    if error.type == "invalid_request_error":
        return KaraisError(f"The engine refuses the prompt: {error.message}.", code=Code.INVALID)
    return Unavailable(f"The engine failed: {error.message}.")


class _Count(Struct):
    input_tokens: int


class _Tokens(Struct):
    tokens: tuple[int, ...]


_BETWEEN = -1


class _Generation(Struct):
    n_ctx: int


class _Props(Struct):
    default_generation_settings: _Generation


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def count(path: Path, messages: list[dict[str, str]]) -> int:
    """Return the tokens of a prompt, template included. Blocks for some milliseconds."""
    reply = _request(path, "POST", "/v1/chat/completions/input_tokens", {"messages": messages})
    return msgspec.json.decode(reply, type=_Count).input_tokens


def measure(path: Path, texts: Sequence[str]) -> list[int]:
    """Return how many tokens each text has. Blocks for some milliseconds.

    All go in one request, with a number between two that is no token.
    """
    if not texts:
        return []
    content: list[str | int] = []
    for text in texts:
        content += [text, _BETWEEN]
    reply = _request(path, "POST", "/tokenize", {"content": content, "parse_special": False})
    counts = [0]
    for token in msgspec.json.decode(reply, type=_Tokens).tokens:
        if token == _BETWEEN:
            counts.append(0)
        else:
            counts[-1] += 1
    return counts[: len(texts)]


def context_of(path: Path) -> int:
    """Return how many tokens one completion can use. Blocks."""
    reply = _request(path, "GET", "/props", None)
    return msgspec.json.decode(reply, type=_Props).default_generation_settings.n_ctx


def _request(path: Path, method: str, target: str, body: Any) -> bytes:
    connection = _Connection(path)
    try:
        payload = None if body is None else msgspec.json.encode(body)
        connection.request(method, target, payload, {"Content-Type": "application/json"})
        response = connection.getresponse()
        reply = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"The engine does not answer at {path}: {error}.") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        try:
            raise error_of(msgspec.json.decode(reply, type=Chunk).error or Error("no reason given"))
        except msgspec.MsgspecError:
            raise Unavailable(f"The engine answered with HTTP {response.status}.") from None
    return reply


def sampling_fields(profile: Profile, sampling: Sampling, grammar: str = "") -> dict[str, Any]:
    """Return the fields of a request that say how tokens are chosen, the model's profile where nothing is."""
    temperature = profile.temperature if sampling.temperature is None else sampling.temperature
    top_p = profile.top_p if sampling.top_p is None else sampling.top_p
    fields: dict[str, Any] = {"max_tokens": sampling.max_tokens}
    if profile.dry is not None:
        # Phrases of more than four tokens, within about the last paragraph: further back they
        # would be those of the passages, which it may well repeat.
        fields |= {"dry_multiplier": profile.dry, "dry_allowed_length": 4, "dry_penalty_last_n": 96}
        fields["dry_sequence_breakers"] = ['"']
    stop = sampling.stop if sampling.ignore_end else (*sampling.stop, *profile.stop)
    said = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "seed": sampling.seed,
        # Of the last 64 tokens, which at first are the prompt's: llama.cpp keeps no other count.
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "stop": stop or None,
        "ignore_eos": sampling.ignore_end or None,
        "grammar": grammar or None,
    }
    fields |= {name: value for name, value in said.items() if value is not None}
    if sampling.logprobs is not None:
        # With none of the others, llama.cpp would tell nothing of the token itself.
        fields |= {"logprobs": True, "top_logprobs": max(1, sampling.logprobs)}
    return fields
