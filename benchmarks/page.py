"""A result's data as Markdown: the whole page, or the short table that the README holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["page", "short_table"]

Data = Mapping[str, Any]


def page(data: Data) -> str:
    """Return everything that was measured, as a page."""
    parts = (
        _provenance(data),
        _closed("Closed loop: 50 connections, one GET, 1 KiB", "requests/s", data["closed"]),
        _open(data["open"]),
        _workers(data["workers"]),
        _ladder(data["ladder"]),
        _stall(data),
        _closed("A stateful journey: log in, post JSON, read back", "journeys/s", data["journey"]),
        _startup(data["startup"]),
        _memory(data["memory"]),
        _ratios(data["ratios"]),
        _skipped(data["skipped"]),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def short_table(data: Data) -> str:
    """Return one table of the main numbers, a tool in each row, and where they come from."""
    closed = {row["tool"]: row["per_s"]["median"] for row in data["closed"]}
    lags = {
        row["tool"]: row["lag_p99_s"]["median"] for row in data["open"] if row["rate_per_s"] == 2000
    }
    held = {row["tool"]: row["held_per_s"] for row in data["ladder"]}
    journeys = {row["tool"]: row["per_s"]["median"] for row in data["journey"]}
    rows = [
        (
            name,
            _number(closed.get(name)),
            _ms(lags.get(name)),
            _number(held.get(name)),
            _number(journeys.get(name)),
        )
        for name in dict.fromkeys([*closed, *lags, *held, *journeys])
    ]
    head = (
        *("tool", "requests/s, closed loop", "start lag p99 at 2,000/s", "highest rate held"),
        "stateful journeys/s",
    )
    machine = data["provenance"]
    origin = (
        f"Command: `{machine['command']}`, {machine['date'][:10]}; {machine['processor']}, one core"
        f" for the generator and one for the server; {machine['python']}"
        f" ({machine['python_build']}); timer: {machine['timer']};"
        f" medians of {data['extent']['repetitions']}."
    )
    return "\n".join((*_table(head, rows), "", origin)) + "\n"


def _provenance(data: Data) -> Iterator[str]:
    machine, extent = data["provenance"], data["extent"]
    load, cores = machine["load_average"], machine["pinned_to"]
    yield "# Benchmarks of the load generator"
    yield ""
    yield f"- `{machine['command']}`, {machine['date']}, took {machine['took_s']:.0f} s"
    yield f"- {machine['system']}, {machine['processor']}, {machine['cores']} cores; load average"
    yield f"  {load['before']:.1f} before, {load['after']:.1f} after"
    yield (
        f"- generator on core {_core(cores['generator'])}, server on core {_core(cores['server'])};"
        f" medians of {extent['repetitions']}"
    )
    yield f"- {machine['python']}: {machine['python_build']}"
    yield f"- timer that wakes surgeproof's engine: {machine['timer']}"
    yield "- " + ", ".join(f"{name} {each}" for name, each in machine["versions"].items())
    yield "- " + (", ".join(f"{key} {each}" for key, each in machine["peers"].items()) or "no peer")


def _core(number: int | None) -> str:
    return "any (no taskset)" if number is None else str(number)


def _closed(title: str, unit: str, rows: Sequence[Data]) -> Iterator[str]:
    cells = [
        (
            row["tool"],
            _number(row["per_s"]["median"]),
            f"{_number(row['per_s']['low'])} .. {_number(row['per_s']['high'])}",
            "-" if row["cpu_us"] is None else f"{row['cpu_us']:.1f}",
        )
        for row in sorted(rows, key=lambda row: -row["per_s"]["median"])
    ]
    yield from _section(title, ("tool", unit, "range", "CPU µs each"), cells)


def _open(rows: Sequence[Data]) -> Iterator[str]:
    cells = [
        (
            row["tool"],
            f"{row['rate_per_s']:g}/s",
            f"{row['held_per_s']:.1f}/s",
            _ms(row["lag_p50_s"]),
            _spread_ms(row["lag_p99_s"]),
            _ms(row["gap_error_p50_s"]),
            f"{row['even_bins_ratio']:.2%}",
            f"{row['worst_bin_ratio']:.2f}",
            f"{row['cpu_s']:.2f} s",
            "-" if row["cpu_ratio"] is None else f"{row['cpu_ratio']:.1%}",
        )
        for row in sorted(rows, key=lambda row: (row["rate_per_s"], row["lag_p99_s"]["median"]))
    ]
    head = (
        *("tool", "asked", "held", "lag p50", "lag p99 (range)", "gap error p50"),
        *("10 ms <= 1.2 x mean", "fullest / mean", "CPU of the run", "CPU, start-up aside"),
    )
    yield from _section("Open schedule, judged at the server", head, cells)


def _workers(rows: Sequence[Data]) -> Iterator[str]:
    cells = [
        (
            str(number),
            _ms(row["one_lag_p99_s"]),
            _ms(row["two_lag_p99_s"]),
            f"{row['two_arrivals']} of {row['asked']}",
        )
        for number, row in enumerate(rows, 1)
    ]
    head = ("pair", "lag p99, one worker", "lag p99, two workers", "arrivals of two")
    yield from _section("Two workers on one schedule, on one core", head, cells)


def _ladder(rows: Sequence[Data]) -> Iterator[str]:
    cells = [
        (
            row["tool"],
            _number(row["held_per_s"]) + "/s",
            _number(row["fails_at_per_s"]) + "/s",
            _number(row["delivered_at_double_per_s"]) + "/s",
            "-" if row["delivered_ratio"] is None else f"{row['delivered_ratio']:.0%}",
        )
        for row in sorted(rows, key=lambda row: -(row["held_per_s"] or 0))
    ]
    head = (
        "tool",
        "holds",
        "first step not held",
        "arrives when twice is asked",
        "of what it holds",
    )
    yield from _section("Highest rate held", head, cells)


def _stall(data: Data) -> Iterator[str]:
    if not data["stall"]:
        return
    extent, truth = data["extent"], data["stall_truth"]
    title = (
        f"Latency truth: {extent['stall_length_s']:g} s of every {extent['stall_every_s']:g} s"
        f" nothing is answered, {extent['stall_rate_per_s']:g}/s for {extent['stall_s']:g} s"
    )
    cells = [("truth", *_times(truth["times"]), str(truth["in_stall"]), "")]
    cells += [
        (
            row["tool"],
            *_times({**row["reported"], "sent": row["arrived"]}),
            str(row["in_stall"]),
            _error(row["worst_error"]),
        )
        for row in data["stall"]
    ]
    head = ("as reported", "p50", "p90", "p99", "max", "sent", "into a stall", "greatest error")
    yield from _section(title, head, cells)


def _error(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if value < 10 else "> 1000%"


def _times(times: Data) -> tuple[str, ...]:
    quantiles = (times["p50_s"], times["p90_s"], times["p99_s"], times["max_s"])
    return (*(_ms(each) for each in quantiles), str(times["sent"]))


def _startup(rows: Sequence[Data]) -> Iterator[str]:
    cells = [
        (row["tool"], f"{row['over_s']['median']:.2f} s", f"{row['cpu_s']:.2f} s")
        for row in sorted(rows, key=lambda row: row["over_s"]["median"])
    ]
    head = ("tool", "wall", "CPU")
    yield from _section("Start-up: a one-second run less its second, or a command", head, cells)


def _memory(rows: Sequence[Data]) -> Iterator[str]:
    cells = [
        (
            row["tool"],
            _number(row["requests"]),
            f"{row['settled_bytes'] / 1e6:.0f} MB",
            f"{row['end_bytes'] / 1e6:.0f} MB",
            f"{row['growth_ratio']:+.1%}",
        )
        for row in rows
    ]
    head = ("tool", "requests", "second fifth", "last fifth", "growth")
    yield from _section("Memory over very many requests", head, cells)


def _ratios(ratios: Mapping[str, Mapping[str, Data]]) -> Iterator[str]:
    cells = [
        (
            name,
            _short(each["value"]),
            "-" if each["target"] is None else f"{each['must_be']} {_short(each['target'])}",
            {True: "yes", False: "**no**", None: ""}[each["reached"]],
        )
        for found in ratios.values()
        for name, each in found.items()
    ]
    yield from _section("Ratios", ("what", "measured", "asked", "reached"), cells)


def _skipped(skipped: Mapping[str, str]) -> Iterator[str]:
    if skipped:
        yield from ("", "## Left out", "")
        yield from (f"- {name}: {reason}" for name, reason in skipped.items())


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield from ("", f"## {title}", "")
        yield from _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay cells out as a Markdown table that is read as plain text too."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]

    def laid_out(cells: Sequence[str]) -> str:
        name, *others = cells
        padded = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        return "| " + " | ".join((name.ljust(widths[0]), *padded)) + " |"

    yield laid_out(head)
    yield "|" + "-" * (widths[0] + 2) + "|" + "".join("-" * (w + 1) + ":|" for w in widths[1:])
    for row in rows:
        yield laid_out(row)


def _number(value: float | None) -> str:
    """Return a count in three or four digits, which is as exact as it is measured."""
    if value is None:
        return "-"
    step = 10 if value >= 1000 else 1
    if value >= 10_000:
        step = 100
    return f"{round(value / step) * step:,}"


def _ms(duration_s: float | None) -> str:
    if duration_s is None:
        return "-"
    duration_ms = duration_s * 1e3
    return f"{duration_ms:.2f} ms" if duration_ms < 10 else f"{duration_ms:,.0f} ms"


def _spread_ms(spread: Data) -> str:
    return f"{_ms(spread['median'])} ({_ms(spread['low'])} .. {_ms(spread['high'])})"


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"
