"""The limits of gates on a chart of response times, labelled where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from surgeproof.model.plan import Window
from surgeproof.report.figures.style import INK, SIGN_PT, SURFACE, signs_within
from surgeproof.report.gate_view import GateView
from surgeproof.report.run import Run
from surgeproof.report.wording import clip

__all__ = ["draw_limits", "tightest_limits"]

# More limit lines than this and their labels would hide the curves; the gate table has them all.
_MOST_LIMITS = 5


def tightest_limits(run: Run) -> list[GateView]:
    """Return the response-time gates whose limits are drawn: the tightest of each window."""
    seen: dict[str, GateView] = {}
    for gate in run.result.gates if run.result else ():
        if gate.draws_limit:
            # Gates come with failures first, then by how thin the margin is.
            seen.setdefault(gate.where, gate)
    return list(seen.values())[:_MOST_LIMITS]


def draw_limits(axes: Axes, gates: Sequence[GateView], end_s: float) -> None:
    """Draw limits over their windows, each with what it limits beside it where there is room."""
    taken: list[Bbox] = []
    for gate in gates:
        window = gate.result.window or Window("run", 0.0, end_s)
        axes.plot(
            [window.start_s, window.end_s],
            [gate.result.limit] * 2,
            color=INK,
            linewidth=1.6,
            linestyle=(0, (4, 2)),
        )
        signs = max(signs_within(axes, window.duration_s), 14)
        lines = [clip(gate.subject, signs)] if gate.subject else []
        lines.append(clip(f"{gate.stat} {gate.limit_text}", signs))
        place = _free_place(axes, window, gate.result.limit, lines, taken)
        if place is not None:
            taken.append(place.box)
            axes.annotate(
                "\n".join(lines),
                (place.at_s, gate.result.limit),
                xytext=place.offset,
                textcoords="offset points",
                ha=place.side,
                va="bottom" if place.offset[1] > 0 else "top",
                fontsize=10.5,
                linespacing=1.15,
                bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
            )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a label goes: ``box`` in points, ``offset`` in points from (``at_s``, the limit)."""

    box: Bbox
    at_s: float
    side: Literal["left", "right"]
    offset: tuple[float, float]


def _free_place(
    axes: Axes, window: Window, limit_s: float, lines: Sequence[str], taken: Sequence[Bbox]
) -> _Place | None:
    """Return the first corner of a limit's line where the label touches no other label."""
    width = max(len(text) for text in lines) * SIGN_PT
    height = 13.0 * len(lines)
    # Points are the figure's own unit here: the SVG has 72 of them to the inch.
    scale = 72 / axes.figure.dpi
    room = axes.bbox
    corners: tuple[tuple[float, Literal["left", "right"]], ...] = (
        (window.start_s, "left"),
        (window.end_s, "right"),
    )
    for rise in (4.0, -4.0):
        for at_s, side in corners:
            x, y = axes.transData.transform((at_s, limit_s)) * scale
            left = x + 3 if side == "left" else x - 3 - width
            bottom = y + rise if rise > 0 else y + rise - height
            box = Bbox.from_bounds(left, bottom, width, height)
            is_inside = box.y1 <= room.y1 * scale + 2 and box.y0 >= room.y0 * scale
            if is_inside and not any(box.overlaps(other) for other in taken):
                return _Place(box, at_s, side, (3.0 if side == "left" else -3.0, rise))
    return None
