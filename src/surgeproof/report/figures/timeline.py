"""The hero chart: load, response time and bad answers on one time axis, with phases and faults."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from surgeproof.model.plan import Window
from surgeproof.report.figures.limits import draw_limits, tightest_limits
from surgeproof.report.figures.style import (
    BAND,
    BLUE,
    GRID,
    INK,
    MUTED,
    PURPLE,
    RED,
    SURFACE,
    YELLOW,
    chart_style,
    draw_bands,
    label_ends,
    seconds_axis,
    signs_within,
    time_axis,
    to_svg,
)
from surgeproof.report.run import Run
from surgeproof.report.series import Timeline
from surgeproof.report.wording import clip, seconds_text

__all__ = ["draw_timeline"]

Floats = NDArray[np.float64]

_WIDTH_IN, _HEIGHT_IN = 15.0, 9.2
_LEFT, _RIGHT = 0.062, 0.868


def draw_timeline(run: Run, timeline: Timeline, title: str) -> str:
    """Return the chart as SVG; panels without data say so."""
    with chart_style():
        figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN))
        grid = figure.add_gridspec(
            4,
            1,
            height_ratios=(0.62, 1.25, 1.7, 1.05),
            left=_LEFT,
            right=_RIGHT,
            top=0.985,
            bottom=0.07,
            hspace=0.2,
        )
        strip, rates, latency, shares = (figure.add_subplot(grid[row]) for row in range(4))
        bands = [window for fault in run.faults if (window := run.fault_window(fault)) is not None]
        _draw_strip(strip, run, bands)
        for axes in (rates, latency, shares):
            draw_bands(axes, bands)
            time_axis(axes, run.end_s, labelled=axes is shares)
            _draw_recoveries(axes, run)
        _draw_rates(rates, timeline)
        _draw_latency(latency, timeline, run)
        _draw_shares(shares, timeline)
        figure.align_ylabels([rates, latency, shares])
        description = (
            "Four panels over the seconds of the run: phases and faults; offered and completed "
            "requests a second; p50 and p99 of response time on a logarithmic scale with the "
            "limits of gates; share of bad, shed and degraded answers."
        )
        return to_svg(figure, "timeline", title, description)


def _draw_strip(axes: Axes, run: Run, bands: Sequence[Window]) -> None:
    """Draw phases above and faults below, as labelled bars, and recoveries as marks."""
    axes.set_xlim(0, run.end_s)
    axes.set_ylim(0, 2)
    axes.set_axis_off()
    for phase in run.phases:
        _bar(axes, phase, clip(phase.name, 60), 1.12, run.end_s, fault=False)
    lanes = _lanes(bands)
    height = 0.86 / max(max(lanes, default=0) + 1, 1)
    for band, lane in zip(bands, lanes, strict=True):
        name = band.name.removeprefix("fault:")
        _bar(axes, band, name, 0.04 + lane * height, run.end_s, fault=True, height=height)
    for y, text in ((1.5, "phases"), (0.47, "faults")):
        axes.text(-0.008 * run.end_s, y, text, ha="right", va="center", color=MUTED, fontsize=11)
    if not bands:
        axes.text(0.004 * run.end_s, 0.47, "none in force", va="center", color=MUTED, fontsize=11)
    _draw_ways_back(axes, run)


def _draw_ways_back(axes: Axes, run: Run) -> None:
    """Draw an arrow from a fault's removal to the moment the target had recovered."""
    for recovery in run.result.recovery if run.result else ():
        start_s, end_s = recovery.window.start_s, recovery.window.end_s
        if recovery.time_s is not None:
            at_s, text, colour = start_s + recovery.time_s, seconds_text(recovery.time_s), INK
        elif recovery.censored_s is not None:
            at_s, text, colour = end_s, f"not in {seconds_text(recovery.censored_s)}", RED
        else:
            continue
        axes.plot([start_s, at_s], [0.47, 0.47], color=colour, linewidth=1.2, clip_on=False)
        mark = 5 if recovery.time_s is not None else "x"
        axes.plot([at_s], [0.47], marker=mark, color=colour, markersize=6, clip_on=False)
        # What was not seen in a whole stretch is written over it: the next fault may follow.
        beside = recovery.time_s is not None
        axes.annotate(
            text,
            (at_s, 0.47) if beside else ((start_s + at_s) / 2, 0.47),
            xytext=(8, 0) if beside else (0, 5),
            textcoords="offset points",
            ha="left" if beside else "center",
            va="center" if beside else "bottom",
            color=colour,
            fontsize=11,
            annotation_clip=False,
            bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 1},
        )


