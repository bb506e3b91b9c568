"""Whether a generator is believed, why not, and what it is told to change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeproof.journal.pulses import PulseLine
from surgeproof.journal.samples import read_samples
from surgeproof.model.plan import Load
from surgeproof.model.result import (
    ArrivalCounts,
    BlockedLoop,
    ClientWaits,
    GeneratorProcess,
    Quantiles,
)
from surgeproof.model.samples import Samples
from surgeproof.slo.generators import count_error_kinds, count_waits, describe_generators
from surgeproof.slo.health import GeneratorSigns, assess_generator, smallest_limit_s
from surgeproof.slo.notation import parse_gate

MakeSamples = Callable[[Sequence[dict[str, Any]]], Samples]
NONE = Quantiles(None, None, None, None)
LOAD = Load(Path("users.py"), "locust", "request", (), {}, connections=50, max_in_flight=80)


def process(**known: Any) -> GeneratorProcess:
    (made,) = describe_generators({0: [PulseLine(9.0, is_end=True, values=known)]}, no_samples())
    return made


def no_samples() -> Samples:
    return read_samples(Path("there/is/none"))


def arrivals(
    sent: int = 1000, dropped: int = 0, lag: float | None = 0.001, off: int = 0
) -> ArrivalCounts:
    return ArrivalCounts("request", sent + dropped + off, sent, 0, dropped, lag, "")


@pytest.mark.parametrize(
    ("counted", "loop_lag", "limit", "problem"),
    [
        pytest.param(arrivals(), 0.02, 0.4, None, id="all bounds just held"),
        pytest.param(arrivals(999, 1), 0.0, 0.4, None, id="exactly 0.1 % dropped"),
        pytest.param(arrivals(998, 2), 0.0, 0.4, "were dropped", id="0.2 % dropped"),
        pytest.param(arrivals(lag=0.05), 0.0, None, None, id="50 ms lag without a gated limit"),
        pytest.param(arrivals(lag=0.051), 0.0, None, "at most 50ms", id="51 ms lag"),
        pytest.param(
            arrivals(lag=0.03), 0.0, 0.2, "at most 20ms", id="more than a tenth of the limit"
        ),
        pytest.param(arrivals(), 0.021, 0.4, "event loop ran 21ms late", id="loop lag"),
        pytest.param(arrivals(), None, 0.4, None, id="an engine without our loop"),
        pytest.param(arrivals(lag=None), 0.0, 0.4, "is not known", id="lag unknown"),
        pytest.param(arrivals(off=-1), 0.0, 0.4, "do not add up", id="more sent than scheduled"),
    ],
)
def test_the_bounds_of_a_healthy_generator(
    counted: ArrivalCounts, loop_lag: float | None, limit: float | None, problem: str | None
) -> None:
    signs = GeneratorSigns((process(loop_lag_p99_s=loop_lag),))
    found = assess_generator(counted, LOAD, signs, smallest_gated_limit_s=limit)
    assert found.healthy is (problem is None)
    assert found.loop_lag_p99_s == loop_lag
    if problem is not None:
        assert problem in "; ".join(found.problems)


LATE = arrivals(lag=0.4)
LIMITED = ClientWaits(1000, 300, 0, NONE, NONE, NONE, is_limited=True)


@pytest.mark.parametrize(
    ("counted", "signs", "advice"),
    [
        pytest.param(
            LATE,
            GeneratorSigns((process(waited=300),), LIMITED),
            "raise load.connections above 50: 300 of 1000 requests waited over 10ms for one",
            id="too few connections",
        ),
        pytest.param(
            LATE,
            GeneratorSigns((process(cpu_ratio=0.97),)),
            "raise load.workers above 1",
            id="a core used up by the generator itself",
        ),
        pytest.param(
            LATE,
            GeneratorSigns((process(cpu_ratio=0.2, busy_ratio=0.99),)),
            "give the generator a machine of its own",
            id="a core used up by others",
        ),
        pytest.param(
            LATE,
            GeneratorSigns((process(cpu_ratio=0.2, busy_ratio=0.5, steal_ratio=0.3),)),
            "use a machine with cores of its own",
            id="a core given away by the host",
        ),
        pytest.param(
            LATE,
            GeneratorSigns((process(gc_longest_s=0.2),)),
            "garbage collection stopped generator 0 for up to 200ms",
            id="a long collection",
        ),
        pytest.param(
            LATE,
            GeneratorSigns(
                (
                    process(
                        blocked=[
                            {"journey": "buy", "place": "shop.py:9", "count": 3, "longest_s": 0.5}
                        ]
                    ),
                )
            ),
            "journey buy blocks the event loop at shop.py:9 (3 times, up to 500ms)",
            id="a journey that blocks",
        ),
        pytest.param(
            LATE, GeneratorSigns((process(),)), "surgeproof doctor --load", id="no sign of a cause"
        ),
        pytest.param(
            arrivals(900, 100),
            GeneratorSigns((process(in_flight=80),)),
            "raise load.max_in_flight above 80",
            id="dropped as too many were under way",
        ),
        pytest.param(
            arrivals(900, 100),
            GeneratorSigns((process(in_flight=5),)),
            "see logs/generator-*.log",
            id="dropped although few were under way",
        ),
        pytest.param(
            arrivals(),
            GeneratorSigns((process(files_limit=64),), error_kinds={"descriptors": 7}),
            "raise the limit of open files (its limit is 64): ulimit -n 1124",
            id="no descriptor left",
        ),
        pytest.param(
            arrivals(),
            GeneratorSigns((process(),), error_kinds={"ports": 7}),
            "widen the range of local ports",
            id="no port left",
        ),
    ],
)
def test_a_generator_that_is_not_believed_says_what_to_change(
    counted: ArrivalCounts, signs: GeneratorSigns, advice: str
) -> None:
    found = assess_generator(counted, LOAD, signs, smallest_gated_limit_s=None)
    assert not found.healthy
    assert advice in "; ".join(found.advice)


def test_a_healthy_generator_gets_no_advice_for_being_busy() -> None:
    signs = GeneratorSigns((process(cpu_ratio=0.99, busy_ratio=1.0),))
    found = assess_generator(arrivals(), LOAD, signs, smallest_gated_limit_s=None)
    assert (found.healthy, found.advice, found.cpu_ratio) == (True, (), 0.99)


def test_descriptors_nearly_used_up_are_told_before_they_are() -> None:
    signs = GeneratorSigns((process(files_most=95, files_limit=100),))
    found = assess_generator(arrivals(), LOAD, signs, smallest_gated_limit_s=None)
    assert found.healthy
    assert found.advice[0].startswith("raise the limit of open files")


def test_the_busiest_generator_speaks_for_all() -> None:
    signs = GeneratorSigns(
        (
            process(cpu_ratio=0.2, loop_lag_p99_s=0.001),
            process(cpu_ratio=0.7, loop_lag_p99_s=0.03),
        )
    )
    found = assess_generator(arrivals(), LOAD, signs, smallest_gated_limit_s=None)
    assert (found.cpu_ratio, found.loop_lag_p99_s, found.healthy) == (0.7, 0.03, False)


def test_smallest_limit_is_that_of_upper_bounds_on_times() -> None:
    texts = [
        "http.response_time: p99 < 400ms",
        "http.service_time: max <= 300ms",
        "http.response_time: p50 > 1ms",
        "arrivals.lag: p99 < 5ms",
        "http.errors: rate < 1%",
    ]
    gates = [parse_gate(text, id="g") for text in texts]
    assert smallest_limit_s(gates) == 0.3
    assert smallest_limit_s([]) is None


def line(t_s: float, *, is_end: bool = False, **values: Any) -> PulseLine:
    return PulseLine(t_s, is_end, values)


def test_a_generator_is_described_by_its_last_line_and_its_worst_seconds(
    samples_of: MakeSamples,
) -> None:
    lines = [
        line(1, cpu_ratio=0.2, files_most=10, in_flight=3, ports_most=9),
        line(2, cpu_ratio=0.8, files_most=30, in_flight=7, ports_most=40),
        line(2.5, is_end=True, cpu_ratio=0.4, loop_lag_p99_s=0.01, gc_pauses=5, in_flight=0),
    ]
    rows = samples_of([{"at": 0.1 * number, "lag": 0.001 * number} for number in range(11)])
    (found,) = describe_generators({0: lines}, rows)
    assert (found.cpu_ratio, found.cpu_most_ratio) == (0.4, 0.8)
    assert (found.files_most, found.ports_most, found.in_flight_most) == (30, 40, 7)
    assert (found.loop_lag_p99_s, found.gc_pauses) == (0.01, 5)
    assert found.lag.p50 == pytest.approx(0.005)
    assert found.lag.max == pytest.approx(0.01)


def test_a_generator_that_was_killed_is_described_by_what_it_said_until_then() -> None:
    lines = [line(1, cpu_ratio=0.2, loop_lag_p99_s=0.01), line(2, cpu_ratio=0.4)]
    (found,) = describe_generators({3: lines}, no_samples())
    assert (found.generator, found.cpu_ratio, found.loop_lag_p99_s) == (3, 0.3, 0.01)
    assert (found.gc_pauses, found.lag) == (None, NONE)


def test_a_generator_without_a_pulse_is_known_by_its_samples(samples_of: MakeSamples) -> None:
    (found,) = describe_generators({}, samples_of([{"at": 1.0, "lag": 0.002}]))
    assert found.cpu_ratio is None
    assert found.lag.max == pytest.approx(0.002)


def test_code_that_blocks_is_taken_from_the_last_word_on_it() -> None:
    told = [{"journey": "buy", "place": "a.py:1", "function": "f", "count": 2, "longest_s": 0.1}]
    (found,) = describe_generators({0: [line(1, blocked=[]), line(2, blocked=told)]}, no_samples())
    assert found.blocked == (BlockedLoop("buy", "a.py:1", 2, 0.1),)


def test_waits_are_what_lies_between_response_time_and_service_time(
    samples_of: MakeSamples,
) -> None:
    rows = samples_of(
        [{"at": number * 0.01, "took": 0.3} for number in range(90)]
        + [{"at": 1.0, "lag": 0.2, "took": 0.3} for _ in range(10)]
    )
    found = count_waits(rows, [process(waited=10)], late_after_s=0.01)
    assert (found.requests, found.waited, found.never_sent, found.is_limited) == (100, 10, 0, True)
    assert found.wait.p50 == 0.0
    assert found.wait.max == pytest.approx(0.2)
    assert found.response_time.max == pytest.approx(0.3)
    assert found.service_time.p50 == pytest.approx(0.3)


def test_a_slow_target_alone_is_not_client_limited(samples_of: MakeSamples) -> None:
    rows = samples_of([{"at": number * 0.01, "took": 5.0} for number in range(100)])
    assert not count_waits(rows, [process(waited=0)], late_after_s=0.01).is_limited


def test_a_late_loop_alone_is_not_client_limited(samples_of: MakeSamples) -> None:
    rows = samples_of([{"at": number * 0.01, "lag": 0.3, "took": 0.4} for number in range(100)])
    assert not count_waits(rows, [process(waited=0)], late_after_s=0.01).is_limited


def test_a_request_that_never_got_a_connection_waited_for_ever(samples_of: MakeSamples) -> None:
    never = {"lag": float("nan"), "took": 1.0, "outcome": "error", "error_kind": "queue_timeout"}
    rows = samples_of([{"at": 0.0}, {"at": 0.1, **never}])
    found = count_waits(rows, [process(waited=0)], late_after_s=0.01)
    assert (found.waited, found.never_sent, found.is_limited) == (1, 1, True)
    assert found.wait.max is None


def test_error_kinds_are_counted(samples_of: MakeSamples) -> None:
    rows = samples_of([{"at": 0.0}, {"at": 0.1, "error_kind": "ports"}, {"at": 0.2}])
    assert count_error_kinds(rows) == {"ports": 1}
    assert count_error_kinds(rows.take(np.zeros(3, dtype=np.bool_))) == {}
