"""Whether the load generator itself can be believed: the contract's four bounds."""

from __future__ import annotations

from collections.abc import Iterable

from surgeproof.model.plan import Gate
from surgeproof.model.result import ArrivalCounts, GeneratorHealth
from surgeproof.units import format_duration, format_ratio

__all__ = ["assess_generator", "smallest_limit_s"]

# The bounds are public: contract "Generator healthy".
MOST_DROPPED_RATIO = 0.001
LAG_SHARE_OF_LIMIT = 0.1
MOST_LAG_P99_S = 0.05
MOST_LOOP_LAG_P99_S = 0.02


def smallest_limit_s(gates: Iterable[Gate]) -> float | None:
    """Return the smallest limit of a gate on a time of requests, None if there is no such gate.

    Lower bounds (``>``) are no limits that lag could break.
    """
    limits = [
        gate.value
        for gate in gates
        if gate.selector.metric in ("http.response_time", "http.service_time")
        and gate.stat != "count"
        and gate.op in ("<", "<=")
    ]
    return min(limits, default=None)


def assess_generator(
    arrivals: ArrivalCounts,
    *,
    cpu_ratio: float | None,
    loop_lag_p99_s: float | None,
    smallest_gated_limit_s: float | None,
) -> GeneratorHealth:
    """Return the generator's health; ``problems`` says each bound that was broken.

    ``loop_lag_p99_s`` is None for an engine without an event loop of ours. Arrivals that were
    sent without a known lag, or that do not add up, are problems and never passed over.
    """
    problems: list[str] = []
    dropped_ratio = arrivals.dropped / arrivals.scheduled if arrivals.scheduled else 0.0
    if arrivals.sent + arrivals.dropped != arrivals.scheduled:
        problems.append(
            f"arrivals do not add up: {arrivals.sent} sent and {arrivals.dropped} dropped of "
            f"{arrivals.scheduled} scheduled"
        )
    if dropped_ratio > MOST_DROPPED_RATIO:
        problems.append(
            f"{format_ratio(dropped_ratio)} of the arrivals were dropped, at most "
            f"{format_ratio(MOST_DROPPED_RATIO)} may be"
        )
    most_lag_s = MOST_LAG_P99_S
    if smallest_gated_limit_s is not None:
        most_lag_s = min(most_lag_s, smallest_gated_limit_s * LAG_SHARE_OF_LIMIT)
    if arrivals.lag_p99_s is None:
        if arrivals.sent:
            problems.append("how late arrivals were sent is not known")
    elif arrivals.lag_p99_s > most_lag_s:
        problems.append(_too_late("arrivals were sent", arrivals.lag_p99_s, most_lag_s))
    if loop_lag_p99_s is not None and loop_lag_p99_s > MOST_LOOP_LAG_P99_S:
        problems.append(_too_late("the event loop ran", loop_lag_p99_s, MOST_LOOP_LAG_P99_S))
    return GeneratorHealth(
        cpu_ratio=cpu_ratio,
        loop_lag_p99_s=loop_lag_p99_s,
        lag_p99_s=arrivals.lag_p99_s,
        dropped_ratio=dropped_ratio,
        healthy=not problems,
        problems=tuple(problems),
    )


def _too_late(what: str, lag_s: float, most_s: float) -> str:
    return f"{what} {format_duration(lag_s)} late at p99, at most {format_duration(most_s)} is fine"
