"""Moments of the load: ``surge.start + 10s``, ``surge.peak`` or ``surge.end - 1m``."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from surgeproof.errors import UsageError
from surgeproof.load.arrivals import curve_of
from surgeproof.model.plan import Phase
from surgeproof.slo.nearest import unknown_word
from surgeproof.units import parse_duration

__all__ = ["ACCEPTED_MOMENT", "parse_moment", "peak_s"]

ACCEPTED_MOMENT = "PHASE.start, PHASE.peak or PHASE.end, then + or - a duration"
_MOMENT = re.compile(
    r"\s*(?P<phase>[^.\s]+)\s*\.\s*(?P<edge>[A-Za-z]+)\s*(?:(?P<sign>[+-])\s*(?P<offset>\S+)\s*)?"
)
_EDGES = ("start", "peak", "end")
# The rate is looked at this often in a phase, and at every bend of its curve.
_GRID = 10_000


def parse_moment(text: str, phases: Sequence[Phase]) -> float:
    """Return the seconds since t0 that a moment means; it may lie outside the run.

    Raises:
        UsageError: the text is no moment, or names a phase that does not exist.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no moment; accepted: {ACCEPTED_MOMENT}")
    by_name = {phase.name: phase for phase in phases}
    if match["phase"] not in by_name:
        raise UsageError(unknown_word("phase", match["phase"], by_name))
    if match["edge"] not in _EDGES:
        raise UsageError(unknown_word("moment", match["edge"], _EDGES))
    phase = by_name[match["phase"]]
    if match["edge"] == "start":
        at_s = phase.start_s
    elif match["edge"] == "end":
        at_s = phase.start_s + phase.duration_s
    else:
        at_s = peak_s(phase)
    if match["offset"] is None:
        return at_s
    offset_s = parse_duration(match["offset"])
    return at_s + offset_s if match["sign"] == "+" else at_s - offset_s


def peak_s(phase: Phase) -> float:
    """Return when a phase's arrival rate is highest, in seconds since t0; the first such moment.

    Of a step, the first moment after it; exact at the bends of the curve and to a ten-thousandth
    of the phase between them.

    Raises:
        UsageError: a part of the phase's arrivals is not valid.
    """
    curves = [curve_of(part, phase.duration_s) for part in phase.arrivals]
    knots = [curve.knots() for curve in curves]
    at_s = np.sort(np.concatenate([np.linspace(0.0, phase.duration_s, _GRID + 1), *knots]))
    at_s = at_s[(at_s >= 0) & (at_s < phase.duration_s)]
    rate = np.sum([curve.rate(at_s) for curve in curves], axis=0)
    # Rounding must not move the peak of a flat rate off its start.
    highest = np.flatnonzero(rate >= rate.max() * (1 - 1e-9))
    return phase.start_s + float(at_s[highest[0]])