def _bar(
    axes: Axes,
    window: Window,
    name: str,
    bottom: float,
    end_s: float,
    *,
    fault: bool,
    height: float = 0.76,
) -> None:
    axes.add_patch(
        Rectangle(
            (window.start_s, bottom),
            max(window.duration_s, end_s * 0.001),
            height * 0.94,
            facecolor="none",
            edgecolor=BAND if fault else GRID,
            hatch="///" if fault else None,
            linewidth=1.0,
        )
    )
    signs = signs_within(axes, window.duration_s) - 1
    if signs >= 2:
        text = clip(name, signs)
        centre = window.start_s + window.duration_s / 2
        axes.text(
            centre,
            bottom + height * 0.47,
            text,
            ha="center",
            va="center",
            fontsize=11,
            color=INK,
            bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 1.5} if fault else None,
        )


def _lanes(windows: Sequence[Window]) -> list[int]:
    """Return a lane for each window, so that those of one lane do not overlap."""
    ends: list[float] = []
    lanes = []
    for window in windows:
        free = next((lane for lane, end in enumerate(ends) if end <= window.start_s), len(ends))
        if free == len(ends):
            ends.append(0.0)
        ends[free] = window.end_s
        lanes.append(free)
    return lanes


def _draw_recoveries(axes: Axes, run: Run) -> None:
    for recovery in run.result.recovery if run.result else ():
        if recovery.time_s is not None:
            at_s = recovery.window.start_s + recovery.time_s
            axes.axvline(at_s, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)), zorder=0.4)


def _draw_rates(axes: Axes, timeline: Timeline) -> None:
    offered, completed = timeline.offered_per_s, timeline.completed_per_s
    axes.set_ylabel("requests per second")
    if not _has_data(offered, completed):
        return _say_empty(axes)
    axes.stairs(offered, timeline.edges_s, color=MUTED, linewidth=1.1, baseline=None)
    axes.stairs(completed, timeline.edges_s, color=BLUE, linewidth=1.7, baseline=None)
    top = float(np.nanmax(np.concatenate([offered, completed])))
    axes.set_ylim(0, top * 1.12 or 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    label_ends(axes, [(_last(offered), "offered", MUTED), (_last(completed), "completed", BLUE)])
    return None


def _draw_latency(axes: Axes, timeline: Timeline, run: Run) -> None:
    p50, p99, edges = timeline.p50_s, timeline.p99_s, timeline.quantile_edges_s
    axes.set_ylabel("response time (log scale)")
    shown = np.concatenate([p50, p99])
    shown = shown[np.isfinite(shown) & (shown > 0)]
    if not len(shown):
        return _say_empty(axes)
    limits = tightest_limits(run)
    values = [*shown.tolist(), *(gate.result.limit for gate in limits)]
    bottom, top = min(values) / 1.4, max(values) * 1.4
    # The two lines of a limit's label need a quarter of the panel above the highest one.
    highest = max((gate.result.limit for gate in limits), default=bottom)
    top = max(top, highest * (highest / bottom) ** 0.3)
    seconds_axis(axes, bottom, top)
    axes.stairs(_finite(p50), edges, color=BLUE, linewidth=1.7, baseline=None)
    axes.stairs(_finite(p99), edges, color=RED, linewidth=1.7, baseline=None)
    never = np.isinf(p99)
    if never.any():
        middles = (edges[:-1] + edges[1:])[never] / 2
        axes.plot(
            middles, np.full(len(middles), top / 1.12), "^", color=RED, markersize=7, linestyle=""
        )
    p99_label = f"p99 per ~{max(round(timeline.quantile_bin_s), 1)} s"
    label_ends(axes, [(_last(p50), "p50", BLUE), (_last(p99), p99_label, RED)], gap=0.085)
    draw_limits(axes, limits, run.end_s)
    return None


def _draw_shares(axes: Axes, timeline: Timeline) -> None:
    axes.set_ylabel("share of requests")
    lines = (
        (timeline.degraded_ratio, "degraded", YELLOW, (0, (4, 1.5))),
        (timeline.shed_ratio, "shed", PURPLE, (0, (1.2, 1.2))),
        (timeline.bad_ratio, "error, wrong, dropped", RED, "solid"),
    )
    if not _has_data(*(values for values, *_ in lines)):
        return _say_empty(axes)
    top = max(float(np.nanmax(values)) for values, *_ in lines)
    axes.set_ylim(0, max(top * 1.15, 0.01))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=2 if top < 0.02 else 0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    for values, _, colour, dashes in lines:
        axes.stairs(
            values, timeline.edges_s, color=colour, linestyle=dashes, linewidth=1.6, baseline=None
        )
    label_ends(axes, [(_last(values), text, colour) for values, text, colour, _ in lines], gap=0.16)
    return None


def _has_data(*series: Floats) -> bool:
    return any(bool(np.isfinite(values).any()) for values in series)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _last(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else 0.0


def _say_empty(axes: Axes) -> None:
    axes.set_yticks([])
    box = {"facecolor": SURFACE, "edgecolor": "none", "pad": 3}
    axes.text(0.5, 0.5, "no samples", transform=axes.transAxes, ha="center", color=MUTED, bbox=box)
