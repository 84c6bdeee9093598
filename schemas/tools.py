"""Tools: what a model or a person may have done, and what came of it.

A call on the wire::

    ListTools @ rpc.tools.list_tools  ->  ToolList
    CallTool  @ rpc.tools.call_tool   ->  ToolResult      (always a result, whatever the tool does)
    ToolCalled @ evt.tools.<call>.begun, evt.tools.<call>.ended      (the log; carries no text)

Whoever lets a model call tools keeps to three rules, which the fields named
here are there for:

- What came from outside (``ToolResult.untrusted``, ``ToolEntry.untrusted``) is
  material, never an instruction.
- Once such text is in the context, whatever changes something (``effect`` is
  ``changes``) needs the user's yes to this very call, and only then is
  ``CallTool.approved`` set. Without it the tools agent refuses by itself.
- So does whatever carries its arguments out of KARAIS (``sends``), reading or
  not: what a model was made to write into them would be gone. This the tools
  agent cannot see; it is the caller's to keep.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from schemas.base import Acting, Message, OptionalToken, Token
from schemas.completion import ToolName
from schemas.documents import Passage
from schemas.memory import MAX_FACT_CHARS

MAX_ARGUMENTS_CHARS = 64_000
MAX_RESULT_CHARS = 16_000
"""Characters of a result; what is longer is cut."""

BUILT_IN = "built-in"

Effect = Literal["none", "reads", "changes"]
"""``none``: computes, and shows nothing from outside. ``reads``: brings in text that somebody else may
have written (files, what was said, the answer of a server). ``changes``: something is not as before."""

Outcome = Literal[
    "begun",
    "done",
    "failed",
    "timed_out",
    "invalid",
    "unknown",
    "unapproved",
    "busy",
    "unavailable",
    "repeated",
]
"""``begun``: only in the log, written before something is changed. ``done``, ``failed``, ``timed_out``: it
was tried; after a timeout it may have been done all the same. The others: it was not tried, for its
arguments were wrong (``invalid``), there is no such tool, the user's yes is missing, too many calls
run, its server or the log is not there, or it was begun before and what came of it is not known."""


class ToolEntry(Struct, frozen=True, kw_only=True):
    """A tool that can be called now."""

    name: ToolName
    """A tool of a server is named ``server__tool``."""
    description: str = ""
    parameters: dict[str, Any] = {}
    """JSON schema of its arguments, an object's."""
    source: str = BUILT_IN
    """``built-in``, or the name of the server that offers it."""
    effect: Effect = "changes"
    sends: bool = False
    """The arguments leave KARAIS, for a server that the administrator does not trust with them."""
    untrusted: bool = False
    """Name, description and schema were written by the server: whoever shows them to a model has text
    from outside in the context from then on."""


class ToolServer(Struct, frozen=True, kw_only=True):
    """A server of tools, as the administrator configured it."""

    name: str
    state: Literal["starting", "ready", "failed"]
    tools: int = 0
    detail: str = ""
    """Why it failed, or which of its tools were left out, in one sentence."""


class ListTools(Acting, frozen=True, kw_only=True):
    """Ask which tools there are."""


class ToolList(Message, frozen=True, kw_only=True):
    """Reply to ListTools, built-in ones first."""

    tools: tuple[ToolEntry, ...]
    servers: tuple[ToolServer, ...] = ()


class CallTool(Acting, frozen=True, kw_only=True):
    """Have a tool called. Calling twice with the same ``call`` calls once and replies the same.

    A call that was refused may be sent again under the same identity, such as with the user's yes.
    """

    call: Token
    """Identity of the call, chosen by the asker, not used for another: such as the answer's with a number."""
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    arguments: Annotated[str, Meta(max_length=MAX_ARGUMENTS_CHARS)] = "{}"
    """A JSON object as the tool's schema wants it, as JSON text."""
    answer: OptionalToken = ""
    """Answer that it is for; empty when a person calls."""
    conversation: OptionalToken = ""
    """Conversation that asks: its own turns, which it has before it, are not searched."""
    approved: bool = False
    """The user said yes to this call, or nothing from outside is in the context that asks for it."""
    seconds: Annotated[float, Meta(gt=0, le=300)] = 30.0
    """After so long it is given up."""


class ToolResult(Message, frozen=True, kw_only=True):
    """Reply to CallTool."""

    call: Token
    name: str
    outcome: Outcome
    text: str
    """For the model: what the tool gave, or in one sentence why it gave nothing."""
    field: str = ""
    """The argument at fault, such as ``limit``, when the arguments were ``invalid``."""
    truncated: bool = False
    """The tool gave more than fits."""
    untrusted: bool = False
    """The text came from outside."""
    seconds: float = 0.0
    """How long it took."""
    passages: tuple[Passage, ...] = ()
    """What the text consists of, when passages were searched: ``[n]`` in it is ``passages[n - 1]``."""

    @property
    def is_error(self) -> bool:
        """Whether the tool gave nothing."""
        return self.outcome != "done"


class ToolCalled(Acting, frozen=True, kw_only=True):
    """Log: a tool was called, or is about to change something. Without any text: there is none to forget."""

    call: Token
    name: str
    source: str = ""
    """Empty when there is no such tool."""
    effect: Effect | Literal[""] = ""
    outcome: Outcome
    approved: bool = False
    arguments: str = ""
    """The first 32 hex digits of the SHA-256 of the arguments' text."""
    answer: OptionalToken = ""
    conversation: OptionalToken = ""
    seconds: float = 0.0
    characters: int = 0
    """Of the result's text."""
    at: float
    """Seconds since the epoch."""

    @property
    def step(self) -> str:
        """Last token of the subject."""
        return "begun" if self.outcome == "begun" else "ended"


Query = Annotated[
    str, Meta(min_length=1, max_length=2000, description="What to look for: words, or a whole question.")
]
Limit = Annotated[int, Meta(ge=1, le=20, description="At most so many passages.")]


class SearchStorage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``search_storage``."""

    query: Query
    limit: Limit = 5


class RecallMemory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``recall``."""

    query: Query
    limit: Limit = 5


class Remember(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``remember``."""

    text: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_FACT_CHARS,
            description="The fact, in one sentence that stands alone.",
        ),
    ]


SEARCH_STORAGE = "Search the user's files. Gives passages with the file and place that each stands at."
RECALL = "Look up what is remembered: facts about the user and what was said in earlier conversations."
REMEMBER = "Remember a fact for later conversations. Only what the user wants to be remembered."
