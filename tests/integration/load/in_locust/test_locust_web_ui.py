"""Locust's web UI in a real Chromium: started, stopped and started again from the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.full]

# What the conftests' fixtures make; their classes cannot be imported from here.
Target = Any
Locust = Callable[..., Any]

PATIENCE_MS = 60_000
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a headless Chromium of this machine; CI must have one, elsewhere it is a skip."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        reason = "no chromium on PATH; on Debian: apt-get install chromium"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield launched
        launched.close()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).first.click(timeout=PATIENCE_MS)


def wait_for_row(page: Page, name: str, count: int) -> None:
    """Wait until the table has at least so many requests in a row."""
    page.wait_for_function(
        """([name, count]) => [...document.querySelectorAll("table tr")].some((row) => {
            const cells = [...row.cells].map((cell) => cell.innerText.trim());
            return cells[1] === name && Number(cells[2]) >= count;
        })""",
        arg=[name, count],
        timeout=PATIENCE_MS,
    )


def test_a_run_is_started_stopped_and_started_again_from_the_page(
    target: Target, locust: Locust, browser: Browser
) -> None:
    running = locust("--ui", "--host", target.url, duration_s=7)
    running.wait_until(running.answers)
    page = browser.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(running.url)

    press(page, "Start")
    wait_for_row(page, "/a", 20)
    press(page, "Stop")
    page.get_by_text("STOPPED").wait_for(timeout=PATIENCE_MS)
    running.wait_until(lambda: running.statistics()["state"] == "stopped")
    cut_short = sum(target.seen.values())
    assert 0 < cut_short < 280

    press(page, "New")
    press(page, "Start")
    # It ends by itself, with every arrival of the schedule.
    wait_for_row(page, "Aggregated", 280)
    page.get_by_text("STOPPED").wait_for(timeout=PATIENCE_MS)
    assert sum(target.seen.values()) == cut_short + 280
    page.get_by_role("tab", name="Charts").click()
    page.locator("canvas").first.wait_for(timeout=PATIENCE_MS)
    history = running.statistics()
    assert history["errors"] == []
    assert troubles == []
    page.close()
