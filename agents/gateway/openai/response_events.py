"""A response as it grows: the events of its stream, and what it is in the end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import msgspec

from agents.gateway.codec import encode
from agents.gateway.openai import translate
from schemas.chat import Delta, Done, Likelihood, ToolCalls
from schemas.completion import Complete
from schemas.documents import Passage
from schemas.openai import OpenAIError
from schemas.openai_responses import (
    Incomplete,
    InputTokens,
    ItemStatus,
    OutputCall,
    OutputMessage,
    OutputText,
    Response,
    ResponseError,
    ResponseEvent,
    ResponseRequest,
    ResponseUsage,
    TextFormat,
    TextOptions,
)

replace = msgspec.structs.replace


class ResponseBuilder:
    """Builds one response; each method yields the frames of what it adds."""

    def __init__(self, ask: Complete, body: ResponseRequest, model: str) -> None:
        self.passages: tuple[Passage, ...] = ()
        self._ask = ask
        self._text: list[str] | None = None
        self._logprobs: list[Likelihood] = []
        self._number = -1
        self.response = Response(
            id=f"resp_{ask.answer}",
            created_at=int(time.time()),
            model=model,
            status="in_progress",
            instructions=body.instructions,
            max_output_tokens=body.max_output_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            tools=body.tools or (),
            tool_choice=body.tool_choice or "auto",
            text=body.text if body.text and body.text.format else TextOptions(format=TextFormat()),
        )

    def next_number(self) -> int:
        """Return the number of the next event."""
        self._number += 1
        return self._number

    def begin(self) -> Iterator[bytes]:
        """Begin the response."""
        yield self._event("response.created", response=self.response)
        yield self._event("response.in_progress", response=self.response)

    def text(self, delta: Delta) -> Iterator[bytes]:
        """Add text."""
        if self._text is None:
            self._text = []
            yield self._event(
                "response.output_item.added", output_index=0, item=self._message("in_progress", ())
            )
            yield self._event("response.content_part.added", part=OutputText(text=""), **self._place())
        self._text.append(delta.text)
        self._logprobs += delta.logprobs
        logprobs = translate.token_logprobs(delta.logprobs)
        yield self._event("response.output_text.delta", delta=delta.text, logprobs=logprobs, **self._place())

    def calls(self, event: ToolCalls) -> Iterator[bytes]:
        """End the text, and add calls of tools."""
        yield from self._end_text("completed")
        for called in event.calls:
            item = OutputCall(
                id=f"fc_{secrets.token_hex(12)}",
                call_id=called.id,
                name=called.name,
                arguments=called.arguments,
            )
            at = len(self.response.output)
            begun = replace(item, arguments="", status="in_progress")
            yield self._event("response.output_item.added", output_index=at, item=begun)
            where = {"item_id": item.id, "output_index": at}
            yield self._event("response.function_call_arguments.delta", delta=called.arguments, **where)
            yield self._event(
                "response.function_call_arguments.done",
                arguments=called.arguments,
                name=called.name,
                **where,
            )
            yield self._event("response.output_item.done", output_index=at, item=item)
            self._add(item)

    def end(self, done: Done) -> Iterator[bytes]:
        """End the response."""
        short = done.finish_reason == "length"
        yield from self._end_text("incomplete" if short else "completed")
        usage = done.usage
        self.response = replace(
            self.response,
            status="incomplete" if short else "completed",
            incomplete_details=Incomplete() if short else None,
            usage=ResponseUsage(
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.completion_tokens,
                total_tokens=usage.prompt_tokens + usage.completion_tokens,
                input_tokens_details=InputTokens(cached_tokens=usage.cached_tokens),
            ),
        )
        if self._ask.retrieve:
            self.response = replace(self.response, karais=translate.grounds_of(self.passages, done))
        yield self._event(f"response.{self.response.status}", response=self.response)

    def fail(self, error: OpenAIError) -> bytes:
        """End a response that cannot be completed."""
        reason = ResponseError(code=error.code or "server_error", message=error.message)
        self.response = replace(self.response, status="failed", error=reason)
        return self._event("response.failed", response=self.response)

    def _end_text(self, status: ItemStatus) -> Iterator[bytes]:
        if self._text is None or self.response.output:
            return
        part = OutputText(text="".join(self._text), logprobs=translate.token_logprobs(self._logprobs))
        item = self._message(status, (part,))
        logprobs = translate.token_logprobs(self._logprobs)
        yield self._event("response.output_text.done", text=part.text, logprobs=logprobs, **self._place())
        yield self._event("response.content_part.done", part=part, **self._place())
        yield self._event("response.output_item.done", output_index=0, item=item)
        self._add(item)

    def _message(self, status: ItemStatus, content: tuple[OutputText, ...]) -> OutputMessage:
        return OutputMessage(id=f"msg_{self._ask.answer}", status=status, content=content)

    def _place(self) -> dict[str, object]:
        return {"item_id": f"msg_{self._ask.answer}", "output_index": 0, "content_index": 0}

    def _add(self, item: OutputMessage | OutputCall) -> None:
        self.response = replace(self.response, output=(*self.response.output, item))

    def _event(self, kind: str, **fields: object) -> bytes:
        return event_frame(
            ResponseEvent(type=kind, sequence_number=self.next_number(), **fields)  # type: ignore[arg-type]  # named above
        )


def event_frame(event: ResponseEvent) -> bytes:
    """Return an event as it is sent."""
    return b"event: " + event.type.encode() + b"\ndata: " + encode(event) + b"\n\n"
