from __future__ import annotations

import math

import pytest

from surgeproof.observe.exposition import Exposition
from surgeproof.observe.expressions import Latest, Quantile, Rate, evaluate, histogram_quantile
from surgeproof.observe.history import History


def _history(*pages: tuple[str, float, str]) -> History:
    history = History()
    for process, t_s, text in pages:
        history.add_page(process, t_s, Exposition().read(text))
    return history


def test_a_rate_is_the_increase_per_second_summed_over_the_other_labels() -> None:
    pages = [
        (
            "graph",
            float(t),
            (
                f'app_x_total{{edge="e",outcome="ok"}} {t * 6}\n'
                f'app_x_total{{edge="e",outcome="error"}} {t * 2}\n'
            ),
        )
        for t in range(6)
    ]
    found = Rate("app_x_total", ("edge",)).at(_history(*pages), 5.0, 5.0)
    assert found == {("e",): pytest.approx(8.0)}


def test_a_rate_can_leave_out_a_label_value_and_pick_another() -> None:
    pages = [
        (
            "p",
            float(t),
            (
                f'app_x_total{{s="a",o="ok"}} {t}\napp_x_total{{s="a",o="bad"}} {t * 3}\n'
                f'app_x_total{{s="b",o="bad"}} {t * 50}\n'
            ),
        )
        for t in range(4)
    ]
    rate = Rate("app_x_total", ("o",), where={"s": "a"}, excluded={"o": "ok"})
    assert rate.at(_history(*pages), 3.0, 5.0) == {("bad",): pytest.approx(3.0)}


def test_a_rate_with_one_reading_in_its_range_is_a_gap_and_not_zero() -> None:
    history = _history(("p", 1.0, "app_x_total 5\n"), ("p", 20.0, "app_x_total 9\n"))
    assert Rate("app_x_total", ()).at(history, 20.0, 5.0) == {}


def test_a_gauge_takes_the_last_value_and_combines_processes() -> None:
    pages = (("a", 1.0, "app_g 4\n"), ("a", 2.0, "app_g 1\n"), ("b", 2.0, "app_g 3\n"))
    history = _history(*pages)
    assert Latest("app_g", (), combine="max").at(history, 2.5, 5.0) == {(): 3.0}
    assert Latest("app_g", (), combine="sum").at(history, 2.5, 5.0) == {(): 4.0}


def test_a_gauge_of_a_process_that_is_no_longer_scraped_is_a_gap() -> None:
    history = _history(("a", 1.0, "app_g 4\n"))
    assert Latest("app_g", ()).at(history, 4.5, 5.0) == {}


@pytest.mark.parametrize(
    ("quantile", "buckets", "expected"),
    [
        pytest.param(
            0.5, {0.1: 50, 0.2: 100, math.inf: 100}, 0.1, id="the median is the first bound"
        ),
        pytest.param(
            0.99, {0.1: 50, 0.2: 100, math.inf: 100}, 0.198, id="linear within: 0.1 + 0.1 * 49/50"
        ),
        pytest.param(0.25, {0.1: 50, 0.2: 100, math.inf: 100}, 0.05, id="first bucket from zero"),
        pytest.param(0.99, {0.1: 10, math.inf: 100}, 0.1, id="in +Inf: the highest finite bound"),
        pytest.param(0.5, {0.1: 0, 0.2: 8, math.inf: 8}, 0.15, id="an empty first bucket"),
        pytest.param(0.5, {0.1: 0, math.inf: 0}, None, id="nothing observed"),
        pytest.param(0.5, {math.inf: 5}, None, id="no finite bound"),
        pytest.param(0.5, {0.1: 5, 0.2: 9}, None, id="no +Inf bucket"),
    ],
)
def test_histogram_quantile_follows_the_documented_formula(
    quantile: float, buckets: dict[float, float], expected: float | None
) -> None:
    found = histogram_quantile(quantile, buckets)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_quantile_merges_the_buckets_of_all_processes_before_it_estimates() -> None:
    def page(process: str, fast: int, slow: int, t: int) -> tuple[str, float, str]:
        return (
            process,
            float(t),
            (
                f'app_d_seconds_bucket{{service="s",le="0.1"}} {fast * t}\n'
                f'app_d_seconds_bucket{{service="s",le="1.0"}} {(fast + slow) * t}\n'
                f'app_d_seconds_bucket{{service="s",le="+Inf"}} {(fast + slow) * t}\n'
            ),
        )

    pages = [page("p1", 90, 0, t) for t in range(3)] + [page("p2", 0, 10, t) for t in range(3)]
    # 100 a second, 90 of them below 0.1: p95 lies half way through (0.1, 1.0].
    found = Quantile("app_d_seconds", 0.95, ("service",)).at(_history(*pages), 2.0, 5.0)
    assert found == {("s",): pytest.approx(0.55)}


def test_a_series_has_points_only_where_there_is_data() -> None:
    pages = [("p", t, f"app_x_total {t}\n") for t in (0.0, 1.0, 2.0, 9.0, 10.0)]
    (series,) = evaluate(Rate("app_x_total", ()), _history(*pages), [2.0, 8.0, 10.0], 3.0)
    assert series.points == ((2.0, 1.0), (10.0, 1.0))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (
            Rate("app_x_total", ("a", "b"), where={"s": "g"}, excluded={"o": "ok"}),
            'sum by (a, b) (rate(app_x_total{s="g", o!="ok"}[5s]))',
        ),
        (
            Quantile("app_d_seconds", 0.99, ("service",)),
            "histogram_quantile(0.99, sum by (service, le) (rate(app_d_seconds_bucket[5s])))",
        ),
        (Latest("app_g", ("edge",), combine="max"), "max by (edge) (app_g)"),
    ],
)
def test_promql_says_the_same_as_the_own_reading(
    expression: Rate | Quantile | Latest, expected: str
) -> None:
    assert expression.promql("5s") == expected
