"""Arrivals: the shapes that a plan may name, and the moments that come of them.

Everything here is a pure function of its arguments: the same parts, duration and seed give the
same moments to the nanosecond, whatever engine sends them.
"""

from __future__ import annotations

from surgeproof.load.arrivals.kinds import (
    ARRIVAL_KINDS,
    COMMON_PARAMETERS,
    ArrivalKind,
    Parameter,
    curve_of,
    validate_part,
)
from surgeproof.load.arrivals.phase import MOST_ARRIVALS, Arrivals, arrival_times

__all__ = [
    "ARRIVAL_KINDS",
    "COMMON_PARAMETERS",
    "MOST_ARRIVALS",
    "ArrivalKind",
    "Arrivals",
    "Parameter",
    "arrival_times",
    "curve_of",
    "validate_part",
]
