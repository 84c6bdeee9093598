"""The page in a real browser: ask, stream, reload, cite, read along, search, rename, stop."""

from __future__ import annotations

import asyncio
import re
import time

from playwright.async_api import Page, expect

from tests.browser.conftest import Household
from tests.peers import PASSAGE

QUESTION = "Which messages are kept?"
LONG = "Messages are kept **until** a limit is reached [1]. " + " ".join(f"word{n}" for n in range(120))


async def ask(page: Page, text: str = QUESTION) -> None:
    await page.get_by_label("Your question").fill(text)
    await page.keyboard.press("Enter")


def words(page: Page) -> str:
    return page.locator(".answer .markdown").last


async def test_a_question_streams_survives_a_reload_and_its_citation_opens(household: Household) -> None:
    """The answer grows while one looks, goes on after a reload, and its source shows the passage."""
    household.brain.reply, household.brain.pause = LONG, 0.02
    page = await household.page()
    await page.goto(household.url)
    await ask(page)
    await expect(words(page)).to_contain_text("word5")
    early = await words(page).inner_text()
    assert "word119" not in early
    await expect(page).to_have_url(re.compile("#/c/[0-9a-f]{32}$"))

    await page.reload()
    await expect(words(page)).to_contain_text("word20 word21 word22")
    await expect(page.locator("[data-state=done]")).to_have_count(1)
    text = await words(page).inner_text()
    assert text.startswith("Messages are kept until a limit is reached. 1 word0 word1")
    assert text.split()[-120:] == [f"word{n}" for n in range(120)]
    await expect(words(page).locator("strong")).to_have_text("until")

    await words(page).locator(".cite").click()
    panel = page.get_by_role("complementary", name="Source 1")
    await expect(panel.locator("mark")).to_have_text(PASSAGE.text)
    await expect(panel).to_contain_text(PASSAGE.path)
    await expect(panel).to_contain_text("A stream stores messages on disk.")
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()


async def test_another_browser_reads_along_from_the_first_word(household: Household) -> None:
    """What is asked in one browser streams at once in another that has the conversation open."""
    first, second = await household.page(), await household.page()
    await first.goto(household.url)
    await ask(first)
    await expect(first.locator("[data-state=done]")).to_have_count(1)
    await second.goto(first.url)
    await expect(second.locator("[data-state=done]")).to_have_count(1)

    household.brain.reply, household.brain.pause = LONG, 0.02
    await ask(first, "And then?")
    await first.locator(".exchange").nth(1).wait_for()
    begun = time.monotonic()
    await second.locator(".exchange").nth(1).wait_for()
    assert time.monotonic() - begun < 3  # some 50 ms on a quiet machine; without a notice, never
    await expect(words(second)).to_contain_text("word5")
    await expect(second.locator("[data-state=done]")).to_have_count(2)
    assert await words(second).inner_text() == await words(first).inner_text()


async def test_a_running_answer_goes_on_in_a_browser_that_comes_later(household: Household) -> None:
    """A browser that opens the conversation in the middle gets all of the answer."""
    household.brain.reply, household.brain.pause = LONG, 0.03
    first, second = await household.page(), await household.page()
    await first.goto(household.url)
    await ask(first)
    await expect(words(first)).to_contain_text("word10")
    await second.goto(first.url)
    await expect(words(second)).to_contain_text("word11")
    await expect(second.locator("[data-state=done]")).to_have_count(1)
    await expect(first.locator("[data-state=done]")).to_have_count(1)
    assert await words(second).inner_text() == await words(first).inner_text()


async def test_stop_keeps_what_was_said(household: Household) -> None:
    """The stop button ends the answer; what came stays, marked as stopped."""
    household.brain.reply, household.brain.pause = LONG, 0.05
    page = await household.page()
    await page.goto(household.url)
    await ask(page)
    await expect(words(page)).to_contain_text("word3")
    await page.get_by_role("button", name="Stop the answer").click()
    await expect(page.locator(".note")).to_have_text("Stopped.")
    await expect(words(page)).not_to_contain_text("word119")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


async def test_a_failed_answer_can_be_tried_again(household: Household) -> None:
    """A failure is shown in its words, with a button that asks once more."""
    page = await household.page()
    await page.goto(household.url)
    await ask(page, "fail")
    await expect(page.locator(".failure")).to_contain_text("The model stopped.")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".failure")).to_have_count(2)
    await ask(page, "refuse")
    await expect(page.locator(".failure").last).to_contain_text("This question is refused.")


