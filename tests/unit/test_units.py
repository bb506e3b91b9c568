"""Quantities are read with their units, and only with them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.errors import UsageError
from surgeproof.units import (
    format_duration,
    format_ratio,
    parse_duration,
    parse_rate,
    parse_ratio,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3),
        ("1.5s", 1.5),
        ("2m", 120),
        ("1m30s", 90),
        ("0s", 0),
        ("5d", 432000),
        ("7us", 7e-6),
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize("text", ["300", "", "ms", "3 parsecs", "-1s", "1s!", "s1"])
def test_what_is_no_duration_is_refused_with_the_units_accepted(text):
    with pytest.raises(UsageError, match="accepted: a number with one of us, ms"):
        parse_duration(text)


def test_a_bare_number_is_told_that_its_unit_is_missing():
    with pytest.raises(UsageError, match="'300' is no duration, the unit is missing"):
        parse_duration("300")


@pytest.mark.parametrize(
    ("text", "size"), [("64KB", 64000), ("64KiB", 65536), ("1.5MB", 1_500_000), ("0B", 0)]
)
def test_a_size_tells_thousands_from_binary(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "rate"), [("80/s", 80), ("600/m", 10), ("3600 / h", 1)])
def test_a_rate_is_read_per_second(text, rate):
    assert parse_rate(text) == pytest.approx(rate)


def test_percent_is_read_as_a_ratio():
    assert parse_ratio("0.1%") == pytest.approx(0.001)


@pytest.mark.parametrize("parse", [parse_size, parse_rate, parse_ratio])
@pytest.mark.parametrize("text", ["12", "", "x", "1 %%"])
def test_other_quantities_need_their_units_too(parse, text):
    with pytest.raises(UsageError, match="accepted"):
        parse(text)


@given(st.integers(min_value=0, max_value=10**8))
def test_a_printed_duration_reads_back_to_the_millisecond(milliseconds):
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=5e-4)


def test_quantities_print_short():
    assert [
        format_duration(0.3),
        format_duration(90),
        format_duration(0),
        format_ratio(0.0015),
    ] == [
        "300ms",
        "1m30s",
        "0s",
        "0.15%",
    ]
