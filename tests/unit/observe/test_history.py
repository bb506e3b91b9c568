from __future__ import annotations

import pytest

from surgeproof.model.plan import Window
from surgeproof.observe.exposition import Reading, SeriesKey
from surgeproof.observe.history import History, increase


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1.0, 4.0, 9.0], 8.0, id="a rising counter"),
        pytest.param([5.0, 5.0], 0.0, id="nothing happened"),
        pytest.param([10.0, 12.0, 3.0, 4.0], 6.0, id="a restart in between: 2 + 3 + 1"),
        pytest.param([7.0], None, id="one reading says nothing"),
        pytest.param([], None, id="no reading says nothing"),
    ],
)
def test_increase_counts_restarts_from_zero(values: list[float], expected: float | None) -> None:
    assert increase(values) == expected


def _page(name: str, value: float, **labels: str) -> list[Reading]:
    return [Reading(SeriesKey(name, tuple(sorted(labels.items()))), value)]


def test_a_counter_new_on_a_known_process_began_at_zero() -> None:
    history = History()
    history.add_page("graph", 1.0, _page("app_up", 1))
    history.add_page("graph", 2.0, _page("app_errors_total", 3, kind="timeout"))
    ((key, risen),) = history.increases("app_errors_total", Window("w", 0, 5), {"kind": "timeout"})
    assert risen == 3
    assert key.label("process") == "graph"


def test_a_counter_on_a_first_page_has_no_increase_yet() -> None:
    history = History()
    history.add_page("graph", 1.0, _page("app_errors_total", 300))
    assert history.increases("app_errors_total", Window("w", 0, 5), {}) == []


def test_a_gauge_new_on_a_known_process_is_not_given_a_zero() -> None:
    history = History()
    history.add_page("graph", 1.0, _page("app_up", 1))
    history.add_page("graph", 2.0, _page("app_outbox_pending", 3))
    ((_, track),) = history.select("app_outbox_pending")
    assert track.values == [3.0]


def test_a_window_counts_from_the_last_reading_before_it_and_not_what_follows() -> None:
    history = History()
    for t_s, value in ((0.0, 0), (9.5, 10), (10.5, 16), (11.5, 30), (12.5, 90)):
        history.add_page("graph", t_s, _page("app_calls_total", value, edge="graph-pg"))
    ((_, risen),) = history.increases("app_calls_total", Window("f", 10.0, 12.0), {})
    assert risen == 20  # 30 at 11.5 less 10 at 9.5


def test_processes_with_the_same_series_are_kept_apart() -> None:
    history = History()
    for t_s in (1.0, 2.0):
        history.add_page("gateway-1", t_s, _page("app_calls_total", t_s))
        history.add_page("gateway-2", t_s, _page("app_calls_total", 10 * t_s))
    found = history.increases("app_calls_total", Window("w", 0, 5), {})
    assert sorted((key.label("process"), risen) for key, risen in found) == [
        ("gateway-1", 1.0),
        ("gateway-2", 10.0),
    ]
