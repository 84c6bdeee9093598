"""What the protocols of the OpenAI interface, and Ollama's, have in common: requests to Complete and back."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Any

from agents.gateway.codec import encode
from agents.gateway.completing import Collected
from schemas.chat import Done, Likelihood, Sampling, ToolCall
from schemas.completion import MAX_DEPTH, Complete, CompletionMessage, Tool, is_deeper
from schemas.documents import Passage
from schemas.errors import KaraisError
from schemas.failure import Code
from schemas.openai import (
    CalledFunction,
    CalledTool,
    ChatCompletionRequest,
    CompletionUsage,
    Content,
    Extras,
    FinishReason,
    Grounds,
    Logprobs,
    PromptTokens,
    Stop,
    TokenLogprob,
    TopLogprob,
)

USUAL_TOKENS = 1024
"""Tokens of an answer, at most, when the client says nothing: all answers share the context."""
MOST_TOKENS = 8192
_TEXTS = ("text", "input_text", "output_text")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ANY_OBJECT: dict[str, Any] = {"type": "object"}


def completion_of(
    messages: Sequence[CompletionMessage],
    *,
    sampling: Sampling,
    tools: Sequence[Tool] = (),
    choice: object = None,
    schema: str = "",
    extras: Extras | None = None,
    user: str | None = None,
) -> Complete:
    """Return the request to the brain; ``choice`` is ``none``, ``auto``, ``required`` or a tool's name."""
    extras = extras or Extras()
    named = isinstance(choice, str) and choice not in ("none", "auto", "required")
    return Complete(
        answer=secrets.token_hex(16),
        messages=tuple(messages),
        sampling=sampling,
        tools=tuple(tools),
        tool_choice="required" if named else choice or "auto",  # type: ignore[arg-type]  # one of the three
        tool=choice if named else "",  # type: ignore[arg-type]  # a string, as it is named
        format=schema,
        share=_share(user),
        background=extras.background,
        project=extras.project,
        retrieve=extras.retrieve,
        remember=extras.remember,
        conversation=extras.conversation,
    )


def sampling_of(
    *,
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    seed: int | None = None,
    stop: Stop | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logprobs: int | None = None,
    ignore_end: bool = False,
    adapter: str = "",
) -> Sampling:
    """Return how tokens are chosen; what clients may say and engines cannot do is brought into range."""
    stops = (stop,) if isinstance(stop, str) else stop or ()
    return Sampling(
        max_tokens=min(max_tokens or USUAL_TOKENS, MOST_TOKENS),
        temperature=temperature,
        top_p=None if top_p is None else max(top_p, 1e-6),
        top_k=min(top_k, 1000) if top_k and top_k > 0 else None,
        min_p=min_p,
        seed=None if seed is None else seed % (2**32 - 1),
        stop=tuple(each for each in stops if each),
        presence_penalty=presence_penalty or 0.0,
        frequency_penalty=frequency_penalty or 0.0,
        logprobs=logprobs,
        ignore_end=ignore_end,
        adapter=adapter,
    )


def text_of(content: Content | None, field: str) -> str:
    """Return a message's text. Raises KaraisError for parts that are no text, naming the field."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    for number, part in enumerate(content):
        if part.type not in _TEXTS:
            raise invalid(
                f"A part of the type {part.type[:50]!r} is not understood: send text alone.",
                f"{field}[{number}].type",
            )
        if part.text is None:
            raise invalid("A part of the type text has no text.", f"{field}[{number}].text")
    return "\n".join(part.text or "" for part in content)


def tool_of(name: str, description: str | None, parameters: dict[str, Any] | None, field: str) -> Tool:
    """Return a tool that a request offers; ``field`` is where its parameters stand."""
    check_schema(parameters, field)
    return Tool(name=name, description=description or "", parameters=parameters or {})


def schema_of(kind: str, schema: dict[str, Any] | None, field: str) -> str:
    """Return the schema that a format stands for, as JSON; empty for free text."""
    check_schema(schema, field)
    if kind == "text":
        return ""
    if kind != "json_schema":
        return encode(_ANY_OBJECT).decode()
    if schema is None:
        raise invalid("The format is json_schema and there is no schema.", field)
    return encode(schema).decode()


def check_schema(schema: object, field: str) -> None:
    """Raise KaraisError for a schema, or another value, that is too deep to be passed on."""
    if is_deeper(schema, MAX_DEPTH):
        raise invalid(f"The value is nested deeper than {MAX_DEPTH} levels.", field)


def one_only(body: ChatCompletionRequest) -> None:
    """Refuse what one answer of this time cannot give."""
    if body.n not in (None, 1):
        raise invalid("One answer is given to a request: `n` has to be 1.", "$.n")
    if body.functions is not None:
        raise invalid("Functions are called tools now: send `tools`.", "$.functions")
    if body.top_logprobs is not None and not body.logprobs:
        raise invalid("`top_logprobs` needs `logprobs` to be true.", "$.top_logprobs")


def called(calls: Sequence[ToolCall], *, streamed: bool = False) -> tuple[CalledTool, ...]:
    """Return calls as clients read them."""
    plain = (
        CalledTool(id=call.id, function=CalledFunction(name=call.name, arguments=call.arguments))
        for call in calls
    )
    if not streamed:
        return tuple(plain)
    return tuple(
        CalledTool(id=call.id, function=call.function, index=number) for number, call in enumerate(plain)
    )


def token_logprobs(tokens: Sequence[Likelihood]) -> tuple[TokenLogprob, ...]:
    """Return how likely tokens were."""
    return tuple(
        TokenLogprob(
            token=each.token,
            logprob=each.logprob,
            bytes=each.bytes,
            top_logprobs=tuple(
                TopLogprob(token=other.token, logprob=other.logprob, bytes=other.bytes) for other in each.top
            ),
        )
        for each in tokens
    )


def logprobs_of(tokens: Sequence[Likelihood]) -> Logprobs | None:
    """Return how likely tokens were; None when nobody asked."""
    return Logprobs(content=token_logprobs(tokens)) if tokens else None


def usage_of(done: Done) -> CompletionUsage:
    """Return what a completion cost."""
    usage = done.usage
    return CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=PromptTokens(cached_tokens=usage.cached_tokens),
    )


def finish_of(done: Done) -> FinishReason:
    """Return why an answer ended, in OpenAI's words, which have none for an answer that was stopped."""
    return "stop" if done.finish_reason == "cancelled" else done.finish_reason


def grounds_of(passages: tuple[Passage, ...], done: Done) -> Grounds:
    """Return what an answer rests on."""
    return Grounds(passages=passages, citations=done.citations, grounding=done.grounding)


def grounds_of_all(whole: Collected) -> Grounds:
    """Return what a collected answer rests on."""
    return grounds_of(whole.passages, whole.done)


def invalid(message: str, field: str) -> KaraisError:
    """Return the error for a request that does not fit."""
    return KaraisError(message, code=Code.INVALID, field=field)


def _share(user: str | None) -> str:
    """Return a name on the bus for whatever a client calls its user."""
    if not user or _TOKEN.fullmatch(user):
        return user or ""
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()[:32]
