from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.observe.history import History
from surgeproof.observe.scrape import SCRAPES_FILE, Scraper, read_scrapes


class _FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def utc_now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, duration_s: float) -> None:
        self.now += duration_s


class _Pages:
    """Answers scrapes from a list; an exception in it is raised."""

    def __init__(self, *pages: str | EnvironmentNotReadyError) -> None:
        self._pages = list(pages)

    def __call__(self, url: str, deadline_s: float) -> str:
        page = self._pages.pop(0)
        if isinstance(page, EnvironmentNotReadyError):
            raise page
        return page


def _scraped(folder: Path, *pages: str | EnvironmentNotReadyError) -> Scraper:
    """Scrape process ``graph`` once a second, from t_s = 1 on."""
    clock = _FakeClock()
    scraper = Scraper(
        {"graph": "http://x/metrics"}, folder, clock=clock, t0=100.0, fetch=_Pages(*pages)
    )
    for _ in pages:
        clock.sleep(1.0)
        scraper.scrape_once("graph")
    scraper.stop()
    return scraper


def _tracks(history: History, name: str) -> dict[str, list[tuple[float, float]]]:
    return {
        key.label("edge"): list(zip(track.times_s, track.values, strict=True))
        for key, track in history.select(name)
    }


def test_scrapes_are_kept_on_the_axis_of_the_run(tmp_path: Path) -> None:
    scraper = _scraped(tmp_path, 'app_x_total{edge="a"} 1\n', 'app_x_total{edge="a"} 4\n')
    assert _tracks(scraper.history, "app_x_total") == {"a": [(1.0, 1.0), (2.0, 4.0)]}


def test_the_journal_reads_back_as_the_history_that_was_kept(tmp_path: Path) -> None:
    scraper = _scraped(
        tmp_path,
        'app_x_total{edge="a"} 1\napp_g 5\nother 1\n',
        'app_x_total{edge="a"} 1\napp_g 6\napp_x_total{edge="b"} 2\n',
        EnvironmentNotReadyError("refused"),
        'app_x_total{edge="a"} 3\napp_x_total{edge="b"} 2\n',
    )
    read = read_scrapes(tmp_path / SCRAPES_FILE)
    for name in ("app_x_total", "app_g", "other"):
        assert _tracks(read, name) == _tracks(scraper.history, name)
    assert _tracks(read, "app_x_total")["b"] == [(1.0, 0.0), (2.0, 2.0), (4.0, 2.0)]
    assert _tracks(read, "app_g")[""] == [(1.0, 5.0), (2.0, 6.0)]


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    _scraped(tmp_path, "app_a 1\napp_b 2\n", "app_a 1\napp_b 3\n")
    lines = [json.loads(line) for line in (tmp_path / SCRAPES_FILE).read_text().splitlines()]
    assert [line["values"] for line in lines if "values" in line] == [{"0": 1, "1": 2}, {"1": 3}]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(EnvironmentNotReadyError("timed out"), id="no answer"),
        pytest.param("<html>", id="not the format"),
    ],
)
def test_a_failed_scrape_is_a_gap_with_its_reason(
    tmp_path: Path, page: str | EnvironmentNotReadyError
) -> None:
    scraper = _scraped(tmp_path, "app_a 1\n", page, "app_a 1\n")
    assert (scraper.failures, scraper.pages) == ({"graph": 1}, {"graph": 2})
    assert _tracks(scraper.history, "app_a")[""] == [(1.0, 1.0), (3.0, 1.0)]
    errors = [
        line for line in (tmp_path / SCRAPES_FILE).read_text().splitlines() if "error" in line
    ]
    assert len(errors) == 1


def test_a_line_cut_by_a_crash_is_left_out(tmp_path: Path) -> None:
    _scraped(tmp_path, "app_a 1\n", "app_a 2\n")
    path = tmp_path / SCRAPES_FILE
    path.write_text(path.read_text()[:-5])
    assert _tracks(read_scrapes(path), "app_a")[""] == [(1.0, 1.0)]


def test_values_that_json_cannot_hold_are_left_out_of_the_journal(tmp_path: Path) -> None:
    _scraped(tmp_path, "app_a NaN\napp_b 1\n")
    assert "NaN" not in (tmp_path / SCRAPES_FILE).read_text()
    assert _tracks(read_scrapes(tmp_path / SCRAPES_FILE), "app_b")[""] == [(1.0, 1.0)]
