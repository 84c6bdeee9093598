"""Projects, memory and forgetting over REST and the WebSocket: a real gateway, bus, and logs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from agents.gateway.agent import Gateway
from agents.memory import Memory
from bus.settings import Settings
from schemas.documents import Passage
from schemas.memory import Fact, FactLearned
from tests.hashing import HashEmbedder
from tests.integration.conftest import Client, events, question
from tests.peers import PASSAGE, PlayedBrain

TURN = Passage(id="t1-0", path="c1", text="I moved to Bonn.", kind="turn", at=1_700_000_000.0)


def a_fact(name: str, text: str, **more: Any) -> Fact:
    fields: dict[str, Any] = {
        "subject": "owner",
        "attribute": name,
        "value": text,
        "valid_from": 100.0,
        "at": 100.0,
        "project": "home",
    }
    return Fact(id=name, text=text, **{**fields, **more})


async def learn(client: Client, fact: Fact) -> None:
    """Write a fact to the log, as the extraction does."""
    await client.memory.record_knowledge(FactLearned(project=fact.project, learned=fact))  # type: ignore[attr-defined]


async def test_projects_are_made_changed_listed_and_removed(client: Client) -> None:
    """A project is there with what it was given, changes only where told, and is gone when removed."""
    made = await client.send("POST", "/api/v1/projects", {"project": "boat", "name": "The boat"})
    assert (made["project"], made["name"], made["uses_global"]) == ("boat", "The boat", False)
    one = "/api/v1/projects/boat"
    changed = await client.send("PATCH", one, {"instructions": "Be brief.", "uses_global": True})
    assert (changed["name"], changed["instructions"]) == ("The boat", "Be brief.")
    assert (await client.get(one))["uses_global"] is True
    listed = (await client.get("/api/v1/projects"))["projects"]
    assert [project["project"] for project in listed] == ["home", "boat", "global"]
    again = await client.send("POST", "/api/v1/projects", {"project": "boat"}, status=409)
    assert again["code"] == "conflict"
    assert (await client.send("DELETE", one))["type"] == "forgotten"
    assert (await client.get(one, status=404))["code"] == "not_found"


async def test_facts_are_added_explained_edited_and_forgotten(client: Client) -> None:
    """An edited fact keeps its old version in the history; a forgotten one is not there any more."""
    shown = await client.send("POST", "/api/v1/facts", {"text": "The boat is in Kiel.", "valid_from": 50.0})
    first = shown["fact"]
    assert (first["origin"], first["valid_from"]) == ("user", 50.0)
    edited = await client.send("PATCH", f"/api/v1/facts/{first['id']}", {"text": "The boat is in Flensburg."})
    now = edited["fact"]["id"]
    assert [fact["text"] for fact in edited["earlier"]] == ["The boat is in Kiel."]
    held = (await client.get("/api/v1/facts?matching=boat"))["facts"]
    assert [fact["id"] for fact in held] == [now]
    every = (await client.get("/api/v1/facts?history=true"))["facts"]
    assert {fact["id"] for fact in every} == {first["id"], now}
    assert (await client.get(f"/api/v1/facts/{now}"))["earlier"][0]["superseded_by"] == now
    would = await client.send("DELETE", f"/api/v1/facts/{now}?dry_run=true")
    assert would["facts"] == 2
    assert (await client.get("/api/v1/facts"))["facts"]
    assert await client.send("DELETE", f"/api/v1/facts/{now}") == would
    assert (await client.get("/api/v1/facts?history=true"))["facts"] == []


async def test_facts_of_a_day_gone_by(client: Client) -> None:
    """as_of lists what held at that time; pages go on behind the last fact."""
    for number in range(3):
        await learn(client, a_fact(f"f{number}", f"Fact {number}.", valid_from=100.0 * number, at=100.0))
    assert [f["id"] for f in (await client.get("/api/v1/facts?as_of=150"))["facts"]] == ["f1", "f0"]
    page = await client.get("/api/v1/facts?limit=2")
    assert (page["more"], [fact["id"] for fact in page["facts"]]) == (True, ["f2", "f1"])
    rest = await client.get("/api/v1/facts?limit=2&after=f1")
    assert [fact["id"] for fact in rest["facts"]] == ["f0"]
    assert "more" not in rest or rest["more"] is False


async def test_nothing_of_one_project_is_shown_in_another(client: Client) -> None:
    """Facts and conversations are read, changed and forgotten only where they belong."""
    await client.send("POST", "/api/v1/projects", {"project": "boat"})
    fact = (await client.send("POST", "/api/v1/facts", {"text": "It leaks.", "project": "boat"}))["fact"][
        "id"
    ]
    asked = question(project="boat")
    async with client.socket() as ws:
        await ws.send_json(asked)
        await events(ws)
    assert (await client.get("/api/v1/facts"))["facts"] == []
    assert len((await client.get("/api/v1/facts?project=boat"))["facts"]) == 1
    assert (await client.get("/api/v1/conversations"))["conversations"] == []
    assert len((await client.get("/api/v1/conversations?project=boat"))["conversations"]) == 1
    for method, path, body in (
        ("GET", f"/api/v1/facts/{fact}", None),
        ("PATCH", f"/api/v1/facts/{fact}", {"text": "x"}),
        ("DELETE", f"/api/v1/facts/{fact}", None),
        ("GET", f"/api/v1/conversations/{asked['conversation']}", None),
        ("DELETE", f"/api/v1/conversations/{asked['conversation']}", None),
    ):
        assert (await client.send(method, path, body, status=404))["code"] == "not_found"


async def test_forgetting_a_conversation_takes_what_was_learned_from_it(client: Client) -> None:
    """Turns and facts of the conversation go; another's stay. So it is with a single exchange."""
    asked = [question("one"), question("two")]
    asked.append(question("three", conversation=asked[1]["conversation"]))
    async with client.socket() as ws:
        for ask in asked:
            await ws.send_json(ask)
            await events(ws)
    for name, ask in zip(("f0", "f1", "f2"), asked, strict=True):
        fact = a_fact(name, name, conversation=ask["conversation"], answer=ask["answer"])
        await learn(client, fact)
    gone = await client.send("DELETE", f"/api/v1/conversations/{asked[0]['conversation']}")
    assert (gone["turns"], gone["facts"]) == (2, 1)
    assert {f["id"] for f in (await client.get("/api/v1/facts"))["facts"]} == {"f1", "f2"}
    gone = await client.send("DELETE", f"/api/v1/exchanges/{asked[2]['answer']}")
    assert (gone["turns"], gone["facts"]) == (2, 1)
    left = await client.get(f"/api/v1/conversations/{asked[1]['conversation']}")
    assert [turn["text"] for turn in left["turns"] if turn["role"] == "user"] == ["two"]


