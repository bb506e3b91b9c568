from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from surgeproof.load.arrivals.pchip import Pchip

# Scipy computes the same polynomials in another order of operations.
ROUNDING = 1e-9


@st.composite
def points(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    steps = draw(st.lists(st.floats(0.01, 100), min_size=2, max_size=12))
    values = draw(st.lists(st.floats(-1e3, 1e3), min_size=len(steps) + 1, max_size=len(steps) + 1))
    return np.concatenate([[0.0], np.cumsum(steps)]), np.round(np.array(values), 3)


@given(points())
def test_values_and_slopes_agree_with_scipy(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    ours, theirs = Pchip(x, y), PchipInterpolator(x, y)
    at = np.linspace(x[0], x[-1], 97)
    scale = max(1.0, float(np.abs(y).max()))
    steepest = max(1.0, float(np.abs(np.diff(y) / np.diff(x)).max()))
    np.testing.assert_allclose(ours.value(at), theirs(at), atol=ROUNDING * scale)
    np.testing.assert_allclose(
        ours.derivative(at), theirs.derivative()(at), atol=ROUNDING * steepest * 1e3
    )


@example([0.0, 5e-324, 1.0])
@given(st.lists(st.floats(0, 50), min_size=3, max_size=10))
def test_a_rising_curve_never_falls(rises: list[float]) -> None:
    curve = Pchip(np.arange(len(rises), dtype=float), np.cumsum(rises))
    values = curve.value(np.linspace(0, len(rises) - 1, 500))
    assert np.all(np.diff(values) >= -1e-9)


def test_steepest_is_not_under_any_slope_on_a_fine_grid() -> None:
    curve = Pchip(np.array([0.0, 1, 2, 4, 7]), np.array([0.0, 1, 5, 6, 20]))
    grid = np.linspace(0, 7, 200_001)
    assert curve.steepest(7) == pytest.approx(float(curve.derivative(grid).max()), rel=1e-6)
    early = grid[grid <= 1.3]
    assert curve.steepest(1.3) == pytest.approx(float(curve.derivative(early).max()), rel=1e-4)


@pytest.mark.parametrize(
    ("x", "y"),
    [([0, 1], [0, 1]), ([0, 1, 1], [0, 1, 2]), ([0, 1, 2], [0, 1])],
    ids=["two points only", "x stands still", "lengths differ"],
)
def test_points_that_make_no_curve_are_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="pchip needs"):
        Pchip(np.array(x, dtype=float), np.array(y, dtype=float))
