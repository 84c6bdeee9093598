"""Completions: a prompt that the asker keeps, as the clients of the OpenAI and Ollama interfaces send it.

On the wire like an answer, but nothing is logged unless ``remember`` says so::

    Complete @ rpc.brain.complete  ->  Accepted
    Sources?, Delta, ... , ToolCalls?, Done | Failed @ answer.<answer>

``Cancel`` ends it, as it ends an answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from schemas.base import Acting, OptionalToken, Token
from schemas.chat import Sampling, ToolCall

MAX_PROMPT_CHARS = 400_000
"""Characters of all messages of a prompt; what the context cannot hold, the engine refuses."""

MAX_DEPTH = 64
"""Levels of a tool's or a format's schema."""


def is_deeper(value: object, levels: int) -> bool:
    """Tell whether a decoded JSON value is nested deeper than so many levels."""
    level = [value]
    for _ in range(levels + 1):
        inner = [each for each in level if isinstance(each, (dict, list))]
        if not inner:
            return False
        level = [v for each in inner for v in (each.values() if isinstance(each, dict) else each)]
    return True


ToolName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class Tool(Struct, frozen=True, kw_only=True):
    """What a model may call."""

    name: ToolName
    description: Annotated[str, Meta(max_length=8000)] = ""
    parameters: dict[str, Any] = {}
    """JSON schema of its arguments, an object's."""


class CompletionMessage(Struct, frozen=True, kw_only=True):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    calls: Annotated[tuple[ToolCall, ...], Meta(max_length=64)] = ()
    """Tools that an assistant's message called."""
    call: str = ""
    """Identity of the call that a tool's message answers."""


class Complete(Acting, frozen=True, kw_only=True):
    """Ask for the continuation of a prompt. Asking twice with the same ``answer`` asks once."""

    answer: Token
    """Identity of the answer, chosen by the asker."""
    messages: Annotated[tuple[CompletionMessage, ...], Meta(min_length=1, max_length=2000)]
    sampling: Sampling = Sampling()
    tools: Annotated[tuple[Tool, ...], Meta(max_length=128)] = ()
    """Tools of the asker, which it calls itself."""
    tool_choice: Literal["auto", "none", "required"] = "auto"
    tool: str = ""
    """With ``required``: the one that has to be called; empty for any."""
    format: Annotated[str, Meta(max_length=100_000)] = ""
    """JSON schema, as JSON text, that the answer shall satisfy; empty for free text."""
    share: OptionalToken = ""
    """Which of the user's programs asks: each gets an equal share of the engine."""
    background: bool = False
    """Nobody waits for it: it runs when no chat does."""
    retrieve: bool = False
    """Look into the project's files and memory for what helps, as a chat does."""
    remember: bool = False
    """Keep the last question and its complete answer in the log, as a chat does; not a call of tools."""
    conversation: OptionalToken = ""
    """Where to keep it; empty finds the conversation that begins with the same question."""
