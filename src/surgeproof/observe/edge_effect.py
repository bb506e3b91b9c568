"""Whether a fault was felt: each edge's calls before and during it, as the target counted them.

This is the witness for the verdict's reason ``fault_not_observed``: a rehearsal in which a fault
hit an edge that nobody called has proved nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from surgeproof.model.plan import Fault, Window
from surgeproof.observe.history import History
from surgeproof.units import format_duration, format_ratio

__all__ = ["EDGE_METRICS", "EdgeCalls", "EdgeEffect", "edge_calls", "fault_effect"]

# What `History` must hold for this.
EDGE_METRICS = (
    "app_edge_requests_total",
    "app_edge_duration_seconds_sum",
    "app_edge_duration_seconds_count",
    "app_breaker_transitions_total",
)
_GOOD = "ok"

# Below this many calls in either window nothing is said.
_MIN_CALLS = 5
# A single failure may be a coincidence, three and a share of 1 % on top are not: a healthy edge on
# loopback has none.
_MIN_FAILURES = 3
_MIN_FAILURE_SHARE = 0.01
# Of the delay that a latency toxic adds at least half must be seen in the mean: jitter, calls that
# span the window's ends and results of an edge's own cache thin it out.
_SEEN_DELAY_SHARE = 0.5
# Without a known delay (bandwidth, slicer, slow_close …) the mean must rise by half and by more
# than the scheduling noise of a busy small machine.
_MEAN_FACTOR = 1.5
_MEAN_NOISE_S = 0.005


@dataclass(frozen=True, slots=True)
class EdgeCalls:
    """One edge's calls in a window: counts by outcome, and their mean duration if there were any.

    ``breaker_opened`` counts the breaker's transitions to open.
    """

    outcomes: Mapping[str, float]
    mean_s: float | None
    breaker_opened: float = 0.0

    @property
    def count(self) -> float:
        return sum(self.outcomes.values())

    @property
    def failed(self) -> float:
        return self.count - self.outcomes.get(_GOOD, 0.0)

    @property
    def failed_ratio(self) -> float:
        return self.failed / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class EdgeEffect:
    """What a fault did to its edge; ``observed`` is None where that cannot be told."""

    fault: str
    edge: str
    observed: bool | None
    detail: str
    before: EdgeCalls
    during: EdgeCalls


_NO_CALLS = EdgeCalls(MappingProxyType({}), None)


def edge_calls(history: History, edge: str, window: Window) -> EdgeCalls:
    """Return an edge's calls in a window, summed over all processes that call it."""
    where = {"edge": edge}
    outcomes: dict[str, float] = {}
    for key, risen in history.increases("app_edge_requests_total", window, where):
        outcome = key.label("outcome")
        outcomes[outcome] = outcomes.get(outcome, 0.0) + risen
    if not outcomes:
        return _NO_CALLS
    total_s, count = (
        sum(risen for _, risen in history.increases(name, window, where))
        for name in ("app_edge_duration_seconds_sum", "app_edge_duration_seconds_count")
    )
    opened = history.increases("app_breaker_transitions_total", window, {**where, "to": "open"})
    return EdgeCalls(
        MappingProxyType(outcomes),
        total_s / count if count else None,
        sum(risen for _, risen in opened),
    )


def fault_effect(history: History, fault: Fault, before: Window, during: Window) -> EdgeEffect:
    """Judge whether a fault's effect was seen on its edge.

    ``before`` is an undisturbed window (best as long as the fault), ``during`` the fault's
    acknowledged one.
    """
    calm, hit = (edge_calls(history, fault.edge, window) for window in (before, during))
    observed, detail = _judge(fault, calm, hit)
    return EdgeEffect(fault.name, fault.edge, observed, detail, calm, hit)


def _judge(fault: Fault, calm: EdgeCalls, hit: EdgeCalls) -> tuple[bool | None, str]:
    edge = fault.edge
    if not hit.outcomes and not calm.outcomes:
        return None, f"the target exports no calls of edge {edge}"
    if hit.breaker_opened > 0:
        return True, f"the breaker of {edge} opened"
    shares = f"{format_ratio(calm.failed_ratio)} before, {format_ratio(hit.failed_ratio)} during"
    risen = hit.failed_ratio - calm.failed_ratio
    if hit.failed >= _MIN_FAILURES and risen >= _MIN_FAILURE_SHARE:
        return True, f"failed calls of {edge}: {shares}"
    for calls, when in ((hit, "during"), (calm, "before")):
        if calls.count < _MIN_CALLS:
            return None, f"only {calls.count:.0f} calls passed {edge} {when} the fault"
    slower, means = _compare_means(fault, calm, hit)
    if slower:
        return True, f"mean call time of {edge}: {means}"
    return False, f"nothing changed on {edge}: mean call time {means}; failed calls {shares}"


def _compare_means(fault: Fault, calm: EdgeCalls, hit: EdgeCalls) -> tuple[bool, str]:
    if calm.mean_s is None or hit.mean_s is None:
        return False, "not exported"
    words = f"{format_duration(calm.mean_s)} before, {format_duration(hit.mean_s)} during"
    return hit.mean_s - calm.mean_s >= _delay_to_see(fault, calm.mean_s), words


def _delay_to_see(fault: Fault, calm_mean_s: float) -> float:
    """Return by how many seconds the mean must rise to count as this fault's effect."""
    if fault.kind == "latency":
        added_s = fault.attributes.get("latency", 0) / 1000 * fault.toxicity
        return max(_SEEN_DELAY_SHARE * added_s, _MEAN_NOISE_S)
    return max((_MEAN_FACTOR - 1) * calm_mean_s, _MEAN_NOISE_S)