async def test_search_passes_its_filters_on(client: Client) -> None:
    """kinds, times, project and the use of global reach memory as they were given."""
    memory = client.memory  # type: ignore[attr-defined]
    memory.found = (PASSAGE, TURN)
    query = "query=Bonn&kinds=turn,fact&after=5.5&before=9&project=boat&with_global=true&limit=3"
    found = (await client.get(f"/api/v1/search?{query}"))["passages"]
    assert [passage["id"] for passage in found] == ["t1-0"]
    asked = memory.recalled[-1]
    assert (asked.query, asked.kinds, asked.project, asked.with_global) == (
        "Bonn",
        ("turn", "fact"),
        "boat",
        True,
    )
    assert (asked.after, asked.before, asked.limit) == (5.5, 9.0, 3)
    assert len((await client.get("/api/v1/search?query=x"))["passages"]) == 2


async def test_a_temporary_question_and_one_of_another_day_reach_the_brain_as_such(client: Client) -> None:
    """temporary, as_of and project are passed on, and a temporary one is in no list."""
    body = {"text": "Where do I live?", "temporary": True, "as_of": 77.5, "project": "boat"}
    answer = await client.send("POST", "/api/v1/ask", body)
    assert answer["finish_reason"] == "stop"
    asked = client.brain.asked[-1]  # type: ignore[attr-defined]
    assert (asked.temporary, asked.as_of, asked.project) == (True, 77.5, "boat")
    assert (await client.get("/api/v1/conversations?project=boat"))["conversations"] == []


