"""Headless Chromium, and a KARAIS of the real gateway with played partners behind it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from agents.gateway.agent import Gateway
from bus.settings import Settings
from tests.peers import PlayedBrain, PlayedLibrarian, PlayedMemory

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# As for a page's actions: other tests may have the processors.
expect.set_options(timeout=15_000)


class Household:
    """The gateway with its partners, and browsers that look at it."""

    def __init__(self, bus: Any, settings: Settings, brain: PlayedBrain, url: str, browser: Browser) -> None:
        self.bus = bus
        self.settings = settings
        self.brain = brain
        self.url = url
        self.browser = browser
        self.memory: PlayedMemory
        self.complaints: list[str] = []
        """Errors of the pages, and requests that they sent to other hosts."""

    async def context(self, **options: Any) -> BrowserContext:
        """Return a browser of its own: no cookie, no storage."""
        return await self.browser.new_context(**options)

    async def page(self, **options: Any) -> Page:
        """Return a page in a browser of its own."""
        page = await (await self.context(**options)).new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._look_at)
        return page

    def _look_at(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.complaints.append(f"the page asked {request.url}")


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is not installed, and under CI this test is never skipped.")
        pytest.skip("Chromium is not installed: install it to test the page.")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            headless=True,
            args=FLAGS,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        yield browser
        await browser.close()


@pytest.fixture
async def household(
    start_bus: Callable[..., Any], settings: Settings, browser: Browser
) -> AsyncIterator[Household]:
    bus = start_bus(Gateway, PlayedBrain, PlayedMemory, PlayedLibrarian)
    await bus.provision()
    gateway, brain, memory = Gateway(settings), PlayedBrain(settings), PlayedMemory(settings)
    async with bus.running(brain, memory, PlayedLibrarian(settings), gateway):
        household = Household(bus, settings, brain, gateway.address.url, browser)
        household.memory = memory
        household.gateway = gateway  # type: ignore[attr-defined]
        yield household
        assert household.complaints == []
