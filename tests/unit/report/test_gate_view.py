"""Gates as the report shows them."""

from __future__ import annotations

import pytest

from surgeproof.model.plan import Window
from surgeproof.model.result import GateResult
from surgeproof.model.words import Status
from surgeproof.report.gate_view import GateView, failures_first


def view(
    expression: str,
    value: float | None = None,
    limit: float = 0.0,
    status: Status = Status.PASS,
    gate_id: str = "gate",
    label: str = "",
) -> GateView:
    window = Window("run", 0.0, 10.0)
    return GateView.of(
        GateResult(gate_id, expression, status, value, limit, 10, window, "", label=label)
    )


@pytest.mark.parametrize(
    ("expression", "value", "limit", "margin"),
    [
        pytest.param("http.response_time: p99 < 400ms", 0.3, 0.4, 0.25, id="a quarter to spare"),
        pytest.param("http.response_time: p99 < 400ms", 0.6, 0.4, -0.5, id="over by half"),
        pytest.param("goodput: rate > 50/s", 75.0, 50.0, 0.5, id="a floor"),
        pytest.param("yield: rate >= 99%", 0.9975, 0.99, 0.75, id="a share's floor allows 1 %"),
        pytest.param("ledger.lost == 0", 0.0, 0.0, None, id="an equality has no margin"),
        pytest.param("http.response_time: p99 < 400ms", None, 0.4, None, id="no value, no margin"),
        pytest.param("a notation of tomorrow", 1.0, 2.0, None, id="unknown notation"),
    ],
)
def test_the_margin_is_a_share_of_what_the_limit_allows(
    expression: str, value: float | None, limit: float, margin: float | None
) -> None:
    found = view(expression, value, limit).margin
    assert found == (None if margin is None else pytest.approx(margin))


def test_failures_come_first_then_what_could_not_be_judged_then_the_thinnest_margin() -> None:
    text = "http.response_time: p99 < 400ms"
    gates = [
        view(text, 0.1, 0.4, gate_id="easy"),
        view(text, 0.39, 0.4, gate_id="thin"),
        view(text, None, 0.4, Status.NO_DATA, "silent"),
        view(text, 0.5, 0.4, Status.INCONCLUSIVE, "few"),
        view(text, 0.5, 0.4, Status.FAIL, "over"),
        view(text, 0.9, 0.4, Status.FAIL, "far-over"),
    ]
    names = [gate.name for gate in failures_first(gates)]
    assert names == ["far-over", "over", "silent", "few", "thin", "easy"]


def test_an_objective_is_a_floor_on_a_share() -> None:
    gate = view("latency <= 300ms", 0.985, 0.99, Status.FAIL, "slo:feed-fast")
    assert gate.limit_text == ">= 99\N{NO-BREAK SPACE}%"
    assert gate.margin == pytest.approx(-0.5)


def test_a_notation_that_is_not_known_is_shown_without_a_unit() -> None:
    gate = view("new.metric: shine > 3", 2.5, 3.0)
    assert (gate.op, gate.unit, gate.value_text) == ("", "", "2.5")


def test_a_gate_for_each_endpoint_is_told_apart_by_its_label() -> None:
    gate = view("http.response_time: p95 < 1s each name", 0.2, 1.0, label="GET /a")
    assert (gate.name, gate.subject) == ("gate [GET /a]", "GET /a")


def test_a_fault_that_never_was_still_names_the_gates_window() -> None:
    result = GateResult(
        "g", "http.errors: rate < 1% during fault:x", Status.NO_DATA, None, 0.01, 0, None, ""
    )
    assert GateView.of(result).where == "fault:x"
