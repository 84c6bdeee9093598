"""Conversations over the OpenAI interface: time to first token, and tokens that were computed again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from ops.bench.brain_clients import Reply, complete

SYSTEM = (
    "You are KARAIS, an assistant in a household. You answer briefly and correctly, in whole sentences, "
    "and say so when you do not know something. You know the house, its boat, its garden and its people, "
    "and you never invent what you were not told. Asked for a list, you give at most five points. "
    "Dates are written with the month's name, amounts with their unit. Politeness is short."
)
_THINGS = (
    "the boiler in the cellar", "the old sailing boat", "the apple trees", "the attic window",
    "the guest room",
    "the winter tyres", "the rain barrel", "the piano", "the garden shed", "the kitchen stove",
)  # fmt: skip
_ASKS = (
    "should be looked after before the winter comes; what comes first, and what can wait until spring?",
    "was mentioned in the last letter of our neighbours; how would you answer in two friendly sentences?",
    "has cost us a good deal of money this year; which questions should I ask the craftsman now?",
    "is something that my daughter wants to describe at school; how can she begin, and what comes then?",
    "may have to be sold or given away; who might want it, and what would be a fair way to decide about it?",
    "worries my father a little; what would calm him, and what should we really keep an eye on until then?",
)


def message(conversation: int, turn: int) -> str:
    """Return a user's message; all are of about the same length, and no two alike."""
    thing = _THINGS[(conversation + turn) % len(_THINGS)]
    return f"Number {conversation * 17 + turn}: {thing} {_ASKS[turn % len(_ASKS)]}"


@dataclass
class Talk:
    """What came of all conversations with one server."""

    replies: list[Reply] = field(default_factory=list)
    prompts: list[list[dict[str, str]]] = field(default_factory=list)

    @property
    def computed(self) -> int:
        """Tokens of prompts that the server computed."""
        return sum(reply.prompt - reply.cached for reply in self.replies)


async def hold(
    session: aiohttp.ClientSession, url: str, key: str, *, conversations: int, turns: int, tokens: int
) -> Talk:
    """Hold conversations side by side, each turn as soon as the one before is answered."""
    talk = Talk()

    async def one(number: int) -> None:
        messages = [{"role": "system", "content": SYSTEM}]
        for turn in range(turns):
            messages.append({"role": "user", "content": message(number, turn)})
            reply = await complete(session, url, messages, tokens, key=key)
            talk.replies.append(reply)
            talk.prompts.append(list(messages))
            messages.append({"role": "assistant", "content": reply.text})

    await asyncio.gather(*(one(number) for number in range(conversations)))
    return talk


def least(talk: Talk, tokens_of: Callable[[Sequence[dict[str, str]]], list[int]]) -> int:
    """Return the fewest tokens of prompts that a server could have computed, answering in this order.

    What an earlier prompt began with, and the answer behind it, need not be
    computed again; the last token of each prompt always.
    """
    seen: set[int] = set()
    computed = 0
    for messages, reply in zip(talk.prompts, talk.replies, strict=True):
        prompt = tokens_of(messages)
        known = 0
        for place in _places(prompt):
            if place not in seen:
                break
            known += 1
        computed += len(prompt) - min(known, len(prompt) - 1)
        whole = tokens_of([*messages, {"role": "assistant", "content": reply.text}])
        seen.update(_places(whole))
    return computed


def _places(tokens: Sequence[int]) -> list[int]:
    """Return a number for each beginning of a text, the same for the same beginning."""
    places = []
    place: Any = 0
    for token in tokens:
        place = hash((place, token))
        places.append(place)
    return places
