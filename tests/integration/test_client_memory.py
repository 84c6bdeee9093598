"""The commands about memory and projects, over a real gateway and bus."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any

from bus.settings import Settings
from tests.integration.conftest import command


async def facts(settings: Settings, *arguments: str) -> Any:
    """Run a command with --json and return what it printed."""
    code, out, err = await command(settings, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


async def test_memory_is_added_listed_shown_edited_and_forgotten(karais: Settings) -> None:
    """A fact's way through the commands: why it is believed, what it replaced, and gone for good."""
    first = await facts(karais, "memory", "add", "The boat is in Kiel.", "--since", "2026-01-05")
    assert first["fact"]["valid_from"] == datetime.datetime(2026, 1, 5).timestamp()
    name = first["fact"]["id"]
    edited = await facts(karais, "memory", "edit", name, "The boat is in Flensburg.", "--since", "2026-03-01")
    now = edited["fact"]["id"]

    code, out, _ = await command(karais, "memory", "list")
    assert (code, out.count("The boat")) == (0, 1)
    assert f"Flensburg.  holds  since 2026-03-01  {now}" in out
    assert len(await facts(karais, "memory", "list", "--history")) == 2
    code, out, _ = await command(karais, "memory", "show", now)
    lines = out.splitlines()
    assert lines[0] == "The boat is in Flensburg."
    assert "  state        holds, since 2026-03-01" in lines
    assert any(line.startswith("  because      you wrote it down on ") for line in lines)
    assert any("before" in line and "Kiel" in line and "replaced" in line for line in lines)

    would = await facts(karais, "memory", "forget", "--fact", now, "--dry-run")
    assert would["facts"] == 2
    code, _, err = await command(karais, "memory", "forget", "--fact", now)
    assert (code, "--yes" in err) == (2, True)
    assert len(await facts(karais, "memory", "list")) == 1
    code, out, err = await command(karais, "memory", "forget", "--fact", now, "--yes")
    assert code == 0, err
    assert out.startswith("Forgotten for good: 2 facts. KARAIS keeps no backup")
    assert await facts(karais, "memory", "list", "--history") == []
    code, _, err = await command(karais, "memory", "show", now)
    assert (code, len(err.splitlines())) == (1, 1)


async def test_a_day_gone_by_includes_all_of_that_day(karais: Settings) -> None:
    """--as-of with a date means the end of that day here; with a time that moment."""
    await facts(karais, "memory", "add", "It leaks.", "--since", "2026-05-03T14:30", "--until", "2026-06-01")
    for moment, known in (("2026-05-02", 0), ("2026-05-03", 1), ("2026-05-03T14:00", 0), ("2026-06-01", 0)):
        assert len(await facts(karais, "memory", "list", "--as-of", moment)) == known, moment
    code, _, err = await command(karais, "memory", "list", "--as-of", "yesterday")
    assert (code, "--as-of" in err) == (2, True)


async def test_a_conversation_is_forgotten_with_its_turns(karais: Settings) -> None:
    """--conversation takes all of it, --answer one exchange; only one thing can be named."""
    asked = await facts(karais, "ask", "How long?", "--conversation", "c1")
    await facts(karais, "ask", "And then?", "--conversation", "c1")
    gone = await facts(karais, "memory", "forget", "--answer", asked["answer"], "--dry-run")
    assert gone["turns"] == 2
    gone = await facts(karais, "memory", "forget", "--conversation", "c1", "--yes")
    assert gone["turns"] == 4
    code, _, _ = await command(karais, "memory", "forget", "--conversation", "c1", "--yes")
    assert code == 1
    code, _, _ = await command(karais, "memory", "forget", "--conversation", "c1", "--fact", "f1")
    assert code == 2


async def test_search_prints_where_each_passage_is_from(karais: Settings) -> None:
    """`karais memory search` prints passages with their places, and refuses a kind that is none."""
    code, out, err = await command(karais, "memory", "search", "streams")
    assert code == 0, err
    assert out.startswith("[1] concepts/streams.md:5\nMessages are kept until a limit is reached.")
    assert (await facts(karais, "memory", "search", "streams", "--kind", "fact"))["passages"] == []
    code, _, err = await command(karais, "memory", "search", "x", "--kind", "song")
    assert (code, "song" in err) == (2, True)


async def test_projects_are_made_changed_and_removed(karais: Settings, tmp_path: Any) -> None:
    """Instructions may come from a file; what is not given stays; removing asks or wants --yes."""
    told = tmp_path / "told.txt"
    told.write_text("Be brief.\nBe kind.\n")
    made = await facts(karais, "project", "add", "boat", "--name", "The boat", "--instructions", f"@{told}")
    assert (made["name"], made["instructions"]) == ("The boat", "Be brief.\nBe kind.")
    changed = await facts(karais, "project", "change", "boat", "--folder", "boat/papers", "--global")
    assert (changed["name"], changed["folder"], changed["uses_global"]) == ("The boat", "boat/papers", True)
    code, out, _ = await command(karais, "project", "list")
    assert (code, [line.split()[0] for line in out.splitlines()[1:]]) == (0, ["home", "boat", "global"])
    code, out, _ = await command(karais, "project", "show", "boat")
    assert "instructions  Be brief." in out
    assert (await command(karais, "project", "change", "boat"))[0] == 2
    assert (await command(karais, "project", "add", "boat"))[0] == 1
    assert (await command(karais, "project", "add", "x", "--instructions", "@/none"))[0] == 2
    assert (await command(karais, "project", "remove", "boat"))[0] == 2
    code, out, err = await command(karais, "project", "remove", "boat", "--yes")
    assert code == 0, err
    assert out.startswith("Forgotten for good")
    assert (await command(karais, "project", "show", "boat"))[0] == 1


async def test_ask_passes_on_project_time_and_that_it_is_temporary(karais: Settings) -> None:
    """A temporary question is in no list; nor is a project's conversation in another's."""
    await facts(karais, "project", "add", "boat")
    asked = await facts(karais, "ask", "Now?", "--project", "boat", "--temporary", "--as-of", "2026-05-03")
    assert asked["finish_reason"] == "stop"
    code, out, err = await command(karais, "chat", "--temporary", given="How long?\n/quit\n")
    assert code == 0, err
    assert "not remembered" in err
    assert "until" in out
    begun = time.monotonic()
    listed = await facts(karais, "memory", "search", "anything", "--project", "boat")
    assert "passages" in listed
    assert time.monotonic() - begun < 20