async def test_the_page_comes_back_after_the_gateway_was_restarted(household: Household) -> None:
    """The connection is lost and found; the answer under way is complete and has nothing twice."""
    household.brain.reply, household.brain.pause = LONG, 0.03
    page = await household.page()
    await page.goto(household.url)
    await ask(page)
    await expect(words(page)).to_contain_text("word5")
    for socket in tuple(household.gateway._site._sockets):  # type: ignore[attr-defined]
        socket._ws._req.transport.abort()  # as a killed process does
    await expect(page.locator("[data-state=done]")).to_have_count(1)
    text = await words(page).inner_text()
    assert text.split()[-120:] == [f"word{n}" for n in range(120)]


async def test_the_page_outlives_its_bus(household: Household) -> None:
    """Without a bus a question fails in one sentence; with it the same page works again."""
    page = await household.page()
    await page.goto(household.url)
    await ask(page)
    await expect(page.locator("[data-state=done]")).to_have_count(1)
    household.bus.kill()
    await asyncio.sleep(0.3)
    await ask(page, "Who is there?")
    await expect(page.locator(".failure")).to_contain_text("bus cannot be reached")
    household.bus.start()
    await household.bus.provision()
    await asyncio.sleep(3)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("[data-state=done]")).to_have_count(2)


async def test_conversations_are_listed_renamed_found_and_removed(household: Household) -> None:
    """The list shows titles, lets one change and remove them, and searches."""
    page = await household.page()
    await page.goto(household.url)
    for question in ("About rivers", "About mountains"):
        await ask(page, question)
        await expect(page.locator("[data-state=done]")).to_have_count(1)
        await expect(page.locator("#conversations")).to_contain_text(question)
        await page.get_by_role("link", name="New conversation", exact=True).click()
        await expect(page.locator(".welcome")).to_be_visible()
    line = page.locator("#conversations li", has_text="About rivers")
    await line.hover()
    await line.get_by_role("button", name="Rename").click()
    await page.get_by_label("New title").fill("Water")
    await page.keyboard.press("Enter")
    await expect(page.locator("#conversations")).to_contain_text("Water")
    await page.get_by_label("Search conversations").fill("mount")
    await expect(page.locator("#conversations li")).to_have_count(1)
    await page.get_by_label("Search conversations").fill("")
    await expect(page.locator("#conversations li")).to_have_count(2)
    line = page.locator("#conversations li", has_text="Water")
    await line.hover()
    await line.get_by_role("button", name="Forget").click()
    await expect(page.get_by_role("dialog")).to_contain_text("2 messages")
    await page.get_by_role("dialog").get_by_role("button", name="Forget", exact=True).click()
    await expect(page.locator("#conversations li")).to_have_count(1)
    await page.reload()
    await expect(page.locator("#conversations li")).to_have_count(1)


async def test_a_phone_can_use_all_of_it(household: Household) -> None:
    """At 360 pixels nothing overflows; the list is a drawer, a source is a sheet."""
    page = await household.page(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True)
    await page.goto(household.url)
    await ask(page)
    await expect(page.locator("[data-state=done]")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await page.get_by_role("button", name="Show conversations").click()
    await expect(page.locator("#conversations li")).to_be_visible()
    await page.get_by_role("button", name="Close the list of conversations").click()
    await page.locator(".chip").click()
    await expect(page.locator("#panel mark")).to_be_in_viewport()
    await page.get_by_role("button", name="Close", exact=True).click()
    await expect(page.locator("#panel")).to_be_hidden()


async def test_a_stranger_needs_the_key(household: Household) -> None:
    """A browser that the gateway does not know gets a form; the key from the data folder opens it."""
    page = await household.page(extra_http_headers={"X-Forwarded-For": "10.0.0.7"})
    await page.goto(household.url)
    await page.get_by_label("Key").fill("wrong" * 8)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not the key")
    await page.get_by_label("Key").fill(household.settings.api_key.read_text().strip())
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("dialog")).to_be_hidden()  # the page loads anew, then it is let in
    await page.wait_for_load_state("load")
    await expect(page.locator(".idea").first).to_be_visible()  # its scripts run: it hears what is typed
    await ask(page)
    await expect(page.locator("[data-state=done]")).to_have_count(1)


async def test_the_theme_is_remembered(household: Household) -> None:
    """The system's choice counts until the user makes another, which survives a reload."""
    page = await household.page(color_scheme="dark")
    await page.goto(household.url)
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(colour)
    await page.get_by_role("button", name="Change to light or dark").click()
    light = await page.evaluate(colour)
    assert light != dark
    await page.reload()
    assert await page.evaluate(colour) == light
