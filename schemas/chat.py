"""Questions, answers and the log of conversations.

One answer on the wire::

    Ask @ rpc.brain.ask  ->  Accepted                      (the question is in the log)
    Sources, Delta, Delta, ... , Done | Failed @ answer.<answer>
    Turn @ chat.<project>.<conversation>.turn              (question, then answer, kept)
    Compacted @ chat.<project>.<conversation>.compacted    (now and then, in the background)

Every event of an answer carries ``index``, counted from 0 without gaps. A
client that lost its connection continues after the last index that it saw.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.base import Acting, AdapterName, Message, OptionalToken, Token
from schemas.documents import Passage
from schemas.failure import Code

MAX_QUESTION_CHARS = 32_000


class Usage(Struct, frozen=True, kw_only=True):
    """What an answer cost."""

    prompt_tokens: int = 0
    """Tokens of the prompt, cached ones included."""
    cached_tokens: int = 0
    """Tokens of the prompt that the engine's prefix cache already held."""
    completion_tokens: int = 0
    """Tokens generated."""
    seconds_to_first_token: float = 0.0
    """From handing the prompt to the engine until its first text."""


class Sampling(Struct, frozen=True, kw_only=True):
    """How the engine chooses tokens; the defaults are the model's own."""

    max_tokens: Annotated[int, Meta(ge=1, le=8192)] = 512
    """Tokens after which an answer ends with ``length``."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """0 is greedy; None takes the model's default."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus size; None takes the model's default."""
    seed: Annotated[int, Meta(ge=0, le=2**32 - 2)] | None = None
    """Makes sampling repeatable on the same engine."""
    stop: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    """Strings that end the answer; they are not part of it."""
    ignore_end: bool = False
    """Generate ``max_tokens`` whatever the model says. For measurements."""
    top_k: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """Only this many of the most likely tokens; None takes the model's default."""
    min_p: Annotated[float, Meta(ge=0, lt=1)] | None = None
    """Only tokens at least so likely, to the most likely one."""
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    """Taken from a token's logit when the answer has it already."""
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    """Taken from a token's logit for each time that the answer has it."""
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    """Report each token's log probability, and those of so many others; None for neither."""
    adapter: AdapterName = ""
    """Adapter over the model's weights; empty for the project's, or none."""


class Ask(Acting, frozen=True, kw_only=True):
    """A question to the brain. Asking twice with the same ``answer`` asks once."""

    answer: Token
    """Identity of the answer, chosen by the asker (a random 128-bit hex string)."""
    conversation: Token
    """Conversation that the question belongs to, also chosen by the asker."""
    text: Annotated[str, Meta(min_length=1, max_length=MAX_QUESTION_CHARS)]
    """The question."""
    retrieve: bool = True
    """Look into the storage and the memory for what helps to answer."""
    temporary: bool = False
    """Neither log nor remember the question and its answer; all of a conversation's are, or none."""
    as_of: float | None = None
    """Answer from what was known and valid at this time, in seconds since the epoch; None for now."""
    sampling: Sampling = Sampling()
    explain: bool = False
    """Tell at the end what went into the prompt, see ``Explanation``."""


class Answering(Message, frozen=True, kw_only=True):
    """A brain began an answer, or ended its last: what is not urgent leaves the machine to it meanwhile."""

    worker: Token
    """The brain's instance."""
    running: int
    """Answers that run at it now."""


class Accepted(Message, frozen=True, kw_only=True):
    """The question is in the log; its answer follows on ``answer.<answer>``."""

    answer: Token
    conversation: Token
    sequence: int = 0
    """Position of the question in the stream CHAT; 0 for a temporary one, which is not there."""
    worker: str = ""
    """The brain's instance, where nobody ends the answer for a brain that dies: a completion's."""


class Cancel(Message, frozen=True, kw_only=True):
    """Stop an answer. What was generated stays; the answer ends with ``cancelled``."""

    answer: Token


