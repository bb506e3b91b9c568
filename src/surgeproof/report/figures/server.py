"""Server-side metrics over the run, one small panel for each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from surgeproof.report.figures.style import (
    BLUE,
    INK,
    MUTED,
    PURPLE,
    RED,
    YELLOW,
    chart_style,
    draw_bands,
    label_ends,
    time_axis,
    to_svg,
)
from surgeproof.report.run import Run, ServerChart, ServerSeries
from surgeproof.report.wording import clip

__all__ = ["draw_server"]

_COLUMNS = 2
_PANEL_IN = 2.1
_COLOURS = (BLUE, RED, YELLOW, PURPLE, INK, MUTED)
_DASHES = ("solid", (0, (4, 1.5)), (0, (1.2, 1.2)))
_MOST_SERIES = 6
# A scrape that is this many usual intervals late is a gap, which no line crosses.
_GAP_INTERVALS = 2.5
_MOST_POINTS = 150
_UNITS = {"per_s": "per second", "seconds": "seconds", "state": "", "level": "", "count": ""}

Floats = NDArray[np.float64]


def draw_server(run: Run, charts: Sequence[ServerChart], title: str) -> str:
    """Return the charts as one SVG; there must be one."""
    rows = math.ceil(len(charts) / _COLUMNS)
    height_in = rows * _PANEL_IN + 0.6
    bands = [window for fault in run.faults if (window := run.fault_window(fault)) is not None]
    with chart_style():
        figure = Figure(figsize=(15.0, height_in))
        grid = figure.add_gridspec(
            rows,
            _COLUMNS,
            left=0.05,
            right=0.84,
            top=1 - 0.32 / height_in,
            bottom=0.58 / height_in,
            wspace=0.5,
            hspace=0.34,
        )
        for index, chart in enumerate(charts):
            row, column = divmod(index, _COLUMNS)
            axes = figure.add_subplot(grid[row, column])
            draw_bands(axes, bands)
            time_axis(axes, run.end_s, labelled=index + _COLUMNS >= len(charts))
            shown = _shown(chart)
            axes.set_title(_title(chart, len(shown)), loc="left", fontsize=11.5, color=INK, pad=5)
            _draw_series(axes, shown, _step(run.end_s))
        description = "One panel for each server-side metric over the seconds of the run."
        return to_svg(figure, "server", title, description)


def _shown(chart: ServerChart) -> list[ServerSeries]:
    """Return the series with the highest peaks, in their own order."""
    filled = [series for series in chart.series if series.points]
    peaks = sorted(filled, key=lambda series: -max(value for _, value in series.points))
    return [series for series in filled if series in peaks[:_MOST_SERIES]]


def _title(chart: ServerChart, shown: int) -> str:
    unit = _UNITS.get(chart.unit, chart.unit)
    text = f"{clip(chart.title, 54)}, {unit}" if unit else clip(chart.title, 60)
    filled = sum(1 for series in chart.series if series.points)
    return f"{text} · highest {shown} of {filled}" if filled > shown else text


def _step(end_s: float) -> float:
    return max(end_s / _MOST_POINTS, 1e-9)


def _draw_series(axes: Axes, shown: Sequence[ServerSeries], step_s: float) -> None:
    labels = []
    lowest, highest = 0.0, 0.0
    for index, series in enumerate(shown):
        colour = _COLOURS[index % len(_COLOURS)]
        points = _thinned(np.array(sorted(series.points), dtype=np.float64), step_s)
        axes.plot(
            points[:, 0],
            points[:, 1],
            color=colour,
            linestyle=_DASHES[index % len(_DASHES)],
            linewidth=1.5,
            marker="." if len(points) == 1 else None,
        )
        lowest = min(lowest, float(np.nanmin(points[:, 1])))
        highest = max(highest, float(np.nanmax(points[:, 1])))
        labels.append((float(points[-1, 1]), clip(series.label, 22), colour))
    if not labels:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=MUTED)
        return
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylim(lowest, highest * 1.1 if highest > lowest else lowest + 1)
    label_ends(axes, labels, gap=0.155)


def _thinned(points: Floats, step_s: float) -> Floats:
    """Return the highest point of each step, with a NaN row where a scrape was late or missed."""
    steps = np.diff(points[:, 0])
    usual_s = max(float(np.median(steps)) if len(steps) else 0.0, step_s)
    keys = np.floor(points[:, 0] / step_s)
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    ends = np.append(starts[1:], len(points))
    kept = np.array(
        [
            points[first + int(np.argmax(points[first:last, 1]))]
            for first, last in zip(starts, ends, strict=True)
        ]
    )
    late = np.flatnonzero(np.diff(kept[:, 0]) > _GAP_INTERVALS * usual_s) + 1
    return np.insert(kept, late, np.nan, axis=0)
