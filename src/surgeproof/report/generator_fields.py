"""The parts of `result.json` that tell of the generators and of the target's processors."""

from __future__ import annotations

from surgeproof.model.result import (
    BlockedLoop,
    ClientWaits,
    GeneratorHealth,
    GeneratorProcess,
    ProcessorUse,
    Quantiles,
    TargetProcessors,
)
from surgeproof.report.fields import Fields

__all__ = ["read_generator", "read_quantiles", "read_target"]


def read_quantiles(data: Fields) -> Quantiles:
    """Return p50, p95, p99 and max; None where the file has no such number."""
    return Quantiles(data.number("p50"), data.number("p95"), data.number("p99"), data.number("max"))


def read_generator(data: Fields) -> GeneratorHealth | None:
    """Return the part ``generator`` of a result, None where there is none."""
    if not data.data:
        return None
    return GeneratorHealth(
        cpu_ratio=data.number("cpu_ratio"),
        loop_lag_p99_s=data.number("loop_lag_p99_s"),
        lag_p99_s=data.number("lag_p99_s"),
        dropped_ratio=data.number("dropped_ratio") or 0.0,
        healthy=bool(data.claim("healthy")),
        problems=data.texts("problems"),
        advice=data.texts("advice"),
        waits=_waits(data.part("waits")),
        processes=tuple(_generator_process(each) for each in data.parts("processes")),
    )


def _waits(data: Fields) -> ClientWaits | None:
    if not data.data:
        return None
    return ClientWaits(
        requests=data.count("requests"),
        waited=data.count("waited"),
        never_sent=data.count("never_sent"),
        wait=read_quantiles(data.part("wait")),
        response_time=read_quantiles(data.part("response_time")),
        service_time=read_quantiles(data.part("service_time")),
        is_limited=bool(data.claim("is_limited")),
    )


def _generator_process(data: Fields) -> GeneratorProcess:
    def whole(key: str) -> int | None:
        number = data.number(key)
        return None if number is None else int(number)

    return GeneratorProcess(
        generator=data.count("generator"),
        cpu_ratio=data.number("cpu_ratio"),
        cpu_most_ratio=data.number("cpu_most_ratio"),
        cores=whole("cores"),
        busy_ratio=data.number("busy_ratio"),
        steal_ratio=data.number("steal_ratio"),
        lag=read_quantiles(data.part("lag")),
        loop_lag_p99_s=data.number("loop_lag_p99_s"),
        gc_pauses=whole("gc_pauses"),
        gc_longest_s=data.number("gc_longest_s"),
        gc_total_s=data.number("gc_total_s"),
        files_most=whole("files_most"),
        files_limit=whole("files_limit"),
        ports_most=whole("ports_most"),
        ports_limit=whole("ports_limit"),
        in_flight_most=whole("in_flight_most"),
        waited=whole("waited"),
        blocked=tuple(
            BlockedLoop(
                journey=each.text("journey"),
                place=each.text("place"),
                count=each.count("count"),
                longest_s=each.number("longest_s") or 0.0,
            )
            for each in data.parts("blocked")
        ),
    )


def read_target(data: Fields) -> TargetProcessors:
    """Return the part ``target``; without one nothing is known of its processors."""
    return TargetProcessors(
        cpu_ratio=data.number("cpu_ratio"),
        cpu_most_ratio=data.number("cpu_most_ratio"),
        processes=tuple(
            ProcessorUse(
                name=each.text("name"),
                cpu_ratio=each.number("cpu_ratio") or 0.0,
                cpu_most_ratio=each.number("cpu_most_ratio") or 0.0,
            )
            for each in data.parts("processes")
        ),
    )