class Sources(Message, frozen=True, kw_only=True):
    """The passages that the answer may rest on, sent before its first delta."""

    answer: Token
    index: int
    passages: tuple[Passage, ...]
    """Best first; citation ``[n]`` in the answer means ``passages[n - 1]``."""


class Likelihood(Struct, frozen=True, kw_only=True):
    """A token and how likely it was."""

    token: str
    """Its text; replacement characters stand for bytes that are no whole character."""
    logprob: float
    """Natural logarithm of its probability, before temperature and penalties."""
    bytes: tuple[int, ...] = ()
    top: tuple[Likelihood, ...] = ()
    """The most likely tokens of its place, itself perhaps among them; empty within ``top``."""


class Delta(Message, frozen=True, kw_only=True):
    """The next piece of an answer's text."""

    answer: Token
    index: int
    text: str
    logprobs: tuple[Likelihood, ...] = ()
    """Of its tokens, when they were asked for."""


class ToolCall(Struct, frozen=True, kw_only=True):
    """A tool that the model wants to be called."""

    id: str
    name: str
    arguments: str
    """A JSON object, as the tool's schema wants it."""


class ToolCalls(Message, frozen=True, kw_only=True):
    """The model wants tools; whoever asked with tools of its own calls them and asks again."""

    answer: Token
    index: int
    calls: tuple[ToolCall, ...]


FinishReason = Literal["stop", "length", "cancelled", "tool_calls"]

Grounding = Literal["", "supported", "unsupported", "nothing_found", "not_searched"]
"""What an answer has to do with the owner's files and memory: a passage supports it; passages were
read, but none supports it; nothing in them fits the question; they could not be searched; empty
when they were not to be searched."""


class Citation(Struct, frozen=True, kw_only=True):
    """A sentence of an answer and the passage that supports it."""

    start: int
    """Characters (Unicode code points) of the answer before the sentence."""
    end: int
    """Characters before the place where its mark belongs."""
    passage: int
    """Number of the passage, from 1."""


PartName = Literal["system", "instructions", "tools", "summary", "history", "memory", "passages", "question"]
"""A part of a prompt; ``memory`` are facts and turns of other conversations."""


class PromptPart(Struct, frozen=True, kw_only=True):
    """A part of a prompt, its share of the template included."""

    name: PartName
    tokens: int
    cached: int = 0
    """Of these, those that the engine's prefix cache already held."""
    most: int = 0
    """Tokens that it may have at most; 0 where nothing but the context is its limit."""
    pieces: tuple[str, ...] = ()
    """What it is made of, a line each; empty where the name says it all."""


class LeftOut(Struct, frozen=True, kw_only=True):
    """Something that could have been in a prompt and is not."""

    name: PartName
    what: str
    tokens: int = 0
    """What it would have cost; 0 where nobody counted."""
    reason: Literal["share", "budget", "too_old", "summarised", "unanswered"]
    """Its part has no more room; the context has none; newer turns stand there instead; a summary
    stands for it; a question without an answer."""


class Explanation(Struct, frozen=True, kw_only=True):
    """What an answer was made from."""

    context_tokens: int
    """What the model's context holds."""
    answer_tokens: int
    """Of these, what was kept free for the answer."""
    prompt_tokens: int
    cached_tokens: int
    parts: tuple[PromptPart, ...]
    """In the order in which the model reads them."""
    left_out: tuple[LeftOut, ...] = ()


class Done(Message, frozen=True, kw_only=True):
    """The answer is complete."""

    answer: Token
    index: int
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    cited: tuple[int, ...] = ()
    """Numbers (from 1) of the passages that the text rests on: those of ``citations``, each once."""
    citations: tuple[Citation, ...] = ()
    """Which sentence rests on which passage; other marks in the text support nothing."""
    grounding: Grounding = ""
    explained: Explanation | None = None
    """When the question asked for it."""


class Failed(Message, frozen=True, kw_only=True):
    """The answer ends here and is not complete."""

    answer: Token
    index: int
    code: Code
    message: str


