"""The tools agent over a real bus: built-in tools, once, in time, logged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.tool_house import House


async def test_all_built_in_tools_are_listed_with_what_they_do(house: House) -> None:
    """Each has a schema that forbids what it does not know, and says whether it reads or changes."""
    tools = {tool.name: tool for tool in (await house.listed()).tools}
    assert {name: tool.effect for name, tool in tools.items()} == {
        "search_storage": "reads",
        "recall": "reads",
        "remember": "changes",
        "calculator": "none",
        "clock": "none",
        "jobs": "none",
        "start_job": "changes",
    }
    for tool in tools.values():
        assert tool.parameters["type"] == "object"
        assert tool.parameters["additionalProperties"] is False
        assert tool.description
        assert not tool.untrusted


async def test_search_is_scoped_to_who_asks(house: House) -> None:
    """User, project, conversation and the right to ``global`` reach memory; the text is untrusted."""
    found = await house.call(
        "search_storage",
        arguments={"query": "boiler", "limit": 2},
        user="ann",
        project="boat",
        conversation="c1",
    )
    assert found.outcome == "done"
    assert found.untrusted
    assert "[1] notes/boiler.md, lines 3-4\nIt leaks." in found.text
    assert found.passages[0].id == "f-1"
    asked = house.memory.asked[0]
    assert (asked.user, asked.project, asked.conversation, asked.with_global) == ("ann", "boat", "c1", True)
    assert (asked.query, asked.limit, asked.kinds) == ("boiler", 2, ("document",))
    await house.call("recall", arguments={"query": "boiler"})
    assert house.memory.asked[1].kinds == ("fact", "turn")
    assert not house.memory.asked[1].with_global


async def test_project_that_is_not_there_is_a_result(house: House) -> None:
    """A refusal of another agent is told to the model, not raised."""
    found = await house.call("recall", arguments={"query": "x"}, project="gone")
    assert (found.outcome, found.text) == ("failed", "There is no project gone.")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"query": "x", "limit": 1000}, "limit"),
        ({"query": "x", "limit": "two"}, "limit"),
        ({"query": ""}, "query"),
        ({}, "query"),
        ({"query": "x", "colour": 1}, "colour"),
        ("[]", ""),
        ("{nonsense", ""),
        ("[" * 5000, ""),
    ],
)
async def test_wrong_arguments_name_the_field(house: House, arguments: Any, field: str) -> None:
    """What does not fit the schema is a result that names the argument; nothing is done."""
    result = await house.call("recall", arguments=arguments)
    assert (result.outcome, result.field) == ("invalid", field)
    assert not house.memory.asked


async def test_change_needs_the_users_yes(house: House) -> None:
    """Without it nothing is done; the same call may come again with it."""
    call = {"call": "a1-1", "arguments": {"text": "The boiler leaks."}}
    assert (await house.call("remember", **call)).outcome == "unapproved"
    assert not house.memory.added
    done = await house.call("remember", **call, approved=True, project="boat")
    assert (done.outcome, done.text) == ("done", "Remembered: The boiler leaks.")
    assert house.memory.added[0].project == "boat"
    assert (await house.call("start_job", arguments={"job": "rescan"})).outcome == "unapproved"
    assert house.librarian.scans == 0
    assert (await house.call("start_job", arguments={"job": "rescan"}, approved=True)).outcome == "done"
    assert house.librarian.scans == 1


async def test_same_call_is_done_once(house: House) -> None:
    """Ten at a time and one later share one result; another call may not take the same identity."""
    house.memory.pause = 0.2
    call = {"call": "a1-1", "arguments": {"text": "Once."}, "approved": True}
    results = await asyncio.gather(*(house.call("remember", **call) for _ in range(10)))
    results.append(await house.call("remember", **call))
    assert {result.text for result in results} == {"Remembered: Once."}
    assert len(house.memory.added) == 1
    other = await house.call("remember", call="a1-1", arguments={"text": "Twice."}, approved=True)
    assert other.outcome == "invalid"
    assert len(house.memory.added) == 1


async def test_change_is_not_repeated_by_another_process(house: House) -> None:
    """An agent that has just started, and so knows no call, leaves alone what another had begun."""
    call = {"call": "a1-1", "arguments": {"text": "Once."}, "approved": True}
    assert (await house.call("remember", **call)).outcome == "done"
    house.tools._once._kept.clear()
    assert (await house.call("remember", **call)).outcome == "repeated"
    assert len(house.memory.added) == 1


async def test_tool_that_takes_too_long_is_given_up(house: House) -> None:
    """The caller has its result in time, and says so that it may have been done."""
    house.memory.pause = 30.0
    result = await house.call("recall", arguments={"query": "x"}, seconds=0.3)
    assert result.outcome == "timed_out"
    assert 0.3 <= result.seconds < 2
    result = await house.call("remember", arguments={"text": "x"}, seconds=0.3, approved=True)
    assert "may have been done" in result.text


async def test_unknown_tool_is_a_result(house: House) -> None:
    """A name that the model made up does not fail the agent."""
    result = await house.call("launch_rockets" * 10)
    assert (result.outcome, result.is_error) == ("unknown", True)


async def test_calls_are_logged_without_text(house: House) -> None:
    """Each call is in the log with tool, outcome and whose it was; a change before it is made, too."""
    await house.call("calculator", arguments={"expression": "6*7"}, project="boat", answer="a9")
    await house.call("remember", arguments={"text": "secret words"}, approved=True)
    await house.call("nothing")
    entries = await house.log()
    assert [(e["name"], e["outcome"]) for e in entries] == [
        ("calculator", "done"),
        ("remember", "begun"),
        ("remember", "done"),
        ("nothing", "unknown"),
    ]
    assert (entries[0]["project"], entries[0]["answer"], entries[0]["effect"]) == ("boat", "a9", "none")
    assert entries[2]["approved"]
    assert "secret" not in json.dumps(entries)


async def test_nothing_is_changed_that_cannot_be_logged(house: House) -> None:
    """Without its log a change is not made; what changes nothing still works."""
    await house.bus.jetstream.delete_stream("EVT")
    refused = await house.call("remember", arguments={"text": "x"}, approved=True)
    assert refused.outcome == "unavailable"
    assert not house.memory.added
    assert (await house.call("calculator", arguments={"expression": "6*7"})).text == "6*7 = 42"


async def test_jobs_tell_how_far_reading_came(house: House) -> None:
    """The state of the index is told in numbers."""
    result = await house.call("jobs")
    assert "5 files, 3 indexed, 2 waiting" in result.text
    assert not result.untrusted
