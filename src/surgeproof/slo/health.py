"""Whether the load generator can be believed: the contract's bounds, and what to change if not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from surgeproof.model.plan import Gate, Load
from surgeproof.model.result import (
    ArrivalCounts,
    ClientWaits,
    GeneratorHealth,
    GeneratorProcess,
)
from surgeproof.units import format_duration, format_ratio

__all__ = ["GeneratorSigns", "assess_generator", "smallest_limit_s"]

# The bounds are public: contract "Generator healthy".
MOST_DROPPED_RATIO = 0.001
LAG_SHARE_OF_LIMIT = 0.1
MOST_LAG_P99_S = 0.05
MOST_LOOP_LAG_P99_S = 0.02
# What follows is no bound of its own: it says which cause of a broken bound to name.
# At 85 % use of one server the mean wait is 2.8 services (M/D/1: r / 2(1 - r)), and it climbs
# steeply from there.
_BUSY_RATIO = 0.85
# One part in twenty taken by other guests of the same host is a core that is not one's own.
_STOLEN_RATIO = 0.05
_NEARLY_FULL_RATIO = 0.9


@dataclass(frozen=True, slots=True)
class GeneratorSigns:
    """What is known of the generators beside the accounting of arrivals.

    ``error_kinds`` counts the attempts that ended with each kind.
    """

    processes: tuple[GeneratorProcess, ...] = ()
    waits: ClientWaits | None = None
    error_kinds: Mapping[str, int] | None = None


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
    load: Load,
    signs: GeneratorSigns,
    *,
    smallest_gated_limit_s: float | None,
) -> GeneratorHealth:
    """Return the generators' health: ``problems`` are bounds broken, ``advice`` what to change.

    An engine without an event loop of ours has no loop lag. Arrivals that were sent without a
    known lag, or that do not add up, are problems and never passed over; so is a request that
    failed for want of a descriptor or a port of this machine.
    """
    dropped_ratio = arrivals.dropped / arrivals.scheduled if arrivals.scheduled else 0.0
    loop_lag_p99_s = _most(each.loop_lag_p99_s for each in signs.processes)
    is_dropping = dropped_ratio > MOST_DROPPED_RATIO
    problems: list[str] = []
    if arrivals.sent + arrivals.dropped != arrivals.scheduled:
        problems.append(
            f"arrivals do not add up: {arrivals.sent} sent and {arrivals.dropped} dropped of "
            f"{arrivals.scheduled} scheduled"
        )
    if is_dropping:
        problems.append(
            f"{format_ratio(dropped_ratio)} of the arrivals were dropped, at most "
            f"{format_ratio(MOST_DROPPED_RATIO)} may be"
        )
    late = _lateness(arrivals, loop_lag_p99_s, smallest_gated_limit_s)
    exhausted, remedies = _exhaustion(load, signs)
    advice = [*_about_drops(load, signs)] if is_dropping else []
    if is_dropping or late:
        advice += _about_lateness(load, signs)
    if late and not advice:
        advice.append(
            "give the generator a machine of its own or lower the rate; surgeproof doctor --load "
            "says what this machine can send"
        )
    problems += [*late, *exhausted]
    return GeneratorHealth(
        cpu_ratio=_most(each.cpu_ratio for each in signs.processes),
        loop_lag_p99_s=loop_lag_p99_s,
        lag_p99_s=arrivals.lag_p99_s,
        dropped_ratio=dropped_ratio,
        healthy=not problems,
        problems=tuple(problems),
        advice=tuple(dict.fromkeys([*advice, *remedies])),
        waits=signs.waits,
        processes=signs.processes,
    )


def _lateness(
    arrivals: ArrivalCounts, loop_lag_p99_s: float | None, smallest_gated_limit_s: float | None
) -> list[str]:
    problems = []
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
    return problems


def _about_drops(load: Load, signs: GeneratorSigns) -> list[str]:
    if _is_full(load, signs):
        return [
            (
                f"raise load.max_in_flight above {load.max_in_flight}: so many arrivals were under "
                "way at once, and those beyond were dropped"
            )
        ]
    if signs.waits is not None and signs.waits.is_limited:
        return []  # what is said of lateness says it all
    return [
        (
            "see logs/generator-*.log: a journey that raises an error before its first request "
            "drops its arrival"
        )
    ]


def _is_full(load: Load, signs: GeneratorSigns) -> bool:
    return any((each.in_flight_most or 0) >= load.max_in_flight for each in signs.processes)


def _about_lateness(load: Load, signs: GeneratorSigns) -> list[str]:
    """Return what to change, for each cause that there is a sign of."""
    advice = [
        f"journey {each.journey or '(unknown)'} blocks the event loop at {each.place} "
        f"({each.count} times, up to {format_duration(each.longest_s)}): await there, or move "
        "the work to a thread with asyncio.to_thread"
        for process in signs.processes
        for each in process.blocked
    ]
    if signs.waits is not None and signs.waits.is_limited:
        advice.append(
            f"raise load.connections above {load.connections}: "
            f"{signs.waits.waited} of {signs.waits.requests} requests waited over "
            f"{format_duration(load.late_after_s)} for one"
        )
    for process in signs.processes:
        advice += _about_processors(process, load.workers)
        longest_s = process.gc_longest_s
        if longest_s is not None and longest_s > MOST_LOOP_LAG_P99_S:
            advice.append(
                f"garbage collection stopped generator {process.generator} for up to "
                f"{format_duration(longest_s)}: keep less in memory, or call gc.freeze() at the "
                "end of prepare()"
            )
    return advice


def _about_processors(process: GeneratorProcess, workers: int) -> list[str]:
    stolen, busy = process.steal_ratio, process.busy_ratio
    own = max(process.cpu_ratio or 0.0, process.cpu_most_ratio or 0.0)
    if own >= _BUSY_RATIO:
        return [
            (
                f"raise load.workers above {workers}, each on a core of its own: generator "
                f"{process.generator} used {format_ratio(own)} of a core in its busiest second"
            )
        ]
    if stolen is not None and stolen > _STOLEN_RATIO:
        return [
            (
                f"use a machine with cores of its own: its host gave {format_ratio(stolen)}"
                f" of generator {process.generator}'s core time to others"
            )
        ]
    if busy is not None and busy >= _BUSY_RATIO:
        return [
            (
                "give the generator a machine of its own: the cores of generator "
                f"{process.generator} were {format_ratio(busy)} busy, and only "
                f"{format_ratio(process.cpu_ratio or 0.0)} of one was its own work"
            )
        ]
    return []


def _exhaustion(load: Load, signs: GeneratorSigns) -> tuple[list[str], list[str]]:
    """Return what this machine ran out of, and the remedies; also of what is nearly used up."""
    kinds = signs.error_kinds or {}
    problems: list[str] = []
    advice: list[str] = []
    files = next((each for each in signs.processes if each.files_limit), None)
    limit = "" if files is None else f" (its limit is {files.files_limit})"
    if kinds.get("descriptors"):
        problems.append(
            f"{kinds['descriptors']} requests failed because the generator had no file "
            f"descriptor left{limit}"
        )
    if kinds.get("descriptors") or any(
        _is_near(p.files_most, p.files_limit) for p in signs.processes
    ):
        advice.append(
            f"raise the limit of open files{limit}: ulimit -n {2 * load.connections + 1024}, or "
            f"lower load.connections ({load.connections})"
        )
    if kinds.get("ports"):
        problems.append(
            f"{kinds['ports']} requests failed because this machine had no local port left"
        )
        advice.append(
            "widen the range of local ports: sysctl net.ipv4.ip_local_port_range='1024 65535', "
            "and find out why connections are not kept alive"
        )
    return problems, advice


def _is_near(most: int | None, limit: int | None) -> bool:
    return bool(most and limit and most >= _NEARLY_FULL_RATIO * limit)


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _too_late(what: str, lag_s: float, most_s: float) -> str:
    return f"{what} {format_duration(lag_s)} late at p99, at most {format_duration(most_s)} is fine"
