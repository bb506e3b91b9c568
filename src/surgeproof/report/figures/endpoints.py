"""Every request as a dot, one panel for each endpoint, with the limits that gates set it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from surgeproof.model.plan import Window
from surgeproof.model.samples import Samples
from surgeproof.model.words import Outcome
from surgeproof.report.figures.style import (
    INK,
    MUTED,
    chart_style,
    draw_bands,
    seconds_axis,
    time_axis,
    to_svg,
)
from surgeproof.report.run import Run
from surgeproof.report.wording import clip

__all__ = ["MOST_PANELS", "OUTCOME_COLOURS", "draw_endpoints"]

MOST_PANELS = 12
_PANEL_IN = 2.05
_DPI = 100
_DENSE = 300
# Dots become a picture, which knows no CSS: these tones are readable on light and dark pages.
OUTCOME_COLOURS: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.FULL: "#2a86c7",
        Outcome.DEGRADED: "#c98a00",
        Outcome.SHED: "#c267a2",
        Outcome.ERROR: "#dd5a1b",
        Outcome.WRONG: "#dd5a1b",
    }
)
_MARKERS = {Outcome.FULL: "o", Outcome.DEGRADED: "s", Outcome.SHED: "v"}
_SIZES = {Outcome.FULL: 3.2, Outcome.DEGRADED: 4.5, Outcome.SHED: 9.0}


def draw_endpoints(run: Run, names: Sequence[str], title: str) -> str:
    """Return the chart as SVG for at most `MOST_PANELS` endpoints; there must be one."""
    names = tuple(names)[:MOST_PANELS]
    columns = _columns(len(names))
    rows = math.ceil(len(names) / columns)
    height_in = rows * _PANEL_IN + 0.55
    bands = [window for fault in run.faults if (window := run.fault_window(fault)) is not None]
    answered = run.samples.take(~np.isnan(run.samples.end_s))
    low_s, high_s = _span(answered.response_time_s, _limits(run))
    with chart_style():
        figure = Figure(figsize=(15.0, height_in), dpi=_DPI)
        grid = figure.add_gridspec(
            rows,
            columns,
            left=0.05,
            right=0.995,
            top=1 - 0.3 / height_in,
            bottom=0.55 / height_in,
            wspace=0.06,
            hspace=0.26,
        )
        for index, name in enumerate(names):
            row, column = divmod(index, columns)
            axes = figure.add_subplot(grid[row, column])
            draw_bands(axes, bands)
            seconds_axis(axes, low_s, high_s, most_ticks=4)
            axes.tick_params(axis="y", labelleft=column == 0)
            # The lowest panel of each column carries the time axis.
            time_axis(axes, run.end_s, labelled=index + columns >= len(names))
            axes.set_title(clip(name, 150 // columns), loc="left", fontsize=11.5, color=INK, pad=5)
            _draw_dots(axes, answered.take(answered.name.equal(name)))
            _draw_limits(axes, run, name)
        description = (
            "One panel for each endpoint: each dot is a request at its intended start and response "
            "time on a logarithmic scale, coloured by outcome; dashed lines are gate limits."
        )
        return to_svg(figure, "endpoints", title, description)


def _columns(count: int) -> int:
    """Return three or four columns, whichever leaves fewer places empty."""
    if count <= 3:
        return count
    return min((3, 4), key=lambda columns: (-count % columns, columns))


def _draw_dots(axes: Axes, samples: Samples) -> None:
    if not len(samples):
        axes.text(0.5, 0.5, "no answers", transform=axes.transAxes, ha="center", color=MUTED)
        return
    times_s = np.maximum(samples.response_time_s, 1e-4)
    # A handful of dots may be larger; thousands would run into one another.
    grown = min(max(_DENSE / len(samples), 1.0), 3.0)
    for outcome, colour in OUTCOME_COLOURS.items():
        mask = samples.outcome.equal(outcome)
        if mask.any():
            axes.scatter(
                samples.intended_s[mask],
                times_s[mask],
                s=_SIZES.get(outcome, 13.0) * grown,
                marker=_MARKERS.get(outcome, "x"),
                color=colour,
                linewidths=0.9 if outcome not in _MARKERS else 0,
                alpha=0.75,
                rasterized=True,
            )


def _draw_limits(axes: Axes, run: Run, name: str) -> None:
    for gate in run.result.gates if run.result else ():
        if gate.draws_limit and gate.subject == name:
            window = gate.result.window or Window("run", 0.0, run.end_s)
            limit = gate.result.limit
            axes.plot(
                [window.start_s, window.end_s],
                [limit, limit],
                color=INK,
                linewidth=1.5,
                linestyle=(0, (4, 2)),
            )
            axes.annotate(
                gate.stat,
                (window.start_s, limit),
                xytext=(2, 3),
                textcoords="offset points",
                fontsize=10,
                color=INK,
            )


def _limits(run: Run) -> list[float]:
    gates = run.result.gates if run.result else ()
    return [gate.result.limit for gate in gates if gate.draws_limit]


def _span(
    times_s: np.ndarray[tuple[int], np.dtype[np.float64]], limits: list[float]
) -> tuple[float, float]:
    """Return the least and the greatest response time that the panels share."""
    values = [*limits, 0.01]
    if len(times_s):
        values += [max(float(times_s.min()), 1e-4), max(float(times_s.max()), 1e-4)]
    return min(values) / 1.4, max(values) * 1.9
