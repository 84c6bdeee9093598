"""What clients of the gateway speak: the frames of the WebSocket and the bodies of the REST interface.

A frame is one JSON object, tagged like everything on the bus; most frames are
the bus messages themselves. One conversation over a socket::

    Ask                    ->  Accepted, Sources, Delta ... Done | Failed
    Attach(answer, after)  ->  Sources, Delta ... Done | Failed   (from index after + 1 on)
    Cancel(answer)         ->  the answer ends with Done, ``cancelled``
    Watch(conversation)    ->  Watching, then Started, ConversationChanged, FactChanged ... as they happen
    anything wrong         ->  Problem

Clients choose the identities of answers and conversations, so a reply, and a
Problem too (``ref``), names what it is about without a counter of requests.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from schemas.base import HOME, AdapterName, Message, OptionalToken, Token
from schemas.chat import (
    MAX_QUESTION_CHARS,
    Accepted,
    Ask,
    Cancel,
    Citation,
    Delta,
    Done,
    Explanation,
    Failed,
    Grounding,
    Sampling,
    Sources,
    ToolCalls,
    Usage,
)
from schemas.documents import MAX_QUERY_CHARS, Passage, StorageStatus
from schemas.failure import Code
from schemas.memory import MAX_FACT_CHARS
from schemas.projects import Folder, Instructions, Name

WEBSOCKET_PATH = "/ws"

FactText = Annotated[str, Meta(min_length=1, max_length=MAX_FACT_CHARS)]


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


Change = Literal["asked", "answered", "titled", "forgotten"]
"""``forgotten``: exchanges of it are gone for good, perhaps all."""


class ConversationChanged(Message, frozen=True, kw_only=True):
    """A line of the conversation list is no longer as it was."""

    conversation: str
    change: Change
    at: float
    """When it changed, in seconds since the epoch."""
    title: str = ""
    """The new title, for ``titled``."""


class FactChanged(Message, frozen=True, kw_only=True):
    """What is remembered in the watched project is no longer as it was."""

    fact: str
    change: Literal["learned", "edited", "forgotten"]
    text: str = ""
    """The fact, as it now is; empty for ``forgotten``."""
    conversation: str = ""
    """Conversation that it was learned from; empty when the user wrote it."""


class ProjectsChanged(Message, frozen=True, kw_only=True):
    """A project was made, changed or removed."""

    project: str
    removed: bool = False


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
    | ToolCalls
    | Done
    | Failed
    | Watching
    | Started
    | ConversationChanged
    | FactChanged
    | ProjectsChanged
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
    explain: bool = False
    """Tell what went into the prompt."""


class Answer(Struct, frozen=True, kw_only=True):
    """Reply to ``POST /api/v1/ask`` in one piece."""

    answer: str
    conversation: str
    text: str
    finish_reason: str
    passages: tuple[Passage, ...] = ()
    """Passages that were given to the model."""
    cited: tuple[int, ...] = ()
    """Numbers (from 1) of the passages that support the text."""
    citations: tuple[Citation, ...] = ()
    grounding: Grounding = ""
    """Numbers (from 1) of the passages that the text rests on."""
    usage: Usage = Usage()
    explained: Explanation | None = None
    """When the question asked for it."""


class NewTitle(Struct, frozen=True, kw_only=True):
    """Body of ``PATCH /api/v1/conversations/{conversation}``."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]


class InProject(Struct, frozen=True, kw_only=True):
    """Query of what belongs to a project."""

    project: Token = HOME


class DryRun(Struct, frozen=True, kw_only=True):
    """Query of ``DELETE`` of a project."""

    dry_run: bool = False
    """Only say what would go."""


class Forgetting(DryRun, frozen=True, kw_only=True):
    """Query of ``DELETE`` where something of a project is forgotten for good."""

    project: Token = HOME


class NewProject(Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/v1/projects``."""

    project: Token
    """Its identity: a short name of letters, digits, ``_`` and ``-``."""
    name: Name | None = None
    """What people call it; the identity when it is not given."""
    instructions: Instructions = ""
    folder: Folder = ""
    uses_global: bool = False
    adapter: AdapterName = ""


class ProjectChange(Struct, frozen=True, kw_only=True):
    """Body of ``PATCH /api/v1/projects/{project}``; what is not given stays."""

    name: Name | None = None
    instructions: Instructions | None = None
    folder: Folder | None = None
    uses_global: bool | None = None
    adapter: AdapterName | None = None


class NewFact(Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/v1/facts``."""

    text: FactText
    """The fact in one sentence that stands alone."""
    project: Token = HOME
    valid_from: float | None = None
    """Seconds since the epoch from which it holds; None for now."""
    valid_to: float | None = None


class FactChange(Struct, frozen=True, kw_only=True):
    """Body of ``PATCH /api/v1/facts/{fact}``."""

    text: FactText
    """The fact as it is right, in one sentence."""
    value: Annotated[str, Meta(max_length=MAX_FACT_CHARS)] = ""
    """The value alone; empty lets memory find it."""
    valid_from: float | None = None
    """Seconds since the epoch; None takes over the old version's."""
    valid_to: float | None = None


class Search(Struct, frozen=True, kw_only=True):
    """Query of ``GET /api/v1/search``."""

    query: Annotated[str, Meta(min_length=1, max_length=MAX_QUERY_CHARS)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    kinds: str = ""
    """Only these, separated by commas: ``document``, ``turn``, ``fact``; empty for all."""
    after: float | None = None
    """Only what was changed or said at this time or later, in seconds since the epoch."""
    before: float | None = None
    """Only what was changed or said before this time."""
    as_of: float | None = None
    """Only facts that held at this time."""
    project: Token = HOME
    with_global: bool = False
    """Search the project ``global`` as well."""


class SignIn(Struct, frozen=True, kw_only=True):
    """Body of ``POST /session``."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]
    """The local key, as it stands in ``keys/api.key`` of the data folder."""


class ToolRun(Struct, frozen=True, kw_only=True):
    """Body of ``POST /api/v1/tools/{name}``."""

    arguments: dict[str, Any] = {}
    """As the tool's schema wants them."""
    project: Token = HOME
    call: OptionalToken = ""
    """Identity of the call, for a client that may have to call again; empty lets the gateway choose."""
    approved: bool = False
    """The user said yes to this very call; what changes something needs it."""
    seconds: Annotated[float, Meta(gt=0, le=300)] = 30.0
    """After so long it is given up."""


class GatewayAddress(Struct, frozen=True, kw_only=True):
    """What ``run/gateway.json`` holds while the gateway listens."""

    url: str
    """Address of the page."""
    host: str
    port: int
    pid: int
