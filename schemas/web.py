"""What clients of the gateway speak: the frames of the WebSocket and the bodies of the REST interface.

A frame is one JSON object, tagged like everything on the bus; most frames are
the bus messages themselves. One conversation over a socket::

    Ask                    ->  Accepted, Sources, Delta ... Done | Failed
    Attach(answer, after)  ->  Sources, Delta ... Done | Failed   (from index after + 1 on)
    Cancel(answer)         ->  the answer ends with Done, ``cancelled``
    Watch(conversation)    ->  Watching, then Started, ConversationChanged, StorageStatus as they happen
    anything wrong         ->  Problem

Clients choose the identities of answers and conversations, so a reply, and a
Problem too (``ref``), names what it is about without a counter of requests.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.base import HOME, Message, OptionalToken, Token
from schemas.chat import (
    MAX_QUESTION_CHARS,
    Accepted,
    Ask,
    Cancel,
    Delta,
    Done,
    Failed,
    Sampling,
    Sources,
    Usage,
)
from schemas.documents import Passage, StorageStatus
from schemas.failure import Code

WEBSOCKET_PATH = "/ws"


class Attach(Message, frozen=True, kw_only=True):
    """Continue an answer that was begun here, elsewhere or before a reload."""

    answer: Token
    after: Annotated[int, Meta(ge=-1)] = -1
    """Index of the last event that the client has; -1 for the whole answer."""


class Watch(Message, frozen=True, kw_only=True):
    """Hear what others do: in one conversation its answers, and every change of the list.

    A socket watches one conversation at a time; the latest Watch counts.
    """

    conversation: OptionalToken = ""
    """Conversation whose answers shall be announced; empty for the list alone."""
    project: Token = HOME


class Watching(Message, frozen=True, kw_only=True):
    """Reply to Watch: from now on nothing is missed."""

    conversation: str


class Started(Message, frozen=True, kw_only=True):
    """Somebody asked in the watched conversation; Attach to read along."""

    conversation: str
    answer: str
    text: str
    """The question."""
    at: float
    """When it was asked, in seconds since the epoch."""


Change = Literal["asked", "answered", "titled", "deleted"]


class ConversationChanged(Message, frozen=True, kw_only=True):
    """A line of the conversation list is no longer as it was."""

    conversation: str
    change: Change
    at: float
    """When it changed, in seconds since the epoch."""
    title: str = ""
    """The new title, for ``titled``."""


class Problem(Message, frozen=True, kw_only=True):
    """A frame that was not obeyed, or an answer that cannot be forwarded. The socket stays open."""

    code: Code
    message: str
    """One sentence: what is wrong and what to do."""
    field: str = ""
    """Path of the field at fault, such as ``$.text``."""
    ref: str = ""
    """Answer or conversation that the frame named; empty when it named none."""


ClientFrame = Ask | Attach | Cancel | Watch
"""What a client may send."""

ServerFrame = (
    Accepted
    | Sources
    | Delta
    | Done
    | Failed
    | Watching
    | Started
    | ConversationChanged
    | StorageStatus
    | Problem
)
"""What a client gets. New types may be added: ignore those that are unknown."""


class Question(Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/v1/ask``."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_QUESTION_CHARS)]
    conversation: OptionalToken = ""
    """Conversation to continue; empty begins a new one."""
    answer: OptionalToken = ""
    """Identity of the answer, for a client that may have to ask again; empty lets the gateway choose."""
    project: Token = HOME
    retrieve: bool = True
    """Look into the storage and the memory for what helps to answer."""
    temporary: bool = False
    """Neither log nor remember the question and its answer."""
    as_of: float | None = None
    """Answer from what was known and valid at this time, in seconds since the epoch; None for now."""
    sampling: Sampling = Sampling()


class Answer(Struct, frozen=True, kw_only=True):
    """Reply to ``POST /api/v1/ask`` in one piece."""

    answer: str
    conversation: str
    text: str
    finish_reason: str
    passages: tuple[Passage, ...] = ()
    """Passages that were given to the model."""
    cited: tuple[int, ...] = ()
    """Numbers (from 1) of the passages that the text rests on."""
    usage: Usage = Usage()


class NewTitle(Struct, frozen=True, kw_only=True):
    """Body of ``PATCH /api/v1/conversations/{conversation}``."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]


class SignIn(Struct, frozen=True, kw_only=True):
    """Body of ``POST /session``."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]
    """The local key, as it stands in ``keys/api.key`` of the data folder."""


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model as the OpenAI interface lists it."""

    id: str
    created: int = 0
    object: str = "model"
    owned_by: str = "karais"


class ModelList(Struct, frozen=True, kw_only=True):
    """Reply to ``GET /v1/models``."""

    data: tuple[ModelCard, ...]
    object: str = "list"


class GatewayAddress(Struct, frozen=True, kw_only=True):
    """What ``run/gateway.json`` holds while the gateway listens."""

    url: str
    """Address of the page."""
    host: str
    port: int
    pid: int
