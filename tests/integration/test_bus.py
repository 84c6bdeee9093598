"""The bus: agents on a real nats-server."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest

from bus.agent import Agent, answers, follows, hears, works
from schemas.chat import (
    Accepted,
    Ask,
    Cancel,
    Delta,
    Done,
    ListConversations,
    Turn,
)
from schemas.documents import GetStorageStatus, IndexFile, StorageStatus
from schemas.errors import KaraisError, Refused, TimedOut, Unavailable
from schemas.failure import Code


class Echo(Agent):
    """Answers questions with their text, for tests of the runtime."""

    kind = "brain"
    publishes = (Delta, Done, Turn)
    streams = ("ANSWER",)

    async def start(self, resources: AsyncExitStack) -> None:
        self.cancelled: list[str] = []
        self.followed: list[tuple[str, int]] = []
        self.followed_event = asyncio.Event()

    @answers(Ask, slots=4)
    async def ask(self, ask: Ask) -> Accepted:
        if ask.text == "refuse":
            raise KaraisError("Not this one.", code=Code.FORBIDDEN, field="$.text")
        if ask.text == "defect":
            raise ZeroDivisionError("a defect")
        if ask.text == "slow":
            await asyncio.sleep(0.5)
        for i, word in enumerate(ask.text.split()):
            await self.bus.publish(Delta(answer=ask.answer, index=i, text=word))
        await self.bus.publish(Done(answer=ask.answer, index=len(ask.text.split())))
        return Accepted(answer=ask.answer, conversation=ask.conversation)

    @hears(Cancel)
    async def cancel(self, order: Cancel) -> None:
        self.cancelled.append(order.answer)

    @follows(Turn)
    async def follow(self, turn: Turn, sequence: int) -> None:
        self.followed.append((turn.text, sequence))
        self.followed_event.set()


class Clerk(Agent):
    """Does jobs, for tests of the runtime."""

    kind = "librarian"

    async def start(self, resources: AsyncExitStack) -> None:
        self.done: list[str] = []
        self.tries = 0

    @works(IndexFile, slots=2)
    async def work(self, job: IndexFile) -> None:
        self.tries += 1
        if job.path == "hopeless":
            raise KaraisError("This can never be done.", code=Code.INVALID)
        if job.path == "twice" and self.tries == 1:
            raise RuntimeError("the first time fails")
        if job.path == "long":
            await asyncio.sleep(8)
        self.done.append(job.path)

    @answers(GetStorageStatus)
    async def status(self, ask: GetStorageStatus) -> StorageStatus:
        return StorageStatus(folder="/")


def ask(text: str, answer: str = "a1") -> Ask:
    return Ask(answer=answer, conversation="c1", text=text)


async def test_request_gets_typed_reply_or_typed_failure(start_bus) -> None:
    """A reply comes back typed; expected errors keep their code and field, defects hide their trace."""
    running = start_bus(Echo)
    await running.provision()
    async with running.running(Echo(running.settings)), running.connected() as bus:
        assert await bus.call(ask("hello")) == Accepted(answer="a1", conversation="c1")
        with pytest.raises(Refused, match="Not this one") as refused:
            await bus.call(ask("refuse"))
        assert (refused.value.code, refused.value.field) == (Code.FORBIDDEN, "$.text")
        with pytest.raises(Refused) as defect:
            await bus.call(ask("defect"))
        assert defect.value.code is Code.INTERNAL
        assert "a defect" not in str(defect.value)
        with pytest.raises(TimedOut):
            await bus.call(ask("slow"), timeout=0.1)
        with pytest.raises(Unavailable, match="memory"):
            await bus.call(ListConversations())


async def test_malformed_request_names_the_field(start_bus) -> None:
    """A raw client that sends a wrong field learns which one, and the agent lives on."""
    running = start_bus(Echo)
    await running.provision()
    async with running.running(Echo(running.settings)), running.connected() as bus:
        bad = b'{"type":"ask","answer":"a","conversation":"c","text":7}'
        reply = await bus.client.request("karais.rpc.brain.ask", bad)
        assert reply.headers["Nats-Service-Error-Code"] == "400"
        assert b"$.text" in reply.data
        for garbage in (b"", b"\xff\xfe", b"[]", b'{"type":"other"}', b"{" * 10_000):
            reply = await bus.client.request("karais.rpc.brain.ask", garbage)
            assert reply.headers["Nats-Service-Error-Code"] == "400"
        assert await bus.call(ask("still here"))


async def test_requests_run_concurrently(start_bus) -> None:
    """Four slow requests to one agent take as long as one."""
    running = start_bus(Echo)
    await running.provision()
    async with running.running(Echo(running.settings)), running.connected() as bus:
        begun = time.monotonic()
        await asyncio.gather(*(bus.call(ask("slow", f"s{i}")) for i in range(4)))
        assert time.monotonic() - begun < 1.95, "one after the other takes 2 s"


async def test_discovery_speaks_nats_micro(start_bus) -> None:
    """PING, INFO and STATS answer as ADR-32 wants, so that the nats CLI shows every agent."""
    running = start_bus(Echo)
    await running.provision()
    async with running.running(Echo(running.settings)), running.connected("inspector") as bus:
        (ping,) = await bus.gather("$SRV.PING")
        assert ping["type"] == "io.nats.micro.v1.ping_response"
        (info,) = await bus.gather("$SRV.INFO.brain")
        assert info["description"]
        assert info["endpoints"][0]["subject"] == "karais.rpc.brain.ask"
        (stats,) = await bus.services()
        assert {"num_requests", "num_errors", "average_processing_time"} <= set(stats["endpoints"][0])


async def test_answer_is_read_from_any_index(start_bus) -> None:
    """A reader that comes late gets each event once, in order, from the index that it names."""
    running = start_bus(Echo)
    await running.provision()
    async with running.running(Echo(running.settings)), running.connected() as bus:
        async with bus.answer_events("a1", history=False) as events:
            await bus.call(ask("one two three"))
            live = [e.message async for e in events]
        assert [e.index for e in live] == [0, 1, 2, 3]
        async with bus.answer_events("a1", after=1) as events:
            late = [e.message async for e in events]
        assert late == live[2:]


async def test_log_entries_are_followed_in_order_through_a_killed_bus(start_bus) -> None:
    """Acknowledged entries survive kill -9 of the server and are delivered once, in order."""
    running = start_bus(Echo)
    await running.provision()
    agent = Echo(running.settings)

    def turn(i: int) -> Turn:
        return Turn(conversation="c1", answer=f"a{i}", role="user", text=str(i), at=0)

    async with running.running(agent), running.connected() as bus:
        first = [(await bus.record(turn(i), id=f"t{i}")).sequence for i in range(5)]
        assert first == [1, 2, 3, 4, 5]
        assert await bus.record(turn(4), id="t4") == (5, True), "the same id counts once"
        with pytest.raises(Refused) as conflict:
            await bus.record(turn(9), expect=3)
        assert conflict.value.code is Code.CONFLICT
        running.kill()
        writing = asyncio.create_task(bus.record(turn(5), id="t5", patience=20))
        await asyncio.sleep(0.3)
        running.start()
        assert (await writing).sequence == 6
        async with asyncio.timeout(20):
            while len(agent.followed) < 6:
                agent.followed_event.clear()
                await agent.followed_event.wait()
    assert agent.followed == [(str(i), i + 1) for i in range(6)]


async def test_jobs_are_done_again_after_failure_and_buried_when_hopeless(start_bus) -> None:
    """A failing job is redelivered; one that can never succeed goes to the dead letters with its reason."""
    running = start_bus(Clerk)
    await running.provision()
    agent = Clerk(running.settings)
    async with running.running(agent), running.connected() as bus:
        await bus.submit(IndexFile(file="f1", path="twice"))
        async with asyncio.timeout(20):
            while "twice" not in agent.done:
                await asyncio.sleep(0.05)
        await bus.submit(IndexFile(file="f2", path="hopeless"), IndexFile(file="f3", path="fine"))
        async with asyncio.timeout(20):
            while (await bus.jetstream.stream_info("DLQ")).state.messages == 0 or "fine" not in agent.done:
                await asyncio.sleep(0.05)
        letter = await bus.jetstream.get_msg("DLQ", seq=1)
        assert b"This can never be done." in letter.data
        async with asyncio.timeout(20):
            while (await bus.jetstream.stream_info("JOBS")).state.messages:
                await asyncio.sleep(0.05)


class Ponderer(Agent):
    """Takes long for the first question."""

    kind = "brain"

    async def start(self, resources: AsyncExitStack) -> None:
        self.asked = 0

    @answers(Ask, slots=4)
    async def ask(self, ask: Ask) -> Accepted:
        self.asked += 1
        if self.asked <= 2:
            await asyncio.sleep(60)
        return Accepted(answer=ask.answer, conversation=ask.conversation)


async def test_a_reply_that_was_lost_with_the_bus_is_not_waited_for(start_bus) -> None:
    """A call with patience is sent again once the bus is back; one without fails soon after."""
    running = start_bus(Ponderer)
    await running.provision()
    agent = Ponderer(running.settings)
    async with running.running(agent), running.connected() as bus:
        patient = asyncio.create_task(bus.call(ask("first"), timeout=300, patience=30))
        hasty = asyncio.create_task(bus.call(ask("second"), timeout=300))
        async with asyncio.timeout(20):
            while agent.asked < 2:
                await asyncio.sleep(0.01)
        running.kill()
        running.start()
        async with asyncio.timeout(30):
            assert isinstance(await patient, Accepted)
            with pytest.raises(Unavailable, match="was lost while the agent brain worked"):
                await hasty
        assert agent.asked == 3


async def test_long_job_is_not_redelivered_while_it_runs(start_bus) -> None:
    """A job longer than the acknowledgement wait is done once: the runtime keeps it alive."""
    running = start_bus(Clerk)
    await running.provision()
    agent = Clerk(running.settings)
    async with running.running(agent), running.connected() as bus:
        await bus.submit(IndexFile(file="f1", path="long"))
        async with asyncio.timeout(20):
            while not agent.done:
                await asyncio.sleep(0.05)
        assert agent.tries == 1


async def test_identities_keep_to_their_subjects(start_bus) -> None:
    """An agent may not publish what it did not declare, nor read another agent's inbox."""
    running = start_bus(Echo, Clerk)
    await running.provision()
    async with running.connected("librarian") as librarian, running.connected() as owner:
        with pytest.raises((TimedOut, Unavailable)):
            await librarian.call(ask("hello"), timeout=0.3)
        await librarian.client.subscribe("_INBOX_brain.>")
        await librarian.client.flush()
        async with asyncio.timeout(5):
            while librarian.denied < 2:
                await asyncio.sleep(0.01)
        assert owner.denied == 0


