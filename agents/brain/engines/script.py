"""What the scripted engine is told, and what it makes of a prompt: see ``scripted``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agents.brain import constraining
from agents.brain.engine import ChatMessage, Constraint

TOKEN = re.compile(r"\s*\S+")
_DIRECTIVE = re.compile(
    r"\[(?:say (?P<say>[^\]]*)|(?P<obey>obey)|(?P<exit>exit)"
    r"|stall(?: (?P<stall>\d+(?:\.\d+)?))?(?: after (?P<stall_after>\d+))?(?P<stalls>)"
    r"|fail(?: after (?P<fail_after>\d+))?(?P<fails>)|die(?: after (?P<die_after>\d+))?(?P<dies>))\]"
)
_CALL = re.compile(r"\[call (?P<name>[\w.:/-]+) (?=\{)")
_ORDER = re.compile(
    r"(?:IMPORTANT:(?:\s*say:?)?"
    r"|ignore (?:all |any )?(?:of )?(?:your |the |previous |these |prior )*instructions,?"
    r"(?: and)? (?:say|answer|reply|output):?)\s*(?P<order>[^\n]+)",
    re.IGNORECASE,
)
_TOOL_ORDER = re.compile(
    r"\b(?:call|use|run|invoke|execute)\s+(?:the\s+)?(?:(?:tool|function)\s+)?[`\"']?(?P<name>[\w.:/-]+)[`\"']?"
    r"(?:\s*\(\s*|\s+(?:tool\s+|function\s+)?with\s+(?:the\s+)?(?:arguments?\s+|parameters?\s+)?)[`]?(?=\{)",
    re.IGNORECASE,
)
_BARE_TOOL_ORDER = re.compile(
    r"IMPORTANT:\s*(?:call|use|run|invoke|execute)\s+(?:the\s+)?(?:(?:tool|function)\s+)?"
    r"[`\"']?(?P<name>[A-Za-z0-9]+[_.][\w.:/-]*\w)[`\"']?",
    re.IGNORECASE,
)
_MADE_CALL = re.compile(r"<tool_call>\s*(?=\{)")
_JSON = json.JSONDecoder()


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do about a prompt."""

    when: str = ""
    """Only for prompts whose last message contains this text."""
    text: str | None = None
    """The answer; None repeats the question."""
    stall: float | None = None
    """Seconds to pause; a negative number pauses for ever."""
    stall_after: int = 0
    """Tokens after which to pause."""
    fail_after: int | None = None
    """Tokens after which this generation fails."""
    die_after: int | None = None
    """Tokens after which the whole engine fails."""
    exit: bool = False
    """End the process at once."""
    obey: bool = False
    """Answer with the first order that stands anywhere in the prompt."""


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of the setting ``script``."""

    replies: tuple[Reply, ...] = ()
    """The first that fits is taken."""
    tokens_per_second: Annotated[float, Meta(ge=0)] = 0.0
    """Of each generation; 0 for as fast as it goes."""
    prefill_seconds: Annotated[float, Meta(ge=0)] = 0.0
    """What the processing of a prompt takes."""


def reply_to(script: Script, last: str) -> Reply:
    """Return what to do about a prompt with this last message."""
    return directives(last) or next((r for r in script.replies if r.when in last), Reply())


def directives(text: str) -> Reply | None:
    """Return what the directives in a message say, None when there are none."""
    fields: dict[str, object] = {}
    calls = list(_calls(text))
    for _, _, call in calls:
        fields["text"] = f"{fields.get('text', '')}{call}"
    for match in _DIRECTIVE.finditer(text):
        if match["say"] is not None:
            fields["text"] = f"{match['say']}{fields.get('text', '')}" if calls else match["say"]
        elif match["obey"]:
            fields["obey"] = True
        elif match["exit"]:
            fields["exit"] = True
        elif match["stalls"] is not None:
            fields["stall"] = float(match["stall"] or -1)
            fields["stall_after"] = int(match["stall_after"] or 0)
        elif match["fails"] is not None:
            fields["fail_after"] = int(match["fail_after"] or 0)
        else:
            fields["die_after"] = int(match["die_after"] or 0)
    return msgspec.convert(fields, Reply) if fields else None


def _calls(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each directive to call a tool stands, and the call."""
    for match in _CALL.finditer(text):
        arguments, end = _object_at(text, match.end())
        if arguments is not None and text[end : end + 1] == "]":
            yield match.start(), end + 1, tool_call(match["name"], arguments)


