"""What JetStream keeps for KARAIS: the one table of streams and buckets, and its creation.

Every entry is created or brought up to date idempotently by ``provision``,
which needs the identity of the owner of the bus; agents create no stream.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from bus.agent import Agent, Works, declarations
from bus.subjects import ROOT, ROUTES, Job
from schemas.errors import Unavailable

log = logging.getLogger(__name__)

MINUTE, DAY = 60.0, 86_400.0

MAX_DELIVERIES = 5
ACK_WAIT_SECONDS = 6.0
NO_ROOM = (10023, 10028, 10047)
"""JetStream's codes for: insufficient resources, memory or storage exceeded, no storage."""
ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES"

STREAMS: tuple[StreamConfig, ...] = (
    StreamConfig(
        name="ANSWER",
        description="Events of running answers, so that a reader can resume; lost with the server.",
        subjects=[f"{ROOT}.answer.*"],
        storage=StorageType.MEMORY,
        max_age=10 * MINUTE,
        max_bytes=64 * 2**20,
        allow_direct=True,
        # The brain publishes each event again when the bus was lost; readers go by index.
        no_ack=True,
    ),
    StreamConfig(
        name="CHAT",
        description="Questions, answers, titles: the log from which conversations are projected. Kept.",
        subjects=[f"{ROOT}.chat.>"],
        storage=StorageType.FILE,
        allow_direct=True,
        duplicate_window=10 * MINUTE,
        deny_purge=True,
    ),
    StreamConfig(
        name="MEMORY",
        description="Facts, edits, changes of projects: the log from which memory is projected. Kept.",
        subjects=[f"{ROOT}.memory.>"],
        storage=StorageType.FILE,
        allow_direct=True,
        duplicate_window=10 * MINUTE,
        deny_purge=True,
    ),
    StreamConfig(
        name="EVT",
        description="What was done with tools: which, when, for whom and with what outcome; no text.",
        subjects=[f"{ROOT}.evt.tools.>"],
        storage=StorageType.FILE,
        max_age=14 * DAY,
        max_bytes=16 * 2**20,
        allow_direct=True,
        duplicate_window=10 * MINUTE,
    ),
    StreamConfig(
        name="JOBS",
        description="Work that waits or is being done; a message goes when its work is done.",
        subjects=[f"{ROOT}.job.>"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        # The same work waits at most once, however often it is submitted.
        max_msgs_per_subject=1,
        discard_new_per_subject=True,
        max_msgs=1_000_000,
        allow_direct=True,
        duplicate_window=10 * MINUTE,
    ),
    StreamConfig(
        name="JOBS_FAILED",
        description="JetStream's notices of jobs that were delivered too often, until they are buried.",
        subjects=[f"{ADVISORY}.JOBS.*"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        max_age=30 * DAY,
    ),
    StreamConfig(
        name="DLQ",
        description="Jobs that could not be done, with the reason.",
        subjects=[f"{ROOT}.dlq.*"],
        storage=StorageType.FILE,
        max_age=30 * DAY,
        # JetStream keeps so much of the disk free for it, so a small disk must be able to.
        max_bytes=16 * 2**20,
        allow_direct=True,
    ),
    StreamConfig(
        name="KV_nodes",
        description="Which agents live, by heartbeat; an entry goes when its agent stops beating.",
        subjects=["$KV.nodes.>"],
        # Rewritten every few seconds by each agent: in memory it costs no disk writes, and
        # after a restart of the server it is filled again within one beat.
        storage=StorageType.MEMORY,
        max_msgs_per_subject=1,
        allow_msg_ttl=True,
        allow_direct=True,
        allow_rollup_hdrs=True,
        deny_delete=True,
        discard=DiscardPolicy.NEW,
        max_bytes=16 * 2**20,
    ),
)

READABLE = tuple(
    config.name for config in STREAMS if config.name and config.retention is not RetentionPolicy.WORK_QUEUE
)
"""Streams that the inspector may read by consumers of its own: another consumer on a work
queue would take jobs away."""


def erasing_subject(stream: str) -> str:
    """Return the subject of the request that removes messages from a stream for good.

    On disk one at a time, overwritten where it stood (a purge only cuts off);
    in memory all of a subject at once.
    """
    in_memory = any(c.name == stream and c.storage is StorageType.MEMORY for c in STREAMS)
    return f"$JS.API.STREAM.{'PURGE' if in_memory else 'MSG.DELETE'}.{stream}"


def consumers(agents: Iterable[type[Agent]]) -> list[tuple[str, ConsumerConfig]]:
    """Return the durable consumers (stream, configuration) that the agents' declarations need."""
    found: list[tuple[str, ConsumerConfig]] = []
    for agent in agents:
        slots = 0
        for _, declaration in declarations(agent):
            if isinstance(declaration, Works):
                route = ROUTES[declaration.message]
                if not isinstance(route, Job) or route.kind != agent.kind:
                    message = declaration.message.__name__
                    raise TypeError(f"{agent.__name__} works {message}, which is no job of its kind.")
                slots = max(slots, declaration.slots)
        if slots:
            found.append(
                (
                    "JOBS",
                    ConsumerConfig(
                        durable_name=agent.kind,
                        filter_subject=f"{ROOT}.job.{agent.kind}.*",
                        ack_policy=AckPolicy.EXPLICIT,
                        ack_wait=ACK_WAIT_SECONDS,
                        max_deliver=MAX_DELIVERIES,
                        max_ack_pending=slots,
                    ),
                )
            )
            found.append(
                (
                    "JOBS_FAILED",
                    ConsumerConfig(
                        durable_name=agent.kind,
                        filter_subject=f"{ADVISORY}.JOBS.{agent.kind}",
                        ack_policy=AckPolicy.EXPLICIT,
                        ack_wait=30,
                        max_ack_pending=1,
                    ),
                )
            )
    return found


async def provision(jetstream: JetStreamContext, agents: Iterable[type[Agent]], replicas: int = 1) -> None:
    """Create what is missing and bring the rest up to date.

    Nothing is ever deleted here: a stream that the table no longer names stays.
    Raises Unavailable when the bus has no room for a stream.
    """
    for config in STREAMS:
        try:
            await _bring_up_to_date(jetstream, config.evolve(num_replicas=replicas))
        except APIError as error:
            if error.err_code not in NO_ROOM:
                raise
            raise Unavailable(
                f"The bus has no room for the stream {config.name} ({error.description}): "
                "free disk space in its data folder."
            ) from None
    for stream, consumer in consumers(agents):
        await jetstream.add_consumer(stream, consumer)


async def _bring_up_to_date(jetstream: JetStreamContext, wanted: StreamConfig) -> None:
    assert wanted.name
    try:
        await jetstream.stream_info(wanted.name)
    except NotFoundError:
        await jetstream.add_stream(wanted)
        log.info("created the stream %s", wanted.name)
    else:
        await jetstream.update_stream(wanted)
