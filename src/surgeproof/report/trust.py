"""Can the measurement be trusted: the generators, what waited in them, and the target's load."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from surgeproof.model.result import ClientWaits, GeneratorProcess
from surgeproof.report.run import Run
from surgeproof.report.wording import (
    NOTHING,
    count_text,
    plain,
    plural,
    rate_text,
    ratio_text,
    seconds_text,
)

__all__ = ["Sessions", "Trust", "client_limited", "sessions_of", "trust_of"]

_SESSION = "session"
_MOST_TARGET_ROWS = 12


@dataclass(frozen=True, slots=True)
class Trust:
    """What became of the arrivals, and whether the generators can be believed.

    ``parts`` are rows of quantiles: what users waited, what the target took, what the generator
    added. ``generators`` are columns of facts, one for each process, under ``generator_names``.
    """

    tone: str
    icon: str
    words: str
    facts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    advice: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()
    generator_names: tuple[str, ...] = ()
    generators: tuple[tuple[str, tuple[str, ...]], ...] = ()
    target: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sessions:
    """Which requests were open-loop and which waited for the one before, per endpoint."""

    facts: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str, str], ...]  # endpoint, as first step, as a later one, kind


def trust_of(run: Run) -> Trust:
    """Return the section of a run, judged or not."""
    result = run.result
    if result is None:
        so_far = (
            ("requests recorded", count_text(len(run.samples))),
            ("arrivals dropped", count_text(len(run.drops))),
            ("generator CPU, at most", ratio_text(_most(pulse.cpu_ratio for pulse in run.pulses))),
            ("send lag, p99 at most", seconds_text(_most(pulse.lag_p99_s for pulse in run.pulses))),
        )
        return Trust("none", "?", "not judged: the run ended before", so_far, ())
    arrivals, requests, health = result.arrivals, result.requests, result.generator
    sent = (
        f"{count_text(requests.sent)} sent, {count_text(requests.completed)} completed, "
        f"{count_text(requests.unfinished)} unfinished"
    )
    facts = (
        (f"arrivals scheduled ({arrivals.unit}s)", count_text(arrivals.scheduled)),
        ("sent", f"{count_text(arrivals.sent)}, {count_text(arrivals.late)} of them late"),
        ("dropped", count_text(arrivals.dropped)),
        ("send lag, p99", seconds_text(arrivals.lag_p99_s)),
        ("requests", sent),
        ("generator CPU", ratio_text(health.cpu_ratio if health else None) + " of one core"),
        ("target CPU", _cores(result.target.cpu_ratio, result.target.cpu_most_ratio)),
        ("event loop lag, p99", seconds_text(health.loop_lag_p99_s if health else None)),
        ("schedule", arrivals.schedule_sha256[:16] or NOTHING),
    )
    if health is None:
        return Trust("none", "?", "no generator reported", facts, ())
    is_good = health.healthy
    words = "yes: the generator kept its timetable"
    return Trust(
        tone="go" if is_good else "none",
        icon="✓" if is_good else "✕",
        words=words if is_good else "no: the generator did not keep up",
        facts=facts,
        problems=health.problems,
        advice=health.advice,
        parts=_parts(health.waits),
        generator_names=tuple(f"generator {each.generator}" for each in health.processes),
        generators=_generators(health.processes),
        target=tuple(
            (plain(each.name), _cores(each.cpu_ratio), _cores(each.cpu_most_ratio))
            for each in result.target.processes[:_MOST_TARGET_ROWS]
        ),
    )


def client_limited(run: Run) -> str:
    """Return the sentence that a client-limited run is marked with; empty for any other."""
    waits = run.result.generator.waits if run.result and run.result.generator else None
    if waits is None or not waits.is_limited or not waits.requests:
        return ""
    never = f"{plural(waits.never_sent, 'request')} never got one; " if waits.never_sent else ""
    return (
        f"{ratio_text(waits.waited / waits.requests)} of requests waited in the generator for a "
        f"connection, up to {seconds_text(waits.wait.max)}; {never}p99 is "
        f"{seconds_text(waits.response_time.p99)} with that wait and "
        f"{seconds_text(waits.service_time.p99)} without. Response times here tell of the "
        "generator's limits as well as of the target."
    )


def sessions_of(run: Run) -> Sessions | None:
    """Return the account of sessions, None where each arrival was one request."""
    samples = run.samples
    unit = run.result.arrivals.unit if run.result else ""
    firsts = samples.take(samples.attempt <= 1)
    is_session = unit == _SESSION or (not unit and bool((firsts.step > 1).any()))
    if not is_session or not len(firsts):
        return None
    opens = firsts.step <= 1
    started = int(np.count_nonzero(opens))
    duration_s = max((phase.end_s for phase in run.phases), default=run.end_s)
    facts = (
        ("sessions started", f"{count_text(started)}, {rate_text(started / duration_s)}"),
        ("sessions run to their end", count_text(run.completed)),
        ("requests in a session, on average", f"{len(firsts) / max(started, 1):.1f}"),
        ("most requests in a session", count_text(int(firsts.step.max()))),
    )
    rows = []
    for code, name in enumerate(firsts.name.words):
        mine = firsts.name.codes == code
        first, later = int((mine & opens).sum()), int((mine & ~opens).sum())
        if first or later:
            kind = (
                "both ways"
                if first and later
                else "by the schedule (open-loop)"
                if first
                else "after the step before"
            )
            rows.append((plain(name), count_text(first), count_text(later), kind))
    return Sessions(facts, tuple(rows))


def _parts(waits: ClientWaits | None) -> tuple[tuple[str, ...], ...]:
    if waits is None:
        return ()
    rows = (
        ("response time: what a user waits", waits.response_time),
        ("service time: what the target takes", waits.service_time),
        ("wait in the generator before sending", waits.wait),
    )
    return tuple(
        (title, *map(seconds_text, (times.p50, times.p95, times.p99, times.max)))
        for title, times in rows
    )


def _generators(
    processes: tuple[GeneratorProcess, ...],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return rows of facts; one that no generator knows is left out."""
    rows = (
        (
            "CPU, mean and busiest second",
            [_pair(ratio_text, p.cpu_ratio, p.cpu_most_ratio) for p in processes],
        ),
        ("its cores busy, whoever with", [_of_cores(p) for p in processes]),
        ("core time taken by the host", [ratio_text(p.steal_ratio) for p in processes]),
        ("send lag p50, p99, max", [_three_times(p) for p in processes]),
        ("event loop lag, p99", [seconds_text(p.loop_lag_p99_s) for p in processes]),
        ("garbage collections, longest", [_collections(p) for p in processes]),
        ("arrivals under way, most", [count_text(p.in_flight_most) for p in processes]),
        ("requests that waited for a connection", [count_text(p.waited) for p in processes]),
        ("open files, most of limit", [_of(p.files_most, p.files_limit) for p in processes]),
        ("TCP sockets, most of local ports", [_of(p.ports_most, p.ports_limit) for p in processes]),
        ("code that blocks the loop", [_blocking(p) for p in processes]),
    )
    return tuple(
        (title, tuple(texts)) for title, texts in rows if any(text.strip(NOTHING) for text in texts)
    )


