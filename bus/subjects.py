"""Which message travels where: the one table of subjects.

Everything else (endpoints, permissions, streams' filters, the AsyncAPI
document) is derived from this table and from what agents declare.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from schemas import chat, completion, documents, embeddings, forgetting, health, memory, projects, tools
from schemas.base import Message, snake_case

ROOT = "karais"


@dataclass(frozen=True)
class Rpc:
    """A request to any one agent of a kind, and the type of its reply."""

    kind: str
    reply: type[Message]
    read_only: bool = False
    """The inspector identity may send it."""


@dataclass(frozen=True)
class Control:
    """An order to every agent of a kind, without a reply."""

    kind: str
    template: str


@dataclass(frozen=True)
class Event:
    """Something that happened; ``template`` takes its tokens from the message's fields."""

    template: str


@dataclass(frozen=True)
class Log:
    """An entry of a kept stream, acknowledged when it is on disk."""

    template: str
    stream: str


@dataclass(frozen=True)
class Job:
    """Work for one agent of a kind, redelivered until it is done."""

    kind: str
    key: str
    """Field that identifies the work; the same work waits at most once."""


Route = Rpc | Control | Event | Log | Job

ROUTES: dict[type[Message], Route] = {
    chat.Ask: Rpc("brain", chat.Accepted),
    completion.Complete: Rpc("brain", chat.Accepted),
    chat.Cancel: Control("brain", "ctl.brain.cancel.{answer}"),
    health.DescribeEngine: Rpc("brain", health.EngineDescription, read_only=True),
    chat.Sources: Event("answer.{answer}"),
    chat.Delta: Event("answer.{answer}"),
    chat.ToolCalls: Event("answer.{answer}"),
    chat.Done: Event("answer.{answer}"),
    chat.Failed: Event("answer.{answer}"),
    chat.Answering: Event("ctl.all.answering"),
    chat.Turn: Log("chat.{project}.{conversation}.turn", "CHAT"),
    chat.Compacted: Log("chat.{project}.{conversation}.compacted", "CHAT"),
    chat.Titled: Log("chat.{project}.{conversation}.title", "CHAT"),
    chat.Deleted: Log("chat.{project}.{conversation}.deleted", "CHAT"),
    chat.ListConversations: Rpc("memory", chat.Conversations, read_only=True),
    chat.ReadConversation: Rpc("memory", chat.History, read_only=True),
    chat.OpenAnswers: Rpc("memory", chat.Unanswered, read_only=True),
    projects.ProjectChanged: Log("memory.{project}.project.changed", "MEMORY"),
    projects.ProjectRemoved: Log("memory.{project}.project.removed", "MEMORY"),
    projects.ListProjects: Rpc("memory", projects.Projects, read_only=True),
    projects.ReadProject: Rpc("memory", projects.ProjectFound, read_only=True),
    projects.ChangeProject: Rpc("memory", projects.ProjectFound),
    projects.RemoveProject: Rpc("memory", forgetting.Forgotten),
    memory.FactLearned: Log("memory.{project}.fact.{fact}.learned", "MEMORY"),
    memory.FactEdited: Log("memory.{project}.fact.{fact}.edited", "MEMORY"),
    memory.FactForgotten: Log("memory.{project}.fact.{fact}.forgotten", "MEMORY"),
    memory.ListFacts: Rpc("memory", memory.Facts, read_only=True),
    memory.ShowFact: Rpc("memory", memory.FactWithHistory, read_only=True),
    memory.AddFact: Rpc("memory", memory.FactWithHistory),
    memory.EditFact: Rpc("memory", memory.FactWithHistory),
    forgetting.Forget: Rpc("memory", forgetting.Forgotten),
    forgetting.TurnsForgotten: Log("chat.{project}.{conversation}.forgotten", "CHAT"),
    documents.Recall: Rpc("memory", documents.Recalled, read_only=True),
    documents.OpenPassage: Rpc("memory", documents.PassageInContext, read_only=True),
    documents.GetStorageStatus: Rpc("librarian", documents.StorageStatus, read_only=True),
    documents.ListFiles: Rpc("librarian", documents.Files, read_only=True),
    documents.Rescan: Rpc("librarian", documents.StorageStatus),
    documents.StorageStatus: Event("evt.librarian.storage.progress"),
    documents.StorageChanged: Event("evt.librarian.storage.changed"),
    documents.FileAwaits: Event("evt.librarian.file.awaits"),
    documents.IndexFile: Job("librarian", key="file"),
    embeddings.Embed: Rpc("embedder", embeddings.Vectors),
    tools.ListTools: Rpc("tools", tools.ToolList, read_only=True),
    tools.CallTool: Rpc("tools", tools.ToolResult),
    tools.ToolCalled: Log("evt.tools.{call}.{step}", "EVT"),
}


def verb(message: type[Message]) -> str:
    """Return the last token of a request's subject, which is its wire name."""
    return snake_case(message.__name__)


def rpc_subject(message: type[Message], instance: str = "") -> str:
    """Return the subject of a request, to any agent of the kind or to one ``instance``."""
    route = ROUTES[message]
    if not isinstance(route, Rpc):
        raise TypeError(f"{message.__name__} is no request: see ROUTES in bus/subjects.py.")
    direct = f"i.{instance}." if instance else ""
    return f"{ROOT}.rpc.{route.kind}.{direct}{verb(message)}"


def subject_of(message: Message) -> str:
    """Return the subject on which this message is published."""
    route = ROUTES[type(message)]
    match route:
        case Rpc():
            return rpc_subject(type(message))
        case Job(kind, key):
            return f"{ROOT}.job.{kind}.{getattr(message, key)}"
        case Control(_, template) | Event(template) | Log(template, _):
            return f"{ROOT}.{template.format_map(_Fields(message))}"


def pattern_of(message: type[Message], **fixed: str) -> str:
    """Return the subject with a wildcard for every field that is not ``fixed``.

    Subscriptions and permissions are made of it.
    """
    route = ROUTES[message]
    match route:
        case Rpc():
            return rpc_subject(message)
        case Job(kind, _):
            return f"{ROOT}.job.{kind}.*"
        case Control(_, template) | Event(template) | Log(template, _):
            names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
            return f"{ROOT}.{template.format_map(dict.fromkeys(names, '*') | fixed)}"


class _Fields(dict[str, str]):
    """Looks a template's names up in a message's fields."""

    def __init__(self, message: Message) -> None:
        super().__init__()
        self._message = message

    def __missing__(self, name: str) -> str:
        return str(getattr(self._message, name))
