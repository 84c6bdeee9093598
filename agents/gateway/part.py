"""What every part of the REST interface shares: requests become messages, replies become JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import web

from agents.gateway.codec import NO_BUS, encode, invalid
from schemas.base import HOME, Message
from schemas.errors import Unavailable

if TYPE_CHECKING:
    from agents.gateway.openapi import Operation
    from bus.connection import Bus

T = TypeVar("T")
API = "/api/v1"


class Part(ABC):
    """Some operations of the REST interface; each is one request on the bus."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    @abstractmethod
    def operations(self) -> list[Operation]:
        """Return the operations; the router and the OpenAPI document both follow from them."""

    async def reply(self, request: Message, *, timeout: float = 5.0) -> web.Response:
        """Return what the bus replies to a request."""
        return as_json(await self.call(request, timeout=timeout))

    async def call(self, request: Message, *, timeout: float = 5.0) -> Any:
        """Send a request over the bus; raises Unavailable at once while there is none."""
        self.need_bus()
        return await self.bus.call(request, timeout=timeout)

    def need_bus(self) -> None:
        """Raise Unavailable while the bus cannot be reached."""
        if not self.bus.connected:
            raise Unavailable(NO_BUS)


def given(request: web.Request, kind: type[T]) -> T:
    """Return the struct that path and query make up; ``project`` is ``home`` unless given."""
    return fitted({"project": HOME, **request.query, **request.match_info}, kind)


def fitted(values: dict[str, Any], kind: type[T]) -> T:
    """Return the struct that named values make up; raises KaraisError naming the field that is wrong."""
    values.pop("type", None)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def as_json(value: Any) -> web.Response:
    """Return a value as a JSON response."""
    return web.Response(body=encode(value), content_type="application/json")