def _pair(text: Callable[[float | None], str], one: float | None, two: float | None) -> str:
    return NOTHING if one is None and two is None else f"{text(one)}, {text(two)}"


def _of_cores(process: GeneratorProcess) -> str:
    if process.busy_ratio is None:
        return NOTHING
    cores = "" if process.cores is None else f" of {plural(process.cores, 'core')}"
    return ratio_text(process.busy_ratio) + cores


def _three_times(process: GeneratorProcess) -> str:
    lag = process.lag
    if lag.p50 is None:
        return NOTHING
    return ", ".join(map(seconds_text, (lag.p50, lag.p99, lag.max)))


def _collections(process: GeneratorProcess) -> str:
    if process.gc_pauses is None:
        return NOTHING
    if not process.gc_pauses:
        return "none"
    return f"{count_text(process.gc_pauses)}, {seconds_text(process.gc_longest_s)}"


def _of(most: int | None, limit: int | None) -> str:
    if most is None:
        return NOTHING
    return f"{count_text(most)} of {count_text(limit)}" if limit else count_text(most)


def _blocking(process: GeneratorProcess) -> str:
    return "; ".join(
        f"{plain(each.journey)} at {plain(each.place)}, {count_text(each.count)} times, up to "
        f"{seconds_text(each.longest_s)}"
        for each in process.blocked
    )


def _cores(ratio: float | None, most: float | None = None) -> str:
    """Return processor time as a number of cores, with the busiest second's if given."""
    if ratio is None:
        return "not known"
    busiest = "" if most is None else f", {most:.2f} in the busiest second"
    return f"{ratio:.2f}" + (f" cores{busiest}" if busiest else "")


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
