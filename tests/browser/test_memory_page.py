"""Projects, the memory view and temporary chats in a real browser."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.async_api import Page, expect

from schemas.documents import Passage
from schemas.memory import Fact, FactLearned
from schemas.projects import ChangeProject
from tests.browser.conftest import Household
from tests.browser.test_page import ask
from tests.peers import PASSAGE

DAY = 86_400.0
PHONE = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}


async def learn(household: Household, name: str, text: str, **more: Any) -> Fact:
    """Write a fact to the log as the extraction does; ``days`` says how long ago."""
    at = time.time() - more.pop("days", 1) * DAY
    fields: dict[str, Any] = {
        "subject": "owner",
        "attribute": name,
        "value": text,
        "valid_from": at,
        "at": at,
        "quote": f"Well, {text}",
        "conversation": "c1",
        "answer": "a1",
        "project": "home",
        "confidence": 0.9,
    }
    fact = Fact(id=name, text=text, **{**fields, **more})
    await household.memory.record_knowledge(FactLearned(project=fact.project, learned=fact))
    return fact


async def answered(page: Page, text: str, count: int = 1) -> None:
    await ask(page, text)
    await expect(page.locator("[data-state=done]")).to_have_count(count)


def fact(page: Page, text: str) -> Any:
    return page.locator("li.fact", has_text=text)


async def forget_it(page: Page) -> None:
    await page.get_by_role("dialog").get_by_role("button", name="Forget", exact=True).click()


async def test_projects_keep_their_conversations_apart(household: Household) -> None:
    """A project is made on the page; what is asked in it is listed there alone, and found by address."""
    page = await household.page()
    await page.goto(household.url)
    await answered(page, "About rivers")
    await expect(page.locator("#conversations")).to_contain_text("About rivers")

    await page.get_by_role("button", name="Project: Home").click()
    await page.get_by_role("button", name="New project").click()
    await page.get_by_role("textbox", name="Name", exact=True).fill("The boat")
    await page.get_by_label("Instructions").fill("Be brief.")
    await page.get_by_role("button", name="Make it").click()
    await expect(page).to_have_url(re.compile("#/p/the-boat/$"))
    await expect(page.locator("#conversations li")).to_have_count(0)
    await answered(page, "About sails")
    await expect(page).to_have_url(re.compile("#/p/the-boat/c/[0-9a-f]{32}$"))
    assert household.brain.asked[-1].project == "the-boat"
    await expect(page.locator("#conversations li")).to_have_count(1)
    await expect(page.locator("#conversations")).not_to_contain_text("About rivers")
    address = page.url

    await page.goto(f"{household.url}/#/")
    await expect(page.locator("#conversations")).to_contain_text("About rivers")
    await expect(page.locator("#conversations")).not_to_contain_text("About sails")
    await page.goto(address)
    await expect(page.locator(".question")).to_have_text("About sails")
    await page.goto("about:blank")
    await page.goto(household.url)  # comes back to the project that was open
    await expect(page.get_by_role("button", name="Project: The boat")).to_be_visible()


async def test_a_project_is_changed_and_removed(household: Household) -> None:
    """Its form shows what it has; what is refused is said in it; removing it leads home."""
    page = await household.page()
    await household.memory.change_project(ChangeProject(project="boat", create=True, name="Boat"))
    await page.goto(f"{household.url}/#/p/boat/")
    await page.get_by_role("button", name="Project: Boat").click()
    await page.get_by_role("button", name="Change Boat").click()
    await page.get_by_label("Folder of your files").fill("../secrets")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("no folder in the storage")
    await page.get_by_label("Folder of your files").fill("boat/papers")
    await page.get_by_role("textbox", name="Name", exact=True).fill("Anna's boat")
    await page.get_by_text("May use global knowledge").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Project: Anna's boat")).to_be_visible()
    kept = await household.memory.known_project("boat")
    assert (kept.folder, kept.uses_global) == ("boat/papers", True)

    await page.get_by_role("button", name="Project: Anna's boat").click()
    await page.get_by_role("button", name="Change Anna's boat").click()
    await page.get_by_role("button", name="Remove…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    await expect(page.get_by_role("button", name="Project: Home")).to_be_visible()
    await expect(page).to_have_url(re.compile("#/$"))
    assert household.memory.projects.get("boat") is None


async def test_the_memory_says_why_since_when_and_what_was_before(household: Household) -> None:
    """A fact shows its words and conversation; what it replaced is marked; a day gone by shows what held."""
    await learn(household, "city1", "The owner lives in Berlin.", attribute="city", value="Berlin", days=300)
    await learn(household, "city2", "The owner lives in Bonn.", attribute="city", value="Bonn", days=10)
    await learn(household, "other", "It leaks.", project="boat")
    page = await household.page()
    await page.goto(household.url)
    await page.get_by_role("link", name="Memory", exact=True).click()
    await expect(page.locator("li.fact")).to_have_count(1)
    await page.get_by_role("button", name="The owner lives in Bonn.").click()
    line = fact(page, "The owner lives in Bonn.")
    await expect(line.locator("blockquote")).to_have_text("Well, The owner lives in Bonn.")
    await expect(line.get_by_role("link", name="Open the conversation")).to_have_attribute("href", "#/c/c1")
    await expect(line.locator(".versions li").first).to_contain_text("Berlin")
    await page.get_by_text("History", exact=True).first.click()
    old = page.locator("li.fact[data-state=replaced]")
    await expect(old).to_contain_text("The owner lives in Berlin.")
    await expect(old).to_contain_text("Replaced")

    await page.get_by_label("Search the memory").fill("berl")
    await expect(page.locator("li.fact")).to_have_count(1)
    await page.get_by_label("Search the memory").fill("")
    await page.get_by_label("As of").fill(time.strftime("%Y-%m-%d", time.localtime(time.time() - 100 * DAY)))
    await expect(page.locator("li.fact")).to_have_count(1)
    await expect(page.locator("li.fact")).to_contain_text("Berlin")


async def test_facts_are_added_put_right_and_forgotten(household: Household) -> None:
    """What is written down appears; a corrected one keeps its history; forgetting says what goes with it."""
    household.memory.kept_until = time.time() + 30 * DAY
    page = await household.page()
    await page.goto(f"{household.url}/#/memory")
    await page.get_by_role("button", name="Add").click()
    await page.get_by_role("textbox", name="What").fill("The boat is in Kiel.")
    await page.get_by_role("button", name="Remember").click()
    await page.get_by_role("button", name="The boat is in Kiel.").click()
    await page.get_by_role("button", name="Put right").click()
    await page.get_by_role("textbox", name="What").fill("The boat is in Flensburg.")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("li.fact")).to_have_count(1)
    await page.get_by_role("button", name="The boat is in Flensburg.").click()
    await expect(page.locator(".versions li")).to_have_count(2)
    await page.get_by_role("button", name="Forget…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("2 things that were learned")
    await expect(dialog).to_contain_text("backups and snapshots keep it until")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(page.locator("li.fact")).to_have_count(1)
    await page.get_by_role("button", name="Forget…").click()
    await forget_it(page)
    await expect(page.locator("li.fact")).to_have_count(0)
    assert household.memory.facts.list("home", "owner", history=True).facts == ()


async def test_what_is_learned_appears_and_can_be_forgotten_at_once(household: Household) -> None:
    """A fact from the open conversation is told of; forgetting it takes the exchange that it came from."""
    page = await household.page()
    await page.goto(household.url)
    await answered(page, "I live in Bonn.")
    asked = household.brain.asked[-1]
    source = {"conversation": asked.conversation, "answer": asked.answer}
    await learn(household, "else", "Of another conversation.")
    await learn(household, "city", "The owner lives in Bonn.", **source)
    notice = page.locator(".toast")
    await expect(notice).to_have_count(1)
    await expect(notice).to_contain_text("Remembered: The owner lives in Bonn.")
    await notice.get_by_role("button", name="Forget…").click()
    await expect(page.get_by_role("dialog")).to_contain_text("2 messages and 1 thing that was learned")
    await forget_it(page)
    await expect(page.locator(".exchange")).to_have_count(0)
    await expect(page.locator("#conversations li")).to_have_count(0)
    assert [one.id for one in household.memory.facts.list("home", "owner").facts] == ["else"]


async def test_one_question_is_forgotten_with_its_answer(household: Household) -> None:
    """The button below an answer forgets that exchange; the others of the conversation stay."""
    page = await household.page()
    await page.goto(household.url)
    await answered(page, "First")
    await answered(page, "Second", 2)
    first, second = (one.answer for one in household.brain.asked)
    await learn(household, "f1", "From the first.", answer=first, conversation="c")
    await page.get_by_role("button", name="Forget the question and its answer").first.click()
    await forget_it(page)
    await expect(page.locator(".question")).to_have_text(["Second"])
    await page.reload()
    await expect(page.locator(".question")).to_have_text(["Second"])
    assert household.brain.asked[-1].answer == second
    assert household.memory.facts.list("home", "owner", history=True).facts == ()


async def test_a_long_memory_comes_in_pages(household: Household) -> None:
    """The first fifty are shown, the others on request; a new one does not take them away again."""
    for number in range(60):
        await learn(household, f"f{number}", f"Fact {number}.", days=100 - number)
    page = await household.page()
    await page.goto(f"{household.url}/#/memory")
    await expect(page.locator("li.fact")).to_have_count(50)
    await page.get_by_role("button", name="Show more").click()
    await expect(page.locator("li.fact")).to_have_count(60)
    await expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    await learn(household, "new", "The newest.", days=0)
    await expect(page.locator("li.fact").first).to_contain_text("The newest.")
    await expect(page.locator("li.fact")).to_have_count(60)  # as many as were there, and the rest on request
    await expect(page.get_by_role("button", name="Show more")).to_be_visible()


async def test_a_temporary_chat_is_kept_nowhere(household: Household) -> None:
    """It is marked, in no list and not in the address; leaving it is asked for, a reload loses it."""
    page = await household.page()
    await page.goto(household.url)
    await page.get_by_text("Temporary", exact=True).click()
    await expect(page.locator("#temporary-note")).to_contain_text("not logged, not remembered")
    await answered(page, "A secret")
    await answered(page, "And another", 2)
    assert [(one.temporary, one.text) for one in household.brain.asked] == [
        (True, "A secret"),
        (True, "And another"),
    ]
    assert len({one.conversation for one in household.brain.asked}) == 1
    await expect(page).to_have_url(re.compile("#/temporary$"))
    await expect(page.locator("#conversations li")).to_have_count(0)

    await page.get_by_role("link", name="New conversation", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(page.locator(".exchange")).to_have_count(2)
    warned: list[str] = []

    async def accept(dialog: Any) -> None:
        warned.append(dialog.type)
        await dialog.accept()

    page.on("dialog", accept)
    await page.reload()
    assert warned == ["beforeunload"]
    await expect(page.locator(".welcome")).to_be_visible()
    await expect(page.locator(".exchange")).to_have_count(0)
    await expect(page.locator("#temporary-note")).to_be_visible()
    await page.get_by_role("link", name="New conversation", exact=True).click()
    await expect(page.locator("#temporary-note")).to_be_hidden()
    await answered(page, "Not a secret")
    assert household.brain.asked[-1].temporary is False
    await expect(page.locator("#conversations li")).to_have_count(1)


async def test_sources_that_are_no_files_lead_to_where_they_come_from(household: Household) -> None:
    """What was said opens its conversation, what is known the memory; a file's chip keeps its name."""
    known = await learn(household, "city", "The owner lives in Bonn.")
    household.memory.found = household.brain.passages = (
        PASSAGE,
        Passage(id="t1-0", path="c7", text="We moved to Bonn.", kind="turn", at=time.time() - DAY),
        Passage(id=f"{known.id}-0", path="c1", text=known.text, kind="fact", at=known.at),
    )
    household.brain.reply = "In Bonn [3], as you said [2], and streams are kept [1]."
    page = await household.page()
    await page.goto(household.url)
    await answered(page, "Where do I live?")
    await expect(page.locator(".chip").nth(0)).to_contain_text("streams.md")
    await page.locator(".chip[data-kind=turn]").click()
    await expect(page.locator("#panel mark")).to_have_text("We moved to Bonn.")
    await expect(page.get_by_role("link", name="Open the conversation")).to_have_attribute("href", "#/c/c7")
    await page.locator(".chip[data-kind=fact]").click()
    await page.get_by_role("link", name="Show it in the memory").click()
    await expect(fact(page, known.text).locator("blockquote")).to_be_visible()


