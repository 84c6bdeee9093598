"""All of KARAIS in a real browser: `karais up`, the real model, real files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from ops.bench.household import Household, household

NOTES = {
    "house/boiler.md": "# Boiler\n\nThe boiler in the cellar was serviced in May by the plumber Marta Ruiz "
    "from Linden Street. She replaced the pressure valve and asked to be called again next spring.\n",
    "house/garden.md": "# Garden\n\nThe apple trees are cut in February. The ladder stands in the shed.\n",
    "häuser/näheres.md": "# Fenster\n\nDie Fenster im Flur wurden 2019 gestrichen.\n",
    "broken.pdf": "%PDF-1.7 and then nothing that makes sense",
}


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Household]:
    if "KARAIS_TEST_MODELS" not in os.environ:
        pytest.skip("needs the default models: `make test` fetches them")
    storage = tmp_path / "storage"
    for name, text in NOTES.items():
        file = storage / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    with household(Path(os.environ["KARAIS_TEST_MODELS"]), storage=str(storage)) as running:
        yield running


async def test_a_question_about_a_file_is_answered_with_a_citation_of_it(
    whole: Household, browser: Browser
) -> None:
    """Ask, watch it stream, reload in the middle, and open the citation: all with the real parts."""
    page = await browser.new_page()
    page.set_default_timeout(90_000)
    elsewhere: list[str] = []
    page.on("request", lambda r: None if r.url.startswith(whole.url) else elsewhere.append(r.url))
    await page.goto(whole.url)
    await expect(page.get_by_text("3 files known, 1 skipped")).to_be_visible(timeout=60_000)

    await page.get_by_label("Your question").fill("Who serviced the boiler in the cellar?")
    await page.keyboard.press("Enter")
    answer = page.locator(".answer .markdown").last
    await expect(answer).not_to_be_empty(timeout=60_000)
    early = await answer.inner_text()

    await page.reload()
    await expect(page.locator("[data-state=done]")).to_have_count(1, timeout=90_000)
    text = await answer.inner_text()
    assert text.startswith(early.rstrip(".").strip()), "what was read before the reload is still there"

    await page.get_by_role("button", name="boiler.md").first.click()
    panel = page.get_by_role("complementary", name="Source 1")
    await expect(panel).to_contain_text("house/boiler.md")
    await expect(panel.locator("mark")).to_contain_text("Marta Ruiz")
    assert elsewhere == []
