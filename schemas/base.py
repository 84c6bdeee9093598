"""What every message shares: how it is encoded, how it names itself, for whom it acts.

On the wire a message is one JSON object whose ``type`` is the class name in
snake case, so that ``nats sub 'karais.>'`` can be read by a person. Unknown
fields are ignored, so an older agent understands a newer one; a field is only
ever added with a default and never changes its type.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake_case(name: str) -> str:
    """Return the wire name of a class: ``EmbedTexts`` becomes ``embed_texts``."""
    return _WORD.sub("_", name).lower()


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=snake_case):
    """Base of everything that crosses the bus or the WebSocket."""


Token = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A name that is one token of a NATS subject: letters, digits, ``_`` and ``-``, at most 64."""

OptionalToken = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")]
"""A name as Token, or nothing."""

AdapterName = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9._-]{0,63})?$")]
"""Name of an adapter over a model's weights, as ``karais models list`` shows it, or nothing."""

OWNER = "owner"
HOME = "home"
GLOBAL = "global"
"""The project whose documents and facts others may use, where they say so."""


class Acting(Message, frozen=True, kw_only=True):
    """A message that acts for someone, within a project."""

    user: Token = OWNER
    """Who asked. ``owner`` until accounts exist."""

    project: Token = HOME
    """Whose documents, conversations and memories may be used. ``home`` unless told otherwise."""