async def test_a_phone_can_use_projects_and_memory(household: Household) -> None:
    """At 360 pixels nothing overflows: the switch, its form, an open fact of the memory, its dialog."""
    long = (
        "The owner's sister is called Anna and is a nurse in the children's hospital in Cologne. " + "x" * 60
    )
    await learn(household, "sister", long)
    page = await household.page(**PHONE)
    await page.goto(household.url)
    width = "document.documentElement.scrollWidth"
    await page.get_by_role("button", name="Show conversations").click()
    await page.get_by_role("button", name="Project: Home").click()
    await page.get_by_role("button", name="New project").click()
    form = page.get_by_role("dialog")
    await expect(form.get_by_role("button", name="Make it")).to_be_in_viewport(ratio=1)
    assert await page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")
    await form.get_by_role("button", name="Cancel").click()
    await page.get_by_role("link", name="Memory", exact=True).click()
    await page.get_by_role("button", name=long[:40]).click()
    await page.locator(".fact-body blockquote").wait_for()
    assert await page.evaluate(width) == 360
    assert await page.evaluate("document.querySelector('#memory').scrollWidth <= innerWidth")
    await page.get_by_role("button", name="Forget…").click()
    await expect(page.get_by_role("dialog").get_by_role("button", name="Forget")).to_be_in_viewport(ratio=1)
