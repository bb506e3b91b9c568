"""Numbers in print."""

from __future__ import annotations

import pytest

from surgeproof.report.wording import (
    NOTHING,
    clip,
    delta_text,
    plain,
    quantity_text,
    ratio_text,
    seconds_text,
    span_text,
)


def spaced(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value_s", "expected"),
    [
        pytest.param(0.412, "412 ms", id="below a second is ms"),
        pytest.param(1.2345, "1.23 s", id="a second and more is s"),
        pytest.param(0.0, "0 ms", id="zero"),
        pytest.param(0.00042, "0.42 ms", id="fractions of a ms"),
        pytest.param(3600.0, "3,600 s", id="long ones have thousands"),
        pytest.param(None, NOTHING, id="no data is a dash and never zero"),
        pytest.param(float("inf"), NOTHING, id="endless is a dash"),
    ],
)
def test_durations_are_written_in_ms_or_s(value_s: float | None, expected: str) -> None:
    assert spaced(seconds_text(value_s)) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        pytest.param(0.0021, "0.21 %", id="plain"),
        pytest.param(0.0, "0 %", id="none"),
        pytest.param(0.00001, "< 0.01 %", id="almost none is not none"),
        pytest.param(1.0, "100 %", id="all"),
        pytest.param(0.999_97, "99.997 %", id="almost all is not all"),
        pytest.param(0.999_999_9, "99.999 %", id="one in ten million missing is not all"),
        pytest.param(None, NOTHING, id="no data"),
    ],
)
def test_ratios_are_percent_and_never_rounded_to_all_or_none(
    ratio: float | None, expected: str
) -> None:
    assert spaced(ratio_text(ratio)) == expected


def test_changes_carry_their_sign() -> None:
    changes = [spaced(delta_text(change)) for change in (0.31, -0.05, 0.0001, None)]
    assert changes == ["+310 ms", "\N{MINUS SIGN}50 ms", "±0 ms", NOTHING]


def test_how_long_something_took_is_in_the_largest_two_units() -> None:
    assert [spaced(span_text(s)) for s in (48.4, 128, 3900)] == ["48 s", "2 min 08 s", "1 h 05 min"]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.25, "s", "250 ms"),
        (0.25, "ratio", "25 %"),
        (71.25, "per_s", "71.2/s"),
        (6120.0, "count", "6,120"),
        (0.25, "", "0.25"),
    ],
)
def test_a_gates_value_is_written_in_its_own_unit(value: float, unit: str, expected: str) -> None:
    assert spaced(quantity_text(value, unit)) == expected


def test_a_strangers_name_cannot_turn_the_line_or_break_it() -> None:
    assert plain("GET\n/a\x00\N{RIGHT-TO-LEFT OVERRIDE}b\x1b[31m") == "GET /ab[31m"
    assert clip("GET /v1/users/{handle}", 10) == "GET /v1/u…"