async def test_open_pages_hear_what_was_learned_and_forgotten_in_their_project(client: Client) -> None:
    """Notices come for facts of the watched project, of no other, and for every project's change."""
    async with client.socket() as ws:
        await ws.send_json({"type": "watch", "project": "boat"})
        assert (await ws.receive_json())["type"] == "watching"
        await learn(client, a_fact("f0", "Not for here."))
        fact = a_fact("f1", "It leaks.", project="boat", conversation="c1", answer="a1")
        await learn(client, fact)
        learned = await ws.receive_json(timeout=5)
        assert (learned["type"], learned["change"]) == ("fact_changed", "learned")
        assert (learned["fact"], learned["text"], learned["conversation"]) == ("f1", "It leaks.", "c1")
        await client.send("DELETE", "/api/v1/facts/f1?project=boat")
        heard = [await ws.receive_json(timeout=5) for _ in range(2)]
        assert {(frame["type"], frame["change"]) for frame in heard} == {
            ("conversation_changed", "forgotten"),
            ("fact_changed", "forgotten"),
        }
        await client.send("POST", "/api/v1/projects", {"project": "garden"})
        changed = await ws.receive_json(timeout=5)
        assert (changed["type"], changed["project"]) == ("projects_changed", "garden")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/projects", {"project": "a b"}, 400),
        ("POST", "/api/v1/projects", {"name": "x"}, 400),
        ("PATCH", "/api/v1/projects/none", {"name": "x"}, 404),
        ("PATCH", "/api/v1/projects/home", {"folder": "papers"}, 400),
        ("POST", "/api/v1/projects", {"project": "boat", "folder": "../etc"}, 400),
        ("DELETE", "/api/v1/projects/none", None, 404),
        ("POST", "/api/v1/facts", {"text": ""}, 400),
        ("POST", "/api/v1/facts", {"text": "x" * 2001}, 400),
        ("PATCH", "/api/v1/facts/none", {"text": "x"}, 404),
        ("GET", "/api/v1/facts?as_of=yesterday", None, 400),
        ("GET", "/api/v1/search", None, 400),
        ("GET", "/api/v1/search?query=x&kinds=song", None, 400),
        ("DELETE", "/api/v1/facts/none?dry_run=perhaps", None, 400),
    ],
)
async def test_wrong_requests_are_refused_in_a_sentence(
    client: Client, method: str, path: str, body: Any, status: int
) -> None:
    """What does not fit is refused with the status that belongs to it, and nothing is written."""
    failure = await client.send(method, path, body, status=status)
    assert failure["message"].endswith(".")
    assert len((await client.get("/api/v1/projects"))["projects"]) == 2
    assert (await client.get("/api/v1/facts"))["facts"] == []


async def test_what_cannot_be_undone_says_until_when_backups_keep_it(client: Client) -> None:
    """The time after which no backup holds what was forgotten is passed on."""
    until = time.time() + 86400
    client.memory.kept_until = until  # type: ignore[attr-defined]
    fact = (await client.send("POST", "/api/v1/facts", {"text": "It leaks."}))["fact"]["id"]
    assert (await client.send("DELETE", f"/api/v1/facts/{fact}"))["kept_in_backups_until"] == until


async def test_the_document_describes_every_operation(client: Client) -> None:
    """Paths, bodies and queries of projects and memory are in the OpenAPI document."""
    paths = (await client.get("/api/v1/openapi.json"))["paths"]
    assert set(paths["/api/v1/facts/{fact}"]) == {"get", "patch", "delete"}
    assert set(paths["/api/v1/projects/{project}"]) == {"get", "patch", "delete"}
    names = {p["name"] for p in paths["/api/v1/facts/{fact}"]["delete"]["parameters"]}
    assert names == {"fact", "project", "dry_run"}
    operations = [one["operationId"] for path in paths.values() for one in path.values()]
    assert len(operations) == len(set(operations))


async def test_what_was_said_is_learned_explained_and_forgotten_by_the_real_memory(
    start_bus: Callable[..., Any], settings: Settings
) -> None:
    """From a question to a fact, its source, a search and forgetting: over REST, with the real memory."""
    kinds = (Gateway, PlayedBrain, Memory, HashEmbedder)
    bus = start_bus(*kinds)
    await bus.provision()
    async with bus.running(*(kind(settings) for kind in kinds)):
        headers = {"Authorization": f"Bearer {settings.api_key.read_text().strip()}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            client = Client(bus, settings, session)
            asked = await client.send("POST", "/api/v1/ask", {"text": "I live in Flensburg."})
            secret = {"text": "I live in Kiel.", "temporary": True}
            await client.send("POST", "/api/v1/ask", secret)
            async with asyncio.timeout(30):
                while not (known := (await client.get("/api/v1/facts"))["facts"]):
                    await asyncio.sleep(0.1)
            (fact,) = known
            shown = (await client.get(f"/api/v1/facts/{fact['id']}"))["fact"]
            assert (shown["conversation"], shown["answer"]) == (asked["conversation"], asked["answer"])
            assert shown["quote"] in "I live in Flensburg."
            async with asyncio.timeout(30):
                while not (await client.get("/api/v1/search?query=Flensburg&kinds=fact"))["passages"]:
                    await asyncio.sleep(0.1)
            would = await client.send("DELETE", f"/api/v1/facts/{fact['id']}?dry_run=true")
            gone = await client.send("DELETE", f"/api/v1/facts/{fact['id']}")
            assert (gone["turns"], gone["facts"]) == (would["turns"], would["facts"]) == (2, 1)
            assert (await client.get("/api/v1/search?query=Flensburg"))["passages"] == []
            assert (await client.get("/api/v1/facts?history=true"))["facts"] == []
            assert (await client.get("/api/v1/conversations"))["conversations"] == []
