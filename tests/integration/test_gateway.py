"""The gateway over a real bus, with played partners: chat, resuming, bad input, REST."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from agents.gateway.agent import Gateway
from bus.settings import Settings
from schemas.errors import KaraisError
from tests.integration.conftest import PLAYED, Client, events, question, text_of
from tests.peers import PlayedBrain


async def test_a_question_is_accepted_and_its_answer_streamed_with_gapless_indexes(client: Client) -> None:
    """Accepted comes first, then sources, deltas and the end, counted from 0 without gaps."""
    ask = question()
    async with client.socket() as ws:
        await ws.send_json(ask)
        frames = await events(ws)
    assert [f["type"] for f in frames[:3]] == ["accepted", "sources", "delta"]
    assert frames[0]["conversation"] == ask["conversation"]
    assert [f["index"] for f in frames[1:]] == list(range(len(frames) - 1))
    assert text_of(frames) == PlayedBrain.reply
    assert frames[-1]["cited"] == [1]
    assert frames[1]["passages"][0]["path"] == "concepts/streams.md"


async def test_a_lost_client_continues_behind_the_index_it_saw(client: Client) -> None:
    """A client that comes back gets every event behind its index, none lost and none twice."""
    client.brain.pause = 0.03  # type: ignore[attr-defined]
    ask = question()
    async with client.socket() as ws:
        await ws.send_json(ask)
        seen = [await ws.receive_json() for _ in range(4)]
    async with client.socket() as ws:
        await ws.send_json({"type": "attach", "answer": ask["answer"], "after": seen[-1]["index"]})
        rest = await events(ws)
    assert rest[0]["index"] == seen[-1]["index"] + 1
    assert text_of(seen + rest) == PlayedBrain.reply


async def test_a_finished_answer_can_be_read_again(client: Client) -> None:
    """Attaching with after -1 replays an answer that has ended."""
    ask = question()
    async with client.socket() as ws:
        await ws.send_json(ask)
        first = await events(ws)
        await ws.send_json({"type": "attach", "answer": ask["answer"]})
        again = await events(ws)
    assert again == first[1:]


async def test_a_question_sent_twice_is_answered_once(client: Client) -> None:
    """A client that does not know whether it was heard may ask again with the same identity."""
    ask = question()
    async with client.socket() as ws:
        await ws.send_json(ask)
        await events(ws)
    async with client.socket() as ws:
        await ws.send_json(ask)
        again = await events(ws)
    assert text_of(again) == PlayedBrain.reply
    history = await client.get(f"/api/v1/conversations/{ask['conversation']}")
    assert [turn["role"] for turn in history["turns"]] == ["user", "assistant"]


async def test_an_answer_survives_the_restart_of_the_gateway(client: Client) -> None:
    """A new gateway, on the same port, continues an answer that the old one began."""
    client.brain.pause = 0.05  # type: ignore[attr-defined]
    ask = question()
    async with client.socket() as ws:
        await ws.send_json(ask)
        seen = [await ws.receive_json() for _ in range(3)]
        url = client.url
        await client.gateway.drain()  # type: ignore[attr-defined]
        assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    async with client.bus.running(Gateway(client.settings)), client.socket() as ws:
        assert client.url != url  # the old one still holds its port here
        await ws.send_json({"type": "attach", "answer": ask["answer"], "after": seen[-1]["index"]})
        rest = await events(ws)
    assert text_of(seen + rest) == PlayedBrain.reply


async def test_a_cancelled_answer_ends_with_cancelled(client: Client) -> None:
    """Cancel keeps what was generated and ends the answer."""
    client.brain.pause = 0.1  # type: ignore[attr-defined]
    ask = question()
    async with client.socket() as ws:
        await ws.send_json(ask)
        await events(ws, until=("delta",))
        await ws.send_json({"type": "cancel", "answer": ask["answer"]})
        frames = await events(ws)
    assert frames[-1]["finish_reason"] == "cancelled"


async def test_who_watches_a_conversation_hears_of_a_question_from_elsewhere(client: Client) -> None:
    """A second client sees the answer begin at once, and can read it from its first event."""
    client.brain.pause = 0.05  # type: ignore[attr-defined]
    ask = question()
    async with client.socket() as asking, client.socket() as watching:
        await watching.send_json({"type": "watch", "conversation": ask["conversation"]})
        assert (await watching.receive_json())["type"] == "watching"
        await asking.send_json(ask)
        await events(asking, until=("accepted",))
        begun = time.monotonic()
        started = (await events(watching, until=("started",)))[-1]
        assert time.monotonic() - begun < 3
        assert started["answer"] == ask["answer"]
        assert started["text"] == ask["text"]
        await watching.send_json({"type": "attach", "answer": ask["answer"]})
        heard = [f for f in await events(watching) if f["type"] != "conversation_changed"]
        told = await events(watching, until=("conversation_changed",))
    assert text_of(heard) == PlayedBrain.reply
    assert told[-1]["conversation"] == ask["conversation"]


async def test_who_watches_nothing_is_told_nothing_of_others(client: Client) -> None:
    """A plain client gets only the events of its own answers."""
    async with client.socket() as asking, client.socket() as quiet:
        await asking.send_json(question())
        await events(asking)
        with pytest.raises(TimeoutError):
            await quiet.receive(timeout=0.3)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ("", "$"),
        ("{", "$"),
        ("[]", "$"),
        ('{"type":"nonsense"}', "$.type"),
        ('{"type":"attach"}', "$"),
        ('{"type":"attach","answer":"a b"}', "$.answer"),
        ('{"type":"attach","answer":"a","after":"x"}', "$.after"),
        ('{"type":"cancel","answer":"a.>"}', "$.answer"),
        (json.dumps(question("")), "$.text"),
        (json.dumps(question("x" * 32_001)), "$.text"),
        (json.dumps(question(sampling={"max_tokens": 0})), "$.sampling.max_tokens"),
        ("[" * 100_000, "$"),
        (json.dumps({"type": "ask", "text": "y" * 600_000}), ""),
        (b"\x00\x01", ""),
        (b"\xff", ""),
    ],
)
async def test_a_wrong_frame_gets_a_typed_problem_and_the_socket_stays(
    client: Client, frame: str | bytes, field: str
) -> None:
    """Each wrong frame is answered by one Problem that names the field; the next question works."""
    async with client.socket() as ws:
        if isinstance(frame, bytes):
            await ws.send_bytes(frame)
        else:
            await ws.send_str(frame)
        problem = await ws.receive_json()
        assert problem["type"] == "problem"
        assert problem["code"] in ("invalid", "too_large")
        assert problem["message"].endswith(".")
        if field and problem["field"]:
            assert problem["field"] == field
        await ws.send_json(question())
        assert text_of(await events(ws)) == PlayedBrain.reply


async def test_a_problem_names_the_answer_that_it_is_about(client: Client) -> None:
    """A client with several questions under way can tell which was refused."""
    long, refused = question("x" * 40_000), question("refuse")
    async with client.socket() as ws:
        await ws.send_json(long)
        assert (await ws.receive_json())["ref"] == long["answer"]
        await ws.send_json(refused)
        problem = await ws.receive_json()
    assert problem["ref"] == refused["answer"]
    assert (problem["code"], problem["message"]) == ("conflict", "This question is refused.")


async def test_ten_thousand_messages_disturb_nobody_else(client: Client) -> None:
    """A flood gets busy problems at a bounded rate and is closed; another client is served meanwhile."""
    codes: list[str] = []

    async def flood() -> int | None:
        async with client.socket() as ws:

            async def send() -> None:
                for _ in range(10_000):
                    await ws.send_str("{}")

            sending = asyncio.create_task(send())
            codes.extend([json.loads(message.data)["code"] async for message in ws])
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            return ws.close_code

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.2)
    async with client.socket() as ws:
        begun = time.monotonic()
        await ws.send_json(question())
        assert text_of(await events(ws)) == PlayedBrain.reply
        assert time.monotonic() - begun < 5
    assert await asyncio.wait_for(flooding, 15) in (1008, 1006)
    assert "busy" in codes
    assert len(codes) < 300


async def test_at_most_sixteen_answers_run_on_one_socket(client: Client) -> None:
    """The seventeenth is refused as busy; the others are not disturbed."""
    client.brain.pause = 0.1  # type: ignore[attr-defined]
    asks = [question() for _ in range(17)]
    async with client.socket() as ws:
        for ask in asks:
            await ws.send_json(ask)
        done: set[str] = set()
        refused: list[str] = []
        async with asyncio.timeout(20):
            while len(done) < 16:
                frame = await ws.receive_json()
                if frame["type"] == "done":
                    done.add(frame["answer"])
                elif frame["type"] == "problem":
                    assert frame["code"] == "busy"
                    refused.append(frame["ref"])
    assert refused == [asks[16]["answer"]]


async def test_without_a_bus_questions_are_refused_and_sockets_stay(client: Client) -> None:
    """A dead bus gives one clear sentence; when it is back the same socket works again."""
    async with client.socket() as ws:
        client.bus.kill()
        await asyncio.sleep(0.3)
        await ws.send_json(question())
        problem = (await events(ws, until=("problem",)))[-1]
        assert problem["code"] == "unavailable"
        assert (await client.get("/healthz"))["bus"] is False
        assert (await client.get("/v1/models"))["data"][0]["id"]
        assert (await client.get("/api/v1/storage", status=503))["code"] == "unavailable"
        client.bus.start()
        await client.bus.provision()
        async with asyncio.timeout(15):
            while True:
                await ws.send_json(question())
                frames = await events(ws, until=("done", "problem"))
                if frames[-1]["type"] == "done":
                    break
                await asyncio.sleep(0.3)


async def test_rest_lists_reads_renames_and_removes_conversations(client: Client) -> None:
    """The list shows a conversation, its title can be changed, and a removed one is gone."""
    ask = question()
    async with client.socket() as ws:
        await ws.send_json(ask)
        await events(ws)
    path = f"/api/v1/conversations/{ask['conversation']}"
    listed = (await client.get("/api/v1/conversations?limit=5"))["conversations"]
    assert [line["conversation"] for line in listed] == [ask["conversation"]]
    async with client.session.patch(client.url + path, json={"title": "Limits"}) as response:
        assert response.status == 204
    async with asyncio.timeout(5):
        while (await client.get(path))["title"] != "Limits":
            await asyncio.sleep(0.02)
    assert (await client.send("DELETE", f"{path}?dry_run=true"))["turns"] == 2
    assert (await client.get(path))["turns"]
    assert (await client.send("DELETE", path))["turns"] == 2
    assert (await client.get("/api/v1/conversations"))["conversations"] == []
    assert (await client.get(path, status=404))["code"] == "not_found"


async def test_rest_answers_in_one_piece_or_as_a_stream(client: Client) -> None:
    """The same question gives JSON, or server-sent events whose ids continue the stream."""
    url = f"{client.url}/api/v1/ask"
    async with client.session.post(url, json={"text": "What is kept?"}) as response:
        whole = await response.json()
    assert whole["text"] == PlayedBrain.reply
    assert whole["passages"][0]["path"] == "concepts/streams.md"
    assert whole["explained"] is None
    async with client.session.post(url, json={"text": "What is kept?", "explain": True}) as response:
        assert (await response.json())["explained"]["prompt_tokens"] == 1030
    headers = {"Accept": "text/event-stream"}
    async with client.session.post(url, json={"text": "What is kept?"}, headers=headers) as response:
        stream = (await response.text()).strip().split("\n\n")
    assert stream[0].startswith("event: accepted")
    assert stream[-1].splitlines()[1] == "event: done"
    answer = json.loads(stream[-1].splitlines()[2].removeprefix("data: "))["answer"]
    headers["Last-Event-ID"] = "2"
    async with client.session.get(f"{client.url}/api/v1/answers/{answer}", headers=headers) as response:
        rest = (await response.text()).strip().split("\n\n")
    assert rest[0].startswith("id: 3\n")
    async with client.session.post(url, json={"text": "fail"}) as response:
        assert response.status == 503
        assert (await response.json())["code"] == "interrupted"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/v1/ask", b"{", 400, "invalid"),
        ("POST", "/api/v1/ask", b'{"text":""}', 400, "invalid"),
        ("POST", "/api/v1/ask", b"x" * 600_000, 413, "too_large"),
        ("GET", "/api/v1/conversations?limit=0", None, 400, "invalid"),
        ("GET", "/api/v1/conversations/unknown", None, 404, "not_found"),
        ("PATCH", "/api/v1/conversations/unknown", b'{"title":"a"}', 404, "not_found"),
        ("GET", "/api/v1/conversations/a%20b", None, 400, "invalid"),
        ("GET", "/api/v1/passages/none", None, 404, "not_found"),
        ("GET", "/api/v1/nothing", None, 404, "not_found"),
        ("PUT", "/api/v1/ask", b"", 405, "invalid"),
        ("GET", "/static/..%2fagent.py", None, 404, "not_found"),
    ],
)
async def test_rest_failures_are_typed(
    client: Client, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    """Whatever is wrong, the reply is a Failure with the status that belongs to its code."""
    async with client.session.request(method, client.url + path, data=body) as response:
        assert response.status == status
        failure = await response.json()
    assert (failure["type"], failure["code"]) == ("failure", code)
    assert failure["message"].endswith(".")


async def test_storage_status_and_models_are_served(client: Client) -> None:
    """What the page and other programs need beside chat is there."""
    assert (await client.get("/api/v1/storage"))["indexed"] == 1
    files = (await client.get("/api/v1/storage/files?state=skipped"))["files"]
    assert files[0]["reason"]
    assert (await client.get("/api/v1/passages/f1-2"))["before"]
    kinds = {agent["kind"] for agent in (await client.get("/api/v1/status"))["agents"]}
    assert kinds == {"gateway", "brain", "memory", "librarian"}
    assert (await client.get("/v1/models"))["data"][0]["id"] == "played-1"
    document = await client.get("/api/v1/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert "max_tokens" in document["components"]["schemas"]["Sampling"]["properties"]
    parameters = document["paths"]["/api/v1/conversations"]["get"]["parameters"]
    assert {"limit", "before", "matching", "project"} <= {p["name"] for p in parameters}


async def test_the_key_is_private_and_the_address_is_published(client: Client) -> None:
    """The key is readable by its owner alone; tools find the gateway by its address file."""
    assert stat.S_IMODE(client.settings.api_key.stat().st_mode) == 0o600
    assert client.url.startswith("http://127.0.0.1:")


async def test_a_port_in_use_is_one_clear_sentence(start_bus: Callable[..., Any], settings: Settings) -> None:
    """The sentence names the port and what to do; nothing listens afterwards."""
    bus = start_bus(*PLAYED)
    await bus.provision()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = Gateway(msgspec.structs.replace(settings, port=port))
        with pytest.raises(KaraisError, match=f"Port {port} on 127.0.0.1 is in use.*--port") as caught:
            async with bus.running(gateway):
                pass
    assert str(caught.value).count(". ") == 0


async def test_a_free_port_is_kept_over_restarts(start_bus: Callable[..., Any], settings: Settings) -> None:
    """With port 0 a restarted gateway listens where its open pages look for it."""
    bus = start_bus(*PLAYED)
    await bus.provision()
    addresses = []
    for _ in range(2):
        gateway = Gateway(settings)
        async with bus.running(gateway):
            addresses.append(gateway.address.url)
    assert addresses[0] == addresses[1]
