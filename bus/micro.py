"""The NATS micro protocol (ADR-32): discovery, information and statistics of an agent.

Written here because the client library's service runs one request at a time
and loses the one in flight when it stops (both measured).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

VERBS = ("PING", "INFO", "STATS")


@dataclass
class EndpointStats:
    """What happened at one endpoint since the start."""

    name: str
    subject: str
    queue_group: str
    description: str
    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    processing_time: int = 0
    """Nanoseconds."""


@dataclass
class Service:
    """One agent's face in ``nats micro ls``, ``info`` and ``stats``."""

    name: str
    id: str
    version: str
    description: str
    condition: Callable[[], dict[str, Any]]
    """Further figures of the agent, shown as ``data`` of its endpoints' statistics."""
    endpoints: list[EndpointStats] = field(default_factory=list)
    started: str = field(
        default_factory=lambda: (
            datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        )
    )

    async def listen(self, client: Client) -> list[Any]:
        """Subscribe to the discovery subjects and return the subscriptions."""
        addresses = ("", f".{self.name}", f".{self.name}.{self.id}")
        subjects = [f"$SRV.{verb}{address}" for verb in VERBS for address in addresses]
        return [await client.subscribe(subject, cb=self._reply) for subject in subjects]

    async def _reply(self, message: Msg) -> None:
        if not message.reply:
            return
        match message.subject.split(".")[1]:
            case "PING":
                body = self._base("ping")
            case "INFO":
                body = self._info()
            case _:
                body = self._stats()
        await message.respond(msgspec.json.encode(body))

    def _base(self, kind: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": self.id,
            "version": self.version,
            "metadata": {},
            "type": f"io.nats.micro.v1.{kind}_response",
        }

    def _info(self) -> dict[str, Any]:
        return self._base("info") | {
            "description": self.description,
            "endpoints": [
                {
                    "name": e.name,
                    "subject": e.subject,
                    "queue_group": e.queue_group,
                    "metadata": {"description": e.description},
                }
                for e in self.endpoints
            ],
        }

    def _stats(self) -> dict[str, Any]:
        return self._base("stats") | {
            "started": self.started,
            "endpoints": list(_figures(self.endpoints, self.condition())),
        }


def _figures(endpoints: Iterable[EndpointStats], data: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for endpoint in endpoints:
        average = endpoint.processing_time // endpoint.num_requests if endpoint.num_requests else 0
        yield {
            "name": endpoint.name,
            "subject": endpoint.subject,
            "queue_group": endpoint.queue_group,
            "num_requests": endpoint.num_requests,
            "num_errors": endpoint.num_errors,
            "last_error": endpoint.last_error,
            "processing_time": endpoint.processing_time,
            "average_processing_time": average,
            "data": data,
        }
