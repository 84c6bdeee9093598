"""What clients of the OpenAI interface send and get: chat completions, embeddings, models, errors.

Only what KARAIS heeds is named; all else that clients send is ignored. Values
that are null mean the same as values that are not there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.base import HOME, OptionalToken, Token
from schemas.chat import Citation, Grounding
from schemas.completion import ToolName
from schemas.documents import Passage

Count = Annotated[int, Meta(ge=1, le=2**31)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
StopText = Annotated[str, Meta(max_length=500)]
Stop = StopText | Annotated[tuple[StopText, ...], Meta(max_length=16)]
Description = Annotated[str, Meta(max_length=8000)]
UserName = Annotated[str, Meta(max_length=1000)]


class Extras(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What KARAIS can do beside, in the field ``karais`` of a request; nothing unless asked for."""

    project: Token = HOME
    """Whose files, memory and instructions are used."""
    retrieve: bool = False
    """Look into the project's files and memory for what helps."""
    remember: bool = False
    """Keep the last question and its answer in the log, as a chat does."""
    conversation: OptionalToken = ""
    """Where to keep it; empty finds the conversation that begins with the same question."""
    background: bool = False
    """Nobody waits for it: it runs when no chat does."""
    adapter: OptionalToken = ""
    """Adapter over the model's weights."""


class Grounds(Struct, frozen=True, kw_only=True):
    """What an answer rests on, in the field ``karais`` of a reply, when retrieval was asked for."""

    passages: tuple[Passage, ...] = ()
    citations: tuple[Citation, ...] = ()
    grounding: Grounding = ""


# -- what is sent to /v1/chat/completions ---------------------------------------------------------


class ContentPart(Struct, frozen=True, kw_only=True):
    """A part of a message; only text is taken."""

    type: str
    text: str | None = None


Content = str | tuple[ContentPart, ...]


class GivenFunction(Struct, frozen=True, kw_only=True):
    """A function that an assistant's message called."""

    name: str
    arguments: str = "{}"


class GivenCall(Struct, frozen=True, kw_only=True):
    """A call in an assistant's message."""

    id: str
    function: GivenFunction


class ChatMessageParam(Struct, frozen=True, kw_only=True):
    """A message of the prompt."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    tool_calls: Annotated[tuple[GivenCall, ...], Meta(max_length=64)] | None = None
    tool_call_id: str | None = None


class FunctionDefinition(Struct, frozen=True, kw_only=True):
    """A function that the model may call."""

    name: ToolName
    description: Description | None = None
    parameters: dict[str, Any] | None = None


class ToolDefinition(Struct, frozen=True, kw_only=True):
    """A tool that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(Struct, frozen=True, kw_only=True):
    """A function by its name."""

    name: str


class NamedTool(Struct, frozen=True, kw_only=True):
    """The tool that has to be called."""

    type: Literal["function"]
    function: FunctionName


class JsonSchemaFormat(Struct, frozen=True, kw_only=True):
    """A schema that the answer shall satisfy."""

    schema: dict[str, Any] | None = None