async def test_inspector_reads_and_changes_nothing(start_bus) -> None:
    """The inspector lists and reads streams and calls read-only verbs; writes are denied."""
    running = start_bus(Echo, Clerk)
    await running.provision()
    async with running.running(Clerk(running.settings)), running.connected("inspector") as inspector:
        assert {s.config.name for s in await inspector.jetstream.streams_info()} >= {"CHAT", "JOBS"}
        assert (await inspector.call(GetStorageStatus())).folder == "/"
        for subject in (
            "karais.job.librarian.x",
            "$JS.API.STREAM.DELETE.CHAT",
            "karais.rpc.librarian.rescan",
        ):
            before = inspector.denied
            await inspector.client.publish(subject, b"{}")
            await inspector.client.flush()
            async with asyncio.timeout(5):
                while inspector.denied == before:
                    await asyncio.sleep(0.01)


def inbox(bus) -> str:
    return bus.client.new_inbox()


CLI_REQUESTS = [
    ("nats micro ls", "$SRV.PING", {}),
    ("nats micro info", "$SRV.INFO.librarian", {}),
    ("nats micro stats", "$SRV.STATS.librarian", {}),
    ("nats account info", "$JS.API.INFO", {}),
    ("nats stream ls", "$JS.API.STREAM.NAMES", {}),
    ("nats stream ls", "$JS.API.STREAM.LIST", {"offset": 0}),
    ("nats stream info", "$JS.API.STREAM.INFO.CHAT", {"subjects_filter": ">"}),
    ("nats stream get", "$JS.API.STREAM.MSG.GET.CHAT", {"seq": 1}),
    ("nats stream get", "$JS.API.DIRECT.GET.CHAT", {"seq": 1}),
    ("nats consumer ls", "$JS.API.CONSUMER.LIST.JOBS", {"offset": 0}),
    ("nats consumer info", "$JS.API.CONSUMER.INFO.JOBS.librarian", {}),
    ("nats kv ls", "$JS.API.STREAM.LIST", {"subject": "$KV.*.>"}),
]


