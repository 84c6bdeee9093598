"""Chat templates, rendered as ``transformers`` does it, but in a process that can do no harm.

A template comes with the model, so it is foreign code. See ``template_child``
for what bounds it. The process is started at the first use, stays, and is
replaced when a template made the kernel end it; a rendering costs some
tenths of a millisecond then.
"""

from __future__ import annotations

import atexit
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

SECONDS = 5.0
"""What one rendering may take; an honest one takes a millisecond."""
CHECK_SECONDS = 2.0
"""What each rendering of a check may take: engines whose own are slower shall not be kept for long."""
MAX_TEMPLATE = 256 << 10
"""Characters of a template; the longest ones known have 30,000."""
LONGEST = 1 << 20
"""Characters that a template may add to what it is given."""
_START_S = 30.0

Message = Mapping[str, Any]
"""``role``, ``content``, and what else the template knows, such as ``tool_calls``; plain JSON data."""


class _Reply(Struct):
    text: str
    error: str = ""


class _Child:
    """The process; one request at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: dict[str, Any]) -> _Reply:
        """Return the reply; one with the error ``limit`` when the process had to be ended."""
        data = msgspec.json.encode(request)
        with self._lock:
            if self._process is None or self._process.poll() is not None or self._owner != os.getpid():
                self._start()
            assert self._process
            assert self._process.stdin
            try:
                self._process.stdin.write(struct.pack("<I", len(data)) + data)
                self._process.stdin.flush()
                until = time.monotonic() + request["seconds"] + 1
                (length,) = struct.unpack("<I", self._read(4, until))
                reply = msgspec.json.decode(self._read(length, until), type=_Reply)
                self._read(1, until)
            except (OSError, EOFError, TimeoutError):
                self._end()
                return _Reply(f"more than {request['seconds']:g} s", "limit")
            return reply

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._end()
        file = Path(__file__).with_name("template_child.py")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                bufsize=0,
            )
            self._owner = os.getpid()
            self._read(1, time.monotonic() + _START_S)
        except (OSError, EOFError, TimeoutError) as error:
            self._end()
            raise Unavailable(
                f"The process that renders chat templates does not start ({error or type(error).__name__}):"
                " install the extra `server`."
            ) from None

    def _read(self, length: int, until: float) -> bytes:
        assert self._process
        assert self._process.stdout
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        data = bytearray()
        while len(data) < length:
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            part = os.read(descriptor, length - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if self._owner == os.getpid():  # after a fork it is the parent's
            process.kill()
            process.wait()


_CHILD = _Child()
atexit.register(_CHILD.close)


def render(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    add_generation_prompt: bool = True,
    bos_token: str = "",
    eos_token: str = "",
    more: Mapping[str, Any] | None = None,
    seconds: float = SECONDS,
) -> str:
    """Return the prompt that a template makes of messages. Blocks; safe from several threads.

    ``more`` holds further variables of the template (``enable_thinking``).
    Raises KaraisError ``invalid`` with the field ``chat_template`` when the
    template is wrong, refuses such messages, reaches for what it may not, or
    takes too much time, memory or text; ``unavailable`` when no process can
    be started.
    """
    reply = _rendered(template, messages, tools, add_generation_prompt, bos_token, eos_token, more, seconds)
    if reply.error:
        raise _error(reply)
    return reply.text


def check(template: str, where: str) -> None:
    """Refuse a template that no engine should be given; ``where`` names its file.

    llama.cpp renders by itself, without limits: an endless loop hangs it for
    ever when the model is loaded, and a macro that calls itself crashes it. So
    the template is read, and rendered here for conversations of several forms.
    That it refuses some of them (no system text, no tools) is its right.
    Raises KaraisError ``invalid``.
    """
    if len(template) > MAX_TEMPLATE:
        raise _refused(where, f"it has {len(template):,} characters, {MAX_TEMPLATE:,} are taken")
    reply = _CHILD.ask({"template": template, "look": True, "seconds": CHECK_SECONDS})
    if reply.error:
        raise _refused(where, reply.text)
    for messages, tools in _samples():
        reply = _rendered(template, messages, tools, True, "<s>", "</s>", None, CHECK_SECONDS)
        if reply.error in ("forbidden", "limit"):
            raise _refused(where, reply.text)


def _rendered(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None,
    add_generation_prompt: bool,
    bos_token: str,
    eos_token: str,
    more: Mapping[str, Any] | None,
    seconds: float,
) -> _Reply:
    if len(template) > MAX_TEMPLATE:
        return _Reply(f"it has {len(template):,} characters, {MAX_TEMPLATE:,} are taken", "limit")
    variables = {
        **(more or {}),
        "messages": messages,
        "tools": tools or None,
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
        "bos_token": bos_token,
        "eos_token": eos_token,
    }
    given = len(msgspec.json.encode([messages, tools]))
    return _CHILD.ask(
        {"template": template, "variables": variables, "longest": 2 * given + LONGEST, "seconds": seconds}
    )


def _samples() -> list[tuple[list[dict[str, Any]], list[dict[str, Any]] | None]]:
    system = {"role": "system", "content": "Be brief."}
    user = {"role": "user", "content": "What time is it? <b>{{ 7 }}</b>"}
    reply = {"role": "assistant", "content": "Noon."}
    schema = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
    about = {"name": "clock", "description": "Tells the time.", "parameters": schema}
    call = {
        "id": "123456789",
        "type": "function",
        "function": {"name": "clock", "arguments": {"zone": "UTC"}},
    }
    called = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "123456789", "name": "clock", "content": "12:00"}
    tools = [{"type": "function", "function": about}]
    return [
        ([user], None),
        ([system, user], None),
        ([system, user, reply, user], None),
        ([system, user], tools),
        ([user, called, result], tools),
        # text that grows by a factor with each message would be beyond any limit here
        ([user, reply] * 40 + [user], None),
        ([system] + [user, reply] * 40 + [user], tools),
    ]


def _error(reply: _Reply) -> KaraisError:
    text = reply.text.strip().rstrip(".")[:300]
    said = {
        "raised": f"The model's chat template does not take these messages: {text}.",
        "forbidden": f"The model's chat template does what a template may not: {text}.",
        "limit": f"The model's chat template was stopped: {text}.",
    }
    message = said.get(reply.error, f"The model's chat template is wrong: {text}.")
    return KaraisError(message, code=Code.INVALID, field="chat_template")


def _refused(where: str, text: str) -> KaraisError:
    text = text.strip().rstrip(".")[:300]
    return KaraisError(
        f"The chat template in {where} is refused: {text}. A template is a program of whoever made the model:"
        " take the model from another source.",
        code=Code.INVALID,
        field="chat_template",
    )