class ResponseFormat(Struct, frozen=True, kw_only=True):
    """What the answer shall look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StreamOptions(Struct, frozen=True, kw_only=True):
    """What a stream has beside the text."""

    include_usage: bool | None = None


class ChatCompletionRequest(Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/chat/completions``."""

    messages: Annotated[tuple[ChatMessageParam, ...], Meta(min_length=1, max_length=2000)]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[tuple[ToolDefinition, ...], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    stop: Stop | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    """Not of OpenAI, but of other servers that speak as it does."""
    min_p: Annotated[float, Meta(ge=0, lt=1)] | None = None
    """As ``top_k``."""
    ignore_eos: bool | None = None
    """As ``top_k``: generate ``max_tokens`` whatever the model says, for measurements."""
    seed: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    n: int | None = None
    user: UserName | None = None
    functions: Any = None
    """What tools were called once; refused."""
    karais: Extras | None = None


# -- what comes back --------------------------------------------------------------------------------


class PromptTokens(Struct, frozen=True, kw_only=True):
    """Details of a prompt's tokens."""

    cached_tokens: int = 0


class CompletionUsage(Struct, frozen=True, kw_only=True):
    """What a completion cost."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens


class TopLogprob(Struct, frozen=True, kw_only=True):
    """A token that might have been."""

    token: str
    logprob: float
    bytes: tuple[int, ...]


class TokenLogprob(Struct, frozen=True, kw_only=True):
    """A token and how likely it was."""

    token: str
    logprob: float
    bytes: tuple[int, ...]
    top_logprobs: tuple[TopLogprob, ...]


class Logprobs(Struct, frozen=True, kw_only=True):
    """How likely the tokens were."""

    content: tuple[TokenLogprob, ...]


class CalledFunction(Struct, frozen=True, kw_only=True):
    """The function that a call is for."""

    name: str
    arguments: str
    """A JSON object, as text."""


class CalledTool(Struct, frozen=True, kw_only=True):
    """A call that the model wants."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"
    index: int | UnsetType = UNSET
    """Its number, in a stream."""


class AssistantMessage(Struct, frozen=True, kw_only=True):
    """The answer."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: None = None
    tool_calls: tuple[CalledTool, ...] | UnsetType = UNSET


FinishReason = Literal["stop", "length", "tool_calls"]


class Choice(Struct, frozen=True, kw_only=True):
    """The one choice of a completion."""

    message: AssistantMessage
    finish_reason: FinishReason
    index: int = 0
    logprobs: Logprobs | None = None


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """Reply to ``POST /v1/chat/completions`` in one piece."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: CompletionUsage
    object: str = "chat.completion"
    karais: Grounds | UnsetType = UNSET


class ChunkDelta(Struct, frozen=True, kw_only=True):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    tool_calls: tuple[CalledTool, ...] | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """The one choice of a chunk."""

    delta: ChunkDelta
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: Logprobs | None = None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True):
    """An event of a streamed completion."""

    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...] = ()
    usage: CompletionUsage | UnsetType = UNSET
    object: str = "chat.completion.chunk"
    karais: Grounds | UnsetType = UNSET


# -- embeddings, models, errors ---------------------------------------------------------------------


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/embeddings``. Numbers of tokens are refused: they are another tokenizer's."""

    input: str | Annotated[tuple[str | int | tuple[int, ...], ...], Meta(min_length=1, max_length=2048)]
    model: str = ""
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class Embedding(Struct, frozen=True, kw_only=True):
    """The vector of a text, of length 1."""

    index: int
    embedding: tuple[float, ...] | str
    """Numbers, or little-endian float32 in base64."""
    object: str = "embedding"


class EmbeddingUsage(Struct, frozen=True, kw_only=True):
    """Tokens of the texts; they are not counted, so 0."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class EmbeddingList(Struct, frozen=True, kw_only=True):
    """Reply to ``POST /v1/embeddings``."""

    data: tuple[Embedding, ...]
    model: str
    object: str = "list"
    usage: EmbeddingUsage = EmbeddingUsage()


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model that is served."""

    id: str
    created: int = 0
    object: str = "model"
    owned_by: str = "karais"


class ModelList(Struct, frozen=True, kw_only=True):
    """Reply to ``GET /v1/models``."""

    data: tuple[ModelCard, ...]
    object: str = "list"


class OpenAIError(Struct, frozen=True, kw_only=True):
    """What went wrong."""

    message: str
    type: str
    """``invalid_request_error``, ``rate_limit_error`` or ``server_error``."""
    param: str | None = None
    """The field at fault, such as ``messages[0].content``."""
    code: str | None = None


class OpenAIFailure(Struct, frozen=True, kw_only=True):
    """Reply to what cannot be done, on ``/v1``; in a stream, its last event."""

    error: OpenAIError