@pytest.mark.parametrize(("command", "subject", "body"), CLI_REQUESTS, ids=lambda v: str(v)[:24])
async def test_inspector_may_send_what_the_nats_cli_sends(start_bus, command, subject, body) -> None:
    """The requests behind the CLI's looking commands are answered, none denied."""
    running = start_bus(Echo, Clerk)
    await running.provision()
    async with running.running(Clerk(running.settings)), running.connected() as owner:
        await owner.record(Turn(conversation="c", answer="a", role="user", text="hello", at=0), id="1")
        async with running.connected("inspector") as inspector:
            reply = await inspector.client.request(
                subject, json.dumps(body).encode() if body else b"", timeout=2
            )
            assert b'"error"' not in reply.data
            assert inspector.denied == 0


async def test_inspector_views_streams_and_buckets_as_the_nats_cli_does(start_bus) -> None:
    """`nats stream view` (a pull consumer) and `nats kv ls nodes` (an ordered push consumer) work."""
    running = start_bus(Echo, Clerk)
    await running.provision()
    async with running.running(Clerk(running.settings)), running.connected() as owner:
        await owner.record(Turn(conversation="c", answer="a", role="user", text="hello", at=0), id="1")
        async with running.connected("inspector") as inspector:
            client = inspector.client
            config = {"ack_policy": "explicit", "deliver_policy": "all", "inactive_threshold": 30_000_000_000}
            for create in ("$JS.API.CONSUMER.CREATE.CHAT", "$JS.API.CONSUMER.CREATE.CHAT.view1"):
                named = config | ({"name": "view1"} if create.endswith("view1") else {})
                body = json.dumps({"stream_name": "CHAT", "config": named}).encode()
                made = json.loads((await client.request(create, body)).data)
                name = made["name"]
                delivered = await client.subscribe(inbox(inspector))
                next_ = f"$JS.API.CONSUMER.MSG.NEXT.CHAT.{name}"
                await client.publish(next_, b"1", reply=delivered.subject)
                message = await delivered.next_msg(timeout=5)
                assert b"hello" in message.data
                await client.publish(message.reply, b"+ACK")
                deleted = await client.request(f"$JS.API.CONSUMER.DELETE.CHAT.{name}", b"")
                assert json.loads(deleted.data)["success"]
            keys = await client.subscribe(inbox(inspector))
            ordered = {
                "name": "keys1",
                "deliver_subject": keys.subject,
                "deliver_policy": "last_per_subject",
                "ack_policy": "none",
                "headers_only": True,
                "mem_storage": True,
                "filter_subject": "$KV.nodes.>",
            }
            body = json.dumps({"stream_name": "KV_nodes", "config": ordered}).encode()
            await client.request("$JS.API.CONSUMER.CREATE.KV_nodes.keys1.$KV.nodes.>", body)
            assert (await keys.next_msg(timeout=5)).subject.startswith("$KV.nodes.agent.librarian.")
            assert inspector.denied == 0
