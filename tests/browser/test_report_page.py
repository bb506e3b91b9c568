"""The report as a person opens it: from a file, in a real browser, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# WCAG 2 AA for text.
LEAST_CONTRAST = 4.5
NARROW, WIDE = 420, 1280
Theme = Literal["light", "dark"]

# For every element with text of its own: the contrast of its colour with what lies behind it.
_CONTRASTS = """() => {
  const channel = (value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([red, green, blue]) =>
    0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const isText = element.namespaceURI.endsWith('svg');
    if (isText && element.tagName !== 'text') continue;
    const front = luminance(parse(isText ? style.fill : style.color));
    const back = luminance(behind(element));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    found.push([ratio, element.textContent.trim().slice(0, 60)]);
  }
  return found;
}"""


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> Theme:
    return "dark" if request.param == "dark" else "light"


@pytest.fixture
def messages() -> list[str]:
    """What the page complained about."""
    return []


@pytest.fixture
def page(browser: Browser, theme: Theme, messages: list[str]) -> Iterator[Page]:
    context = browser.new_context(color_scheme=theme, viewport={"width": WIDE, "height": 900})
    opened = context.new_page()
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("pageerror", lambda error: messages.append(str(error)))
    opened.on("requestfailed", lambda request: messages.append(request.url))
    yield opened
    context.close()


def open_page(page: Page, path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())


@pytest.mark.parametrize(
    ("name", "words"),
    [("nogo", "NO-GO"), ("go", "GO"), ("killed", "NO VERDICT"), ("empty", "NO VERDICT")],
)
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_the_verdict_is_in_sight_and_nothing_is_complained_about(
    page: Page,
    report_pages: dict[str, Path],
    messages: list[str],
    name: str,
    words: str,
    width: int,
) -> None:
    open_page(page, report_pages[name], width)
    badge = page.locator(".badge")
    box = badge.bounding_box()
    assert words in badge.inner_text()
    assert box is not None
    assert box["y"] + box["height"] < 300
    assert messages == []


@pytest.mark.parametrize("name", ["nogo", "killed", "empty"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_the_page_itself_never_scrolls_sideways(
    page: Page, report_pages: dict[str, Path], name: str, width: int
) -> None:
    open_page(page, report_pages[name], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_of_page_and_charts_can_be_read_in_both_themes(
    page: Page, report_pages: dict[str, Path]
) -> None:
    open_page(page, report_pages["nogo"], WIDE)
    contrasts = page.evaluate(_CONTRASTS)
    assert len(contrasts) > 200
    assert [found for found in contrasts if found[0] < LEAST_CONTRAST] == []


def test_no_label_of_a_chart_is_cut_off_at_its_edge(
    page: Page, report_pages: dict[str, Path]
) -> None:
    open_page(page, report_pages["nogo"], WIDE)
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg.chart')].flatMap((chart) => {
          const box = chart.getBoundingClientRect();
          return [...chart.querySelectorAll('text')].filter((text) => {
            const own = text.getBoundingClientRect();
            return own.left < box.left - 1 || own.right > box.right + 1
              || own.top < box.top - 1 || own.bottom > box.bottom + 1;
          }).map((text) => text.textContent);
        })"""
    )
    assert outside == []


def test_everything_is_there_without_javascript(
    browser: Browser, report_pages: dict[str, Path]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report_pages["nogo"].as_uri())
    for section in ("timeline", "gates", "endpoints", "heatmap", "server"):
        assert page.locator(f"#{section}").is_visible()
    assert page.locator("#timeline svg.chart").is_visible()
    page.locator("#timeline summary").click()
    assert page.locator("#timeline table").is_visible()
    context.close()


def test_a_chip_leads_to_its_gate(page: Page, report_pages: dict[str, Path]) -> None:
    open_page(page, report_pages["nogo"], WIDE)
    page.locator(".strip a").first.click()
    target = page.locator("tr:target")
    assert "feed-p99-redis" in target.inner_text()
    assert target.bounding_box() is not None


def test_a_light_and_a_dark_page_differ(browser: Browser, report_pages: dict[str, Path]) -> None:
    colours = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
        page = context.new_page()
        page.goto(report_pages["go"].as_uri())
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert colours[0] != colours[1]
