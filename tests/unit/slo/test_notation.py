"""The notation of gates: what it means, what it refuses and where it says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.errors import UsageError
from surgeproof.model.plan import Gate, Selector
from surgeproof.slo.metrics import METRICS, unit_of
from surgeproof.slo.notation import parse_gate, print_gate


def gate(metric: str, stat: str, op: str, value: float, **more: object) -> Gate:
    labels = more.pop("labels", {})
    assert isinstance(labels, dict)
    made = replace(Gate("g", "", Selector(metric, labels), stat, op, value), **more)  # type: ignore[arg-type]
    return replace(made, expression=print_gate(made))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            'http.response_time{name="GET /v1/feed/home"}: p99 < 400ms during fault:redis-down',
            gate(
                "http.response_time",
                "p99",
                "<",
                0.4,
                labels={"name": "GET /v1/feed/home"},
                during="fault:redis-down",
            ),
            id="the example of the contract",
        ),
        pytest.param(
            "http.errors: rate < 0.1%", gate("http.errors", "rate", "<", 0.001), id="plain"
        ),
        pytest.param(
            "http.errors{tier=T0}: rate<1% during surge over 10s",
            gate(
                "http.errors", "rate", "<", 0.01, labels={"tier": "T0"}, during="surge", over_s=10.0
            ),
            id="bare value, no spaces around the operator, a rolling window",
        ),
        pytest.param(
            "http.response_time{route:/v1/posts}: p95 <= 1.5s for 5s each name",
            gate(
                "http.response_time",
                "p95",
                "<=",
                1.5,
                labels={"route": "/v1/posts"},
                for_s=5.0,
                each="name",
            ),
            id="a colon between label and value, a row of seconds, one result per name",
        ),
        pytest.param(
            'http.response_time{name="GET /v1/posts/{id}", method=GET}: p(99.9) < 2s',
            gate(
                "http.response_time",
                "p99.9",
                "<",
                2.0,
                labels={"name": "GET /v1/posts/{id}", "method": "GET"},
            ),
            id="braces in quotes, two labels, a bracketed quantile",
        ),
        pytest.param(
            "http.wrong: count == 0", gate("http.wrong", "count", "==", 0.0), id="a count"
        ),
        pytest.param(
            "http.throughput: rate > 600/m", gate("http.throughput", "rate", ">", 10.0), id="a rate"
        ),
        pytest.param(
            "recovery.time{fault=pg-slow}: max < 20s",
            gate("recovery.time", "max", "<", 20.0, labels={"fault": "pg-slow"}),
            id="a recovery",
        ),
        pytest.param(
            "ledger.lost == 0",
            gate("ledger.lost", "count", "==", 0.0),
            id="the only statistic left out",
        ),
        pytest.param(
            "http.errors: rate < 50% over 20s during surge",
            gate("http.errors", "rate", "<", 0.5, during="surge", over_s=20.0),
            id="clauses in any order",
        ),
    ],
)
def test_gate_means(text: str, expected: Gate) -> None:
    assert parse_gate(text, id="g") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "a metric is expected, the text ends", id="empty"),
        pytest.param(
            "http.responsetime: p99 < 1s", "did you mean 'http.response_time'", id="metric"
        ),
        pytest.param("http.errors{tire=T0}: rate < 1%", "did you mean 'tier'", id="label"),
        pytest.param("http.errors{tier=T0 rate < 1%", "',' or '}' is expected", id="open brace"),
        pytest.param("http.errors{name=GET /x}: rate < 1%", "is quoted", id="space without quotes"),
        pytest.param(
            "http.errors{tier=T0, tier=T1}: rate < 1%", "is there twice", id="label twice"
        ),
        pytest.param("http.errors: rat < 1%", "did you mean 'rate'", id="statistic"),
        pytest.param(
            "http.errors: p99 < 1%", "unknown statistic of http.errors", id="no quantiles"
        ),
        pytest.param("http.response_time: p0 < 1s", "no quantile 'p0'", id="quantile zero"),
        pytest.param("http.response_time: p100 < 1s", "no quantile 'p100'", id="quantile hundred"),
        pytest.param("http.response_time: p99 = 1s", "unknown operator '='", id="operator"),
        pytest.param("http.response_time: p99 == 1s", "'==' is for counts", id="equal times"),
        pytest.param(
            "http.response_time: p99 < 300", "the unit is missing", id="time without unit"
        ),
        pytest.param("http.errors: rate < 0.1", "the unit is missing", id="share without %"),
        pytest.param("http.errors: rate < 1s", "accepted: a number with %", id="share in seconds"),
        pytest.param("http.errors: rate < 101%", "accepted: 0% to 100%", id="more than all"),
        pytest.param("http.wrong: count == 0.5", "accepted: a whole number", id="half a count"),
        pytest.param("http.wrong: count == -1", "accepted: a whole number", id="negative count"),
        pytest.param("http.errors: rate < 1% durin surge", "did you mean 'during'", id="clause"),
        pytest.param("http.errors: rate < 1% during", "the text ends", id="clause without span"),
        pytest.param("http.errors: rate < 1% during falt:x", "no span 'falt:x'", id="span"),
        pytest.param("http.errors: rate < 1% over 1s for 1s", "once at most", id="over and for"),
        pytest.param(
            "http.errors: rate < 1% over 500ms", "whole number of seconds", id="half a second"
        ),
        pytest.param("http.errors: rate < 1% each outcome", "unknown label", id="each outcome"),
        pytest.param("recovery.time: max < 9s during surge", "no during", id="no time axis"),
    ],
)
def test_gate_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_gate(text, id="g")
    assert message in str(caught.value)
    assert "at sign " in str(caught.value)


def test_refusal_points_at_the_sign_that_is_wrong() -> None:
    with pytest.raises(UsageError, match=r"at sign 14 of"):
        parse_gate("http.errors: rat < 1%", id="g")


_NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
_TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters='"'))


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    metric = METRICS[draw(st.sampled_from(sorted(METRICS)))]
    quantiles = ["p50", "p95", "p99", "p99.9", "p99.99"]
    stats = [s for known in metric.stats for s in (quantiles if known == "p(N)" else [known])]
    stat = draw(st.sampled_from(stats))
    unit = unit_of(metric.name, stat)
    value = {
        "s": st.floats(0, 1e5, allow_nan=False),
        "ratio": st.floats(0, 1, allow_nan=False),
        "per_s": st.floats(0, 1e6, allow_nan=False),
        "count": st.integers(0, 10**9).map(float),
    }[unit]
    ops = ["<", "<=", ">", ">=", *(["=="] if stat == "count" else [])]
    labels = draw(st.dictionaries(st.sampled_from(metric.labels), _TEXTS, max_size=3))
    spans = st.one_of(_NAMES, _NAMES.map("fault:{}".format), _NAMES.map("recovery:{}".format))
    length = st.integers(1, 600).map(float)
    lasting = draw(st.sampled_from(["over_s", "for_s", None])) if metric.has_time else None
    each = [label for label in metric.labels if label != "outcome"]
    return gate(
        metric.name,
        stat,
        draw(st.sampled_from(ops)),
        draw(value),
        labels=labels,
        during=draw(st.none() | spans) if metric.has_time else None,
        each=draw(st.none() | st.sampled_from(each)),
        **({lasting: draw(length)} if lasting else {}),
    )


@given(gates())
def test_a_printed_gate_reads_back_as_the_same_gate(made: Gate) -> None:
    assert parse_gate(print_gate(made), id="g") == made
