"""The process that renders chat templates: started as a file, by ``templates``; it imports nothing of KARAIS.

A template is a program of whoever published the model. Jinja's sandbox keeps it
from Python's internals, but not from using up time or memory in a single
operation (``'a' * 10**10``), which nothing inside of a process can stop. So it
runs here: the kernel bounds the memory, an alarm that nobody catches bounds the
time, and no file can be opened or written.

Each request and each reply is a JSON object behind its length in four bytes.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import struct
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any, BinaryIO, NoReturn

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

MEMORY_BYTES = 384 << 20
MAX_NUMBER = 1_000_000
"""A larger number in a template can only be there to use up time or memory."""
MAX_LOOPS = 6
"""Loops in loops."""


class _TooLong(Exception):
    """The text grew beyond its limit."""


class _Raised(jinja2.TemplateError):
    """The template said by itself that it does not take such a conversation."""


class _Environment(ImmutableSandboxedEnvironment):
    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Raise what is being handled as it is; Jinja would open files to make its traceback nicer."""
        raise


class _Generation(jinja2.ext.Extension):
    """The tag ``generation``, by which training finds the assistant's text: its body alone counts."""

    tags = {"generation"}  # noqa: RUF012 - so Jinja names it

    def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
        """Take the block's body in its place."""
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


class _Names(Namespace):
    """A namespace that keeps no name with an underscore at its front."""

    def __init__(*args: Any, **values: Any) -> None:
        for name in dict(*args[1:], **values):
            _refuse_underscore(name)
        Namespace.__init__(*args, **values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        super().__setitem__(name, value)


class _Dict:
    """``dict`` without the class, whose attributes lead further."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)


def _refuse_underscore(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"the name {name!r} is not allowed")


def _raise(message: object) -> NoReturn:
    raise _Raised(str(message))


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON without HTML's escapes, which Jinja's own filter makes."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def environment() -> ImmutableSandboxedEnvironment:
    """Return what templates are rendered in: names, filters and whitespace as in ``transformers``."""
    made = _Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = _to_json
    del made.globals["lipsum"]  # texts of any length, and it would import modules later on
    made.globals |= {
        "raise_exception": _raise,
        "strftime_now": _now,
        "dict": _Dict(),
        "namespace": _Names,
    }
    return made


_ENVIRONMENT = environment()


@lru_cache(16)
def _compiled(template: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(template)


def render(template: str, variables: dict[str, Any], longest: int) -> str:
    """Return the text; raises what Jinja and Python raise, and ``_TooLong``."""
    parts = []
    length = 0
    for part in _compiled(template).generate(**variables):
        length += len(part)
        if length > longest:
            raise _TooLong(f"more than {longest:,} characters")
        parts.append(part)
    return "".join(parts)


def look(template: str) -> None:
    """Raise SecurityError for what no honest template has, wherever in it that stands."""
    tree = _ENVIRONMENT.parse(template)
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Const, nodes.Pow)):
        if isinstance(node, nodes.Getattr):
            _refuse_underscore(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            _refuse_underscore(node.arg.value)
        elif isinstance(node, nodes.Pow):
            raise SecurityError(f"line {node.lineno} raises a number to a power")
        elif isinstance(node, nodes.Const):
            if isinstance(node.value, str) and re.fullmatch(r"__\w+__", node.value):
                _refuse_underscore(node.value)
            if type(node.value) in (int, float) and abs(node.value) > MAX_NUMBER:
                raise SecurityError(f"line {node.lineno} has a number above {MAX_NUMBER:,}")
    if (deep := _loops(tree)) > MAX_LOOPS:
        raise SecurityError(f"it has {deep} loops in one another")


def _loops(node: nodes.Node) -> int:
    inner = max((_loops(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, nodes.For)


def answer(request: dict[str, Any]) -> dict[str, str]:
    """Do what is asked; an error is returned as its kind and its text."""
    try:
        if request.get("look"):
            look(request["template"])
            return {"text": ""}
        return {"text": render(request["template"], request["variables"], request["longest"])}
    except _Raised as error:
        return {"error": "raised", "text": str(error)}
    except (SecurityError, OverflowError) as error:  # Jinja's range raises the latter
        return {"error": "forbidden", "text": str(error)}
    except _TooLong as error:
        return {"error": "limit", "text": str(error)}
    except MemoryError:
        return {"error": "limit", "text": f"more than {MEMORY_BYTES >> 20} MiB of memory"}
    except RecursionError:
        return {"error": "limit", "text": "it calls itself without end"}
    except jinja2.TemplateSyntaxError as error:
        return {"error": "syntax", "text": f"line {error.lineno}: {error.message}"}
    except Exception as error:  # noqa: BLE001 - a template can raise anything; all of it is its author's fault
        return {"error": "failed", "text": f"{type(error).__name__}: {error}"}


def _read(source: BinaryIO, length: int) -> bytes:
    data = source.read(length)
    if len(data) != length:
        raise SystemExit(0)  # the other end is gone
    return data


def main() -> None:
    """Answer one request after the other until the other end is closed."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answer({"template": "{{ strftime_now('%Y') }}", "variables": {}, "longest": 99})  # imports what it needs
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))  # those that are open: in, out, errors
    while True:
        target.write(b"\x01")  # ready
        target.flush()
        (length,) = struct.unpack("<I", _read(source, 4))
        request = json.loads(_read(source, length))
        # Not caught: the kernel ends the process, whatever it is doing, and also when nobody waits for it.
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        reply = json.dumps(answer(request)).encode()
        signal.setitimer(signal.ITIMER_REAL, 0)
        target.write(struct.pack("<I", len(reply)) + reply)


if __name__ == "__main__":
    main()
