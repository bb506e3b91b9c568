"""How charts look, and how a matplotlib figure becomes an SVG that lives inside a page.

Colours are drawn as stand-ins and become CSS variables, so that one picture serves a light and a
dark page. Text stays text: it can be searched and read aloud, and takes the page's font.
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from surgeproof.model.plan import Window
from surgeproof.report.wording import clip, plain

__all__ = [
    "BAND",
    "BLUE",
    "GRID",
    "INK",
    "MUTED",
    "PURPLE",
    "RED",
    "SIGN_PT",
    "SURFACE",
    "YELLOW",
    "chart_style",
    "draw_bands",
    "label_ends",
    "seconds_axis",
    "signs_within",
    "time_axis",
    "to_svg",
]

# Stand-ins: colours that nothing else draws, each replaced by a CSS variable of the page.
INK, MUTED, GRID, SURFACE = "#010203", "#010204", "#010205", "#010206"
BLUE, RED, YELLOW, PURPLE, BAND = "#010207", "#010208", "#010209", "#01020a", "#01020b"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    SURFACE: "surface",
    BLUE: "blue",
    RED: "red",
    YELLOW: "yellow",
    PURPLE: "purple",
    BAND: "band",
}
# Width of a sign of the labels, in points: a sans-serif at 11 points is narrower on average.
SIGN_PT = 6.6
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "surgeproof",
    # Names are a stranger's: a dollar sign in one is no formula.
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "sans-serif",
    "font.size": 11.5,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.linewidth": 1.0,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "hatch.color": BAND,
    "hatch.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 4,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@contextmanager
def chart_style() -> Iterator[None]:
    """Hold matplotlib's settings for the charts; whoever drew before finds theirs again.

    The settings are the process's: two threads must not draw at once.
    """
    # matplotlib types the names of its settings as literals, which a table of ours is not.
    with mpl.rc_context(_STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # Text keeps its signs and the page's font draws them, whatever matplotlib's own lacks.
        warnings.filterwarnings("ignore", message=".*missing from font.*", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*[Ff]ont family.*", category=UserWarning)
        yield


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """Return the figure as an SVG element for an HTML page; the same figure, the same text.

    ``name`` keeps ids apart where a page holds several charts. Must run within `chart_style`.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style).*?</\1>|<!--.*?-->", "", text, flags=re.DOTALL)
    used = frozenset(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    # Only tags are touched: what stands between them is a name, perhaps with numbers in it.
    text = re.sub(r"<[^>]*>", lambda match: _page_tag(match[0], name, used), text)
    text = _flatter(text)
    view = re.search(r'viewBox="([^"]*)"', text)
    box = view[1] if view else "0 0 100 100"
    head = (
        f'<svg class="chart" viewBox="{box}" role="img" '
        f'aria-labelledby="{name}-title {name}-description" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{html.escape(plain(title))}</title>'
        f'<desc id="{name}-description">{html.escape(plain(description))}</desc>'
    )
    return head + text[text.index(">") + 1 :].strip()


def draw_bands(axes: Axes, windows: Sequence[Window]) -> None:
    """Hatch the stretches during which a fault was in force."""
    for window in windows:
        axes.axvspan(
            window.start_s,
            window.end_s,
            facecolor="none",
            edgecolor=BAND,
            hatch="///",
            linewidth=0,
            zorder=0.2,
        )
        for edge_s in (window.start_s, window.end_s):
            axes.axvline(edge_s, color=BAND, linewidth=0.8, zorder=0.3)


def time_axis(axes: Axes, end_s: float, *, labelled: bool) -> None:
    """Set the shared axis of seconds since t0."""
    axes.set_xlim(0, end_s)
    axes.tick_params(axis="x", labelbottom=labelled)
    if labelled:
        axes.set_xlabel("seconds since the start")


def seconds_axis(axes: Axes, low_s: float, high_s: float, *, most_ticks: int = 7) -> None:
    """Make the y axis logarithmic seconds, ticked in ms and s at 1, 2 and 5 or at 1 alone."""
    axes.set_yscale("log")
    axes.set_ylim(low_s, high_s)
    is_wide = math.log10(high_s / low_s) * 3 > most_ticks
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick_text))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda _value, _at: ""))


def signs_within(axes: Axes, duration_s: float) -> int:
    """Return how many signs of a label fit into a stretch of the time axis."""
    left, right = axes.transData.transform([(0.0, 1.0), (duration_s, 1.0)])[:, 0]
    return int((right - left) * 72 / axes.figure.dpi / SIGN_PT)


def label_ends(axes: Axes, labels: Sequence[tuple[float, str, str]], *, gap: float = 0.11) -> None:
    """Write labels to the right of the axes at their values, moved apart where they would touch.

    ``labels`` are (value, text, colour); ``gap`` is the least distance as a share of the height.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = sorted(
        (min(max(float(to_axes.transform((0, value))[1]), 0.02), 0.98), text, colour)
        for value, text, colour in labels
    )
    heights = [height for height, _, _ in placed]
    for index in range(1, len(heights)):
        heights[index] = max(heights[index], heights[index - 1] + gap)
    overshoot = heights[-1] - 1.0 if heights else 0.0
    if overshoot > 0:
        heights[-1] -= overshoot
        for index in range(len(heights) - 2, -1, -1):
            heights[index] = min(heights[index], heights[index + 1] - gap)
    for height, (_, text, colour) in zip(heights, placed, strict=True):
        axes.text(
            1.012,
            height,
            clip(text, 30),
            transform=axes.transAxes,
            color=colour,
            va="center",
            fontsize=11,
            clip_on=False,
        )


def _tick_text(value_s: float, _at: int) -> str:
    if value_s >= 1:
        return f"{value_s:g} s"
    if value_s >= 1e-3:
        return f"{value_s * 1e3:g} ms"
    return f"{value_s * 1e6:g} µs"


def _page_tag(tag: str, name: str, used: AbstractSet[str]) -> str:
    """Return a tag of the drawing as a page needs it, which is half as long.

    Colours become variables, ids get the chart's ``name`` before them (those in ``used``; the
    others go), and coordinates are cut to tenths of a unit, of which a chart is a thousand wide.
    """

    def renamed(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, f"var(--{variable})")
    tag = re.sub(r'\s+id="([^"]+)"', renamed, tag)
    tag = re.sub(r'(url\(#|href="#)', rf"\1{name}-", tag)
    tag = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", tag)
    tag = re.sub(r"-?\d+\.\d{2,}", lambda match: f"{float(match[0]):.1f}", tag)
    tag = re.sub(r"\.0(?=[\s\"])", "", tag)
    return re.sub(r' d="([^"]*)"', lambda match: f' d="{_short_path(match[1])}"', tag)


def _short_path(path: str) -> str:
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", path.strip())


def _flatter(text: str) -> str:
    """Take out groups that hold nothing or one thing: they are matplotlib's book-keeping."""
    text = re.sub(r"\s*\n\s*", "\n", text)
    for _ in range(3):
        text = re.sub(r"<(g|defs)>\s*</\1>\s*", "", text)
        text = re.sub(r"<g>\s*(<(?:path|text|use)\b[^<]*(?:/>|</text>))\s*</g>", r"\1", text)
    return text