AnswerEvent = Sources | Delta | ToolCalls | Done | Failed


class Turn(Acting, frozen=True, kw_only=True):
    """One entry of a conversation, as the log keeps it."""

    conversation: Token
    answer: Token
    """Question and answer share this identity."""
    role: Literal["user", "assistant"]
    text: str
    at: float
    """Seconds since the epoch, UTC, when the turn was complete."""
    worker: str = ""
    """Instance of the brain that answers, so that a dead one's answers can be ended."""
    model: str = ""
    """Model that generated the text; empty for a user's turn."""
    passages: tuple[Passage, ...] = ()
    """Passages that were given to the model."""
    cited: tuple[int, ...] = ()
    """Numbers (from 1) of the passages that the text rests on: those of ``citations``, each once."""
    citations: tuple[Citation, ...] = ()
    """Which sentence rests on which passage; other marks in the text support nothing."""
    grounding: Grounding = ""
    finish_reason: FinishReason | Literal["failed", ""] = ""
    """How the answer ended; empty for a user's turn."""
    code: Code | None = None
    """Why it failed, when ``finish_reason`` is ``failed``."""
    message: str = ""
    """The failure in one sentence."""
    usage: Usage = Usage()


class Compacted(Acting, frozen=True, kw_only=True):
    """A summary that stands for a conversation's beginning in later prompts; each turn stays in the log.

    Each holds what the one before it held, and stands for more turns: those of
    all the conversation's summaries together.
    """

    conversation: Token
    text: str
    """Lines, each of which says one thing that was said."""
    turns: tuple[str, ...]
    """Identities of the exchanges that it stands for beyond those of the summary before it, oldest first."""
    after: OptionalToken = ""
    """The last exchange that the summary before it stands for; empty without one."""
    at: float
    model: str = ""
    """Model that wrote parts of it; empty when all of it is taken from the turns word by word."""


class Titled(Acting, frozen=True, kw_only=True):
    """A conversation got a title, from its first question or from the user."""

    conversation: Token
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    at: float
    by_user: bool = False
    """A title that the user gave is not replaced by an automatic one."""


class Deleted(Acting, frozen=True, kw_only=True):
    """The user removed a conversation from the list."""

    conversation: Token
    at: float


class ListConversations(Acting, frozen=True, kw_only=True):
    """Ask for a project's conversations, newest first."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: float = 0
    """Only those updated before this time (seconds since the epoch); 0 for the newest."""
    matching: Annotated[str, Meta(max_length=200)] = ""
    """Only those whose title or text contains these words."""


class Conversation(Struct, frozen=True, kw_only=True):
    """A line of the conversation list."""

    conversation: str
    project: str
    title: str
    created: float
    updated: float
    turns: int
    answering: str = ""
    """Identity of the answer under way, if one is."""


class Conversations(Message, frozen=True, kw_only=True):
    """Reply to ListConversations."""

    conversations: tuple[Conversation, ...]


class ReadConversation(Acting, frozen=True, kw_only=True):
    """Ask for a conversation's turns."""

    conversation: Token
    last: Annotated[int, Meta(ge=1, le=2000)] = 500
    """At most this many turns, the latest ones."""


class History(Message, frozen=True, kw_only=True):
    """Reply to ReadConversation; an unknown conversation has no turns."""

    conversation: Token
    title: str
    turns: tuple[Turn, ...]
    """Oldest first."""
    sequence: int
    """Position in the stream CHAT of the newest turn; 0 when there is none."""
    answering: str = ""
    """Identity of the answer under way, if one is."""
    summary: Compacted | None = None
    """The newest summary; it stands for every turn up to the last exchange that it names."""
    summarised: int = 0
    """Position of the summary in the stream CHAT; 0 without one."""


class OpenAnswers(Message, frozen=True, kw_only=True):
    """Ask which questions have no answer in the log yet."""


class Unanswered(Message, frozen=True, kw_only=True):
    """Reply to OpenAnswers: the questions' turns."""

    turns: tuple[Turn, ...]
