"""The heatmap: how many answers took how long, over the run."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from surgeproof.report.figures.style import (
    GRID,
    MUTED,
    chart_style,
    seconds_axis,
    time_axis,
    to_svg,
)
from surgeproof.report.run import Run
from surgeproof.report.series import Grid
from surgeproof.report.wording import clip

__all__ = ["draw_heatmap"]

_DPI = 110


def draw_heatmap(run: Run, grid: Grid, title: str) -> str:
    """Return the chart as SVG with the cells as one embedded picture."""
    with chart_style():
        figure = Figure(figsize=(15.0, 4.3), dpi=_DPI)
        axes = figure.add_axes((0.062, 0.14, 0.84, 0.76))
        colours = figure.add_axes((0.915, 0.14, 0.012, 0.76))
        # The darkest colour stands for none, so that the picture looks the same on any page.
        axes.set_facecolor("#00224e")
        axes.grid(visible=False)
        counts = np.ma.masked_equal(grid.counts, 0)
        mesh = axes.pcolormesh(
            grid.time_edges_s,
            grid.latency_edges_s,
            counts,
            cmap="cividis",
            norm=LogNorm(vmin=0.6, vmax=max(float(grid.counts.max()), 2.0)),
            rasterized=True,
            linewidth=0,
        )
        seconds_axis(axes, float(grid.latency_edges_s[0]), float(grid.latency_edges_s[-1]))
        axes.set_ylabel("response time (log scale)")
        time_axis(axes, run.end_s, labelled=True)
        _mark_faults(run, axes)
        bar = figure.colorbar(mesh, cax=colours)
        bar.outline.set_edgecolor(GRID)
        bar.ax.minorticks_off()
        ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1000) if tick <= grid.counts.max()]
        bar.set_ticks(ticks, labels=[str(tick) for tick in ticks])
        bar.set_label("answers per cell (log scale)", color=MUTED)
        description = (
            "Cells of time and response time on a logarithmic scale, brighter for more answers; "
            "white dashed lines mark where faults begin and end."
        )
        return to_svg(figure, "heatmap", title, description)


def _mark_faults(run: Run, axes: Axes) -> None:
    for fault in run.faults:
        window = run.fault_window(fault)
        if window is None:
            continue
        for edge_s in (window.start_s, window.end_s):
            axes.axvline(edge_s, color="#ffffff", linewidth=1.0, linestyle=(0, (3, 2)))
        axes.annotate(
            clip(fault.name, 24),
            ((window.start_s + window.end_s) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            annotation_clip=False,
        )