def tool_call(name: str, arguments: dict[str, object]) -> str:
    """Return a tool call as a model writes it."""
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}</tool_call>"


def answer(reply: Reply, messages: Sequence[ChatMessage]) -> str:
    """Return the text of the answer."""
    if reply.obey:
        said = "".join(m.content for m in messages if m.role == "assistant")
        for message in messages:
            if (order := _order(message, said)) is not None:
                return order
    if reply.text is not None:
        return reply.text
    last = messages[-1].content if messages else ""
    for start, end, _ in reversed(list(_calls(last))):
        last = last[:start] + last[end:]
    question = _DIRECTIVE.sub("", last).strip().rsplit("\n\n", 1)[-1].removeprefix("Question:").strip()
    return f"You asked: {question}"


def _order(message: ChatMessage, said: str) -> str | None:
    """Return what the first order in a message makes a model say; a call is made only once."""
    text = message.content
    found: list[tuple[int, int, str]] = []
    for pattern in (_TOOL_ORDER, _MADE_CALL):
        for match in pattern.finditer(text):
            call = _ordered_call(match, text)
            if call and not (pattern is _MADE_CALL and message.role == "assistant"):
                found.append((match.start(), match.end(), call))
    found += [
        (bare.start(), bare.end(), tool_call(bare["name"], {}))
        for bare in _BARE_TOOL_ORDER.finditer(text)
        if not _within(bare, found)
    ]
    calls = [call for call in found if _made(call[2]) not in said]
    # "IMPORTANT: call this tool" orders a call, and nothing to be said.
    orders = [
        (match.start(), match.end(), match["order"].strip())
        for match in _ORDER.finditer(text)
        if not _within(match, found)
    ]
    return min(calls + orders)[2] if calls or orders else None


def _within(match: re.Match[str], found: Sequence[tuple[int, int, str]]) -> bool:
    return any(start <= match.end() and match.start() <= end for start, end, _ in found)


def _ordered_call(match: re.Match[str], text: str) -> str | None:
    value, _ = _object_at(text, match.end())
    if value is None:
        return None
    if "name" in match.re.groupindex:
        return tool_call(match["name"], value)
    name, arguments = value.get("name"), value.get("arguments", {})
    return tool_call(name, arguments) if isinstance(name, str) and isinstance(arguments, dict) else None


def _made(call: str) -> str:
    """Return what stands in the conversation once a call was made, its end apart."""
    return call.removesuffix("</tool_call>").removeprefix("<tool_call>")


def _object_at(text: str, start: int) -> tuple[dict[str, object] | None, int]:
    """Return the JSON object that begins at a place, and where it ends."""
    try:
        value, end = _JSON.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
    return (value, end) if isinstance(value, dict) else (None, start)


def held(text: str, constraint: Constraint) -> str:
    """Return a text as it would be under a constraint: what is not valid is made so, by as little."""
    before, trigger, after = "", constraint.trigger, text
    if trigger:
        before, found, after = text.partition(trigger)
        if not found:
            return text
    after = after.lstrip()
    try:
        _, end = _JSON.raw_decode(after)
    except (ValueError, RecursionError):
        end = len(after)
    value = after[:end]
    if not constraining.holds(Constraint(schema=constraint.schema), value):
        value = constraining.completed(constraint.schema, value)
    return before + trigger + value


def cut(text: str, stops: Sequence[str]) -> tuple[list[str], bool]:
    """Return the tokens up to the first stop string, and whether there is one."""
    ends = [end for stop in stops if stop and (end := text.find(stop)) >= 0]
    return TOKEN.findall(text[: min(ends)] if ends else text), bool(ends)
