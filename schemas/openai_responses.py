"""What clients of OpenAI's Responses interface send and get.

Nothing is stored: each request brings its whole conversation, as ``input``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.completion import ToolName
from schemas.openai import (
    Content,
    Count,
    Description,
    Extras,
    Grounds,
    Temperature,
    TokenLogprob,
    TopP,
    UserName,
)


class InputItem(Struct, frozen=True, kw_only=True):
    """An item of the input: a message, a call that the model made, or what it gave."""

    type: str | None = None
    """``message`` unless told otherwise, ``function_call``, ``function_call_output`` or ``reasoning``."""
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Content | None = None


class FunctionTool(Struct, frozen=True, kw_only=True):
    """A function that the model may call."""

    type: str
    """``function``; OpenAI's own tools are refused."""
    name: ToolName = ""
    description: Description | None = None
    parameters: dict[str, Any] | None = None


class NamedFunctionTool(Struct, frozen=True, kw_only=True):
    """The function that has to be called."""

    type: Literal["function"]
    name: str


class TextFormat(Struct, frozen=True, kw_only=True):
    """What the answer shall look like."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    schema: dict[str, Any] | None = None


class TextOptions(Struct, frozen=True, kw_only=True):
    """How text is given."""

    format: TextFormat | None = None


class ResponseRequest(Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/responses``."""

    input: str | Annotated[tuple[InputItem, ...], Meta(min_length=1, max_length=2000)]
    model: str = ""
    instructions: str | None = None
    stream: bool | None = None
    tools: Annotated[tuple[FunctionTool, ...], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedFunctionTool | None = None
    text: TextOptions | None = None
    max_output_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    user: UserName | None = None
    previous_response_id: str | None = None
    """Refused: nothing is stored."""
    conversation: Any = None
    """As ``previous_response_id``."""
    background: bool | None = None
    """As ``previous_response_id``; ``karais.background`` is another thing."""
    karais: Extras | None = None


class OutputText(Struct, frozen=True, kw_only=True):
    """The text of a message."""

    text: str
    type: Literal["output_text"] = "output_text"
    annotations: tuple[Any, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | UnsetType = UNSET


ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message of the answer."""

    id: str
    status: ItemStatus
    content: tuple[OutputText, ...] = ()
    role: Literal["assistant"] = "assistant"


class OutputCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A call that the model wants."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus = "completed"


class InputTokens(Struct, frozen=True, kw_only=True):
    """Details of the input's tokens."""

    cached_tokens: int = 0


class OutputTokens(Struct, frozen=True, kw_only=True):
    """Details of the output's tokens."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct, frozen=True, kw_only=True):
    """What a response cost."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokens
    output_tokens_details: OutputTokens = OutputTokens()


class Incomplete(Struct, frozen=True, kw_only=True):
    """Why a response is not complete."""

    reason: str = "max_output_tokens"


class ResponseError(Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    code: str
    message: str


class Response(Struct, frozen=True, kw_only=True):
    """Reply to ``POST /v1/responses`` in one piece, and a part of many events."""

    id: str
    created_at: int
    model: str
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    output: tuple[OutputMessage | OutputCall, ...] = ()
    usage: ResponseUsage | None = None
    error: ResponseError | None = None
    incomplete_details: Incomplete | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: str | NamedFunctionTool = "auto"
    parallel_tool_calls: bool = True
    previous_response_id: None = None
    store: bool = False
    metadata: dict[str, str] = {}
    text: TextOptions = TextOptions(format=TextFormat())
    object: str = "response"
    karais: Grounds | UnsetType = UNSET


class ResponseEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of a streamed response; which fields it has depends on its type."""

    type: str
    sequence_number: int = -1
    response: Response | None = None
    output_index: int | None = None
    item: OutputMessage | OutputCall | None = None
    item_id: str | None = None
    content_index: int | None = None
    part: OutputText | None = None
    delta: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    text: str | None = None
    name: str | None = None
    arguments: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
