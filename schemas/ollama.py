"""What clients of the Ollama interface send and get, as far as KARAIS speaks it.

Only what KARAIS heeds is named; all else that clients send is ignored.
Durations are in nanoseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.completion import ToolName
from schemas.openai import Description, Penalty, Stop, Temperature, TopP


class OllamaFunction(Struct, frozen=True, kw_only=True):
    """A function that a message calls."""

    name: str
    arguments: dict[str, Any] = {}


class OllamaCall(Struct, frozen=True, kw_only=True):
    """A call of a tool."""

    function: OllamaFunction


class OllamaMessage(Struct, frozen=True, kw_only=True):
    """A message of the prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: tuple[Any, ...] | None = None
    tool_calls: Annotated[tuple[OllamaCall, ...], Meta(max_length=64)] | None = None
    tool_name: str | None = None
    """Which tool a tool's message is of."""
    name: str | None = None
    """As ``tool_name``, of older clients."""


class OllamaFunctionDefinition(Struct, frozen=True, kw_only=True):
    """A function that the model may call."""

    name: ToolName
    description: Description | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(Struct, frozen=True, kw_only=True):
    """A tool that the model may call."""

    function: OllamaFunctionDefinition


class OllamaOptions(Struct, frozen=True, kw_only=True):
    """How tokens are chosen."""

    num_predict: Annotated[int, Meta(ge=-2, le=2**31)] | None = None
    """Tokens of the answer, at most; negative for no limit of the client's."""
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    min_p: Annotated[float, Meta(ge=0, lt=1)] | None = None
    seed: int | None = None
    stop: Stop | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None


Format = Literal["", "json"] | dict[str, Any]


class OllamaChatRequest(Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/chat``."""

    model: str
    messages: Annotated[tuple[OllamaMessage, ...], Meta(max_length=2000)] | None = None
    tools: Annotated[tuple[OllamaTool, ...], Meta(max_length=128)] | None = None
    stream: bool | None = None
    """It streams unless this is false."""
    format: Format | None = None
    options: OllamaOptions | None = None


class OllamaGenerateRequest(Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/generate``."""

    model: str
    prompt: str | None = None
    system: str | None = None
    images: tuple[Any, ...] | None = None
    stream: bool | None = None
    """It streams unless this is false."""
    format: Format | None = None
    options: OllamaOptions | None = None


class OllamaAnswer(Struct, frozen=True, kw_only=True):
    """The message of a reply."""

    content: str = ""
    role: Literal["assistant"] = "assistant"
    tool_calls: tuple[OllamaCall, ...] | UnsetType = UNSET


class OllamaReply(Struct, frozen=True, kw_only=True):
    """A line of a reply to ``/api/chat`` or ``/api/generate``, or all of it."""

    model: str
    created_at: str
    message: OllamaAnswer | UnsetType = UNSET
    """In a chat."""
    response: str | UnsetType = UNSET
    """Not in a chat."""
    done: bool = False
    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class OllamaDetails(Struct, frozen=True, kw_only=True):
    """What a model is."""

    format: str = "gguf"
    family: str = ""
    parent_model: str = ""
    families: tuple[str, ...] = ()
    parameter_size: str = ""
    quantization_level: str = ""


class OllamaModel(Struct, frozen=True, kw_only=True):
    """A model that is served."""

    name: str
    model: str
    modified_at: str = "1970-01-01T00:00:00Z"
    size: int = 0
    digest: str = ""
    details: OllamaDetails = OllamaDetails()


class OllamaModels(Struct, frozen=True, kw_only=True):
    """Reply to ``GET /api/tags``."""

    models: tuple[OllamaModel, ...]


class OllamaVersion(Struct, frozen=True, kw_only=True):
    """Reply to ``GET /api/version``: the version of Ollama whose interface is spoken."""

    version: str


class OllamaShowRequest(Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/show``."""

    model: str = ""
    name: str = ""
    """As ``model``, of older clients."""


class OllamaShown(Struct, frozen=True, kw_only=True):
    """Reply to ``POST /api/show``."""

    model_info: dict[str, Any]
    capabilities: tuple[str, ...]
    modified_at: str = "1970-01-01T00:00:00Z"
    details: OllamaDetails = OllamaDetails()
    parameters: str = ""
    template: str = ""
    modelfile: str = ""
    license: str = ""


class OllamaFailure(Struct, frozen=True, kw_only=True):
    """Reply to what cannot be done; in a stream, its last line."""

    error: str
