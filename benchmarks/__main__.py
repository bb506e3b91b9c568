"""Run the benchmarks: ``python -m benchmarks``, or print what the last full run found.

Exits 0 when everything was measured that this machine can measure, whatever the numbers: a
missing peer, or one that fails, has no row, and the page says why. Exits 6 when surgeproof itself
has no row, or nothing can be measured (no C compiler for the judge), and 2 on wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.field import ENGINE, Field, choose_field
from benchmarks.judge import compile_judge
from benchmarks.machine import describe_machine, load_average
from benchmarks.page import page, short_table
from benchmarks.peers import PEERS, cache_folder, find_peers
from benchmarks.processes import Cores
from benchmarks.result import Extent, Result
from benchmarks.runs import Bench
from benchmarks.stall import Stall
from benchmarks.tables.closed import measure_closed, measure_journeys
from benchmarks.tables.ladder import measure_ladder
from benchmarks.tables.memory import measure_memory
from benchmarks.tables.open import measure_open, measure_workers
from benchmarks.tables.stalled import measure_stall, truth_of
from benchmarks.tables.startup import measure_startup
from benchmarks.targets import Tables
from surgeproof.errors import SurgeproofError

__all__ = ["FULL", "QUICK", "TABLES", "main"]

TABLES = ("closed", "open", "workers", "ladder", "stall", "journey", "startup", "memory")
# The ladder alone takes minutes, and memory needs very many requests.
_NOT_QUICK = ("ladder", "startup", "memory")
_ONLY_LONG = ("memory",)
FULL = Extent(
    name="full",
    repetitions=3,
    closed_s=3.0,
    open_s=4.0,
    skip_s=1.0,
    open_rates_per_s=(2000.0,),
    pairs=5,
    ladder_s=2.0,
    stall_every_s=10.0,
    stall_length_s=2.0,
    stall_phase_s=4.0,
    stall_rate_per_s=200.0,
    stall_s=20.0,
)
QUICK = Extent(
    name="quick",
    repetitions=1,
    closed_s=2.0,
    open_s=2.0,
    skip_s=0.5,
    open_rates_per_s=(500.0,),
    pairs=1,
    ladder_s=2.0,
    stall_every_s=5.0,
    stall_length_s=1.0,
    stall_phase_s=2.0,
    stall_rate_per_s=200.0,
    stall_s=5.0,
)
_WORKERS_RATE_PER_S = 2000.0
# A run of the ladder is short, and there are many.
_LADDER_SKIP_S = 0.5
_MEMORY_REQUESTS, _MEMORY_RATE_PER_S = 10_000_000, 20_000.0
_LATEST = Path(__file__).resolve().parent / "results" / "latest.json"
_NOT_READY = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.table:
            sys.stdout.write(short_table(json.loads(_LATEST.read_text(encoding="utf-8"))))
            return 0
        words = sys.argv[1:] if arguments is None else arguments
        result = _measure(options, " ".join(("python -m benchmarks", *words)))
    except SurgeproofError as error:
        _say(str(error))
        return error.exit_code
    except OSError as error:
        _say(str(error))
        return _NOT_READY
    sys.stdout.write(page(result.to_data()))
    out = options.out or (None if options.quick or options.only else _LATEST)
    if out is not None:
        out.write_text(result.to_json(), encoding="utf-8")
    ours = [name for name in result.skipped if name.partition(": ")[2].startswith(ENGINE)]
    return _NOT_READY if ours else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, shorter, fewer peers: a minute")
    parser.add_argument(
        "--only", type=_tables, default=(), help=f"tables, by comma: {', '.join(TABLES)}"
    )
    parser.add_argument("--out", type=Path, help="write every number as JSON to this file")
    parser.add_argument("--install", action="store_true", help="get the peers that are missing")
    parser.add_argument(
        "--long", action="store_true", help="with the memory over ten million requests"
    )
    parser.add_argument(
        "--table", action="store_true", help="print the last full run's main numbers, and end"
    )
    return parser


def _tables(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in TABLES:
            raise argparse.ArgumentTypeError(f"table {name!r}; accepted: {', '.join(TABLES)}")
    return names


def _measure(options: argparse.Namespace, command: str) -> Result:
    began, load_before = time.monotonic(), load_average()
    extent = QUICK if options.quick else FULL
    found = find_peers(cache_folder(), install=options.install, say=_say)
    machine = describe_machine(found.versions)
    skipped = dict(found.missing)
    wanted = options.only or TABLES
    for name in TABLES:
        reason = _left_out(name, options, wanted)
        if reason is not None:
            skipped[name] = reason
    versions = {peer.key: peer.version for peer in PEERS}
    field = choose_field(found.binaries, versions, quick=options.quick)
    with tempfile.TemporaryDirectory(prefix="surgeproof-bench-") as folder:
        judge = compile_judge(Path(folder))
        bench = Bench(judge, Cores.of_machine(), _say)
        tables = _measure_tables(bench, field, extent, lambda name: name not in skipped)
    return Result(
        command=command,
        machine=machine,
        extent=extent,
        cores=bench.cores,
        load_average=(load_before, load_average()),
        took_s=time.monotonic() - began,
        tables=tables,
        truth=truth_of(
            _stall(extent), rate_per_s=extent.stall_rate_per_s, duration_s=extent.stall_s
        ),
        skipped={**skipped, **bench.failures},
    )


def _left_out(name: str, options: argparse.Namespace, wanted: Sequence[str]) -> str | None:
    if name not in wanted:
        return "not asked for by --only"
    if name in options.only:
        return None
    if options.quick and name in _NOT_QUICK:
        return "left out of --quick"
    return "measured with --long only" if name in _ONLY_LONG and not options.long else None


def _stall(extent: Extent) -> Stall:
    return Stall(extent.stall_every_s, extent.stall_length_s, extent.stall_phase_s)


def _measure_tables(
    bench: Bench, field: Field, extent: Extent, is_wanted: Callable[[str], bool]
) -> Tables:
    times = extent.repetitions
    skip_s = extent.skip_s
    measures: dict[str, Callable[[], Sequence[object]]] = {
        "closed": lambda: measure_closed(
            bench, field.closed, duration_s=extent.closed_s, skip_s=skip_s, repetitions=times
        ),
        "open": lambda: measure_open(
            bench,
            field.open,
            extent.open_rates_per_s,
            duration_s=extent.open_s,
            skip_s=skip_s,
            repetitions=times,
        ),
        "workers": lambda: measure_workers(
            bench,
            *field.workers,
            rate_per_s=_WORKERS_RATE_PER_S,
            duration_s=extent.open_s,
            skip_s=skip_s,
            pairs=extent.pairs,
        ),
        "stall": lambda: measure_stall(
            bench,
            field.stall,
            _stall(extent),
            rate_per_s=extent.stall_rate_per_s,
            duration_s=extent.stall_s,
        ),
        "journey": lambda: measure_journeys(
            bench, field.journey, duration_s=extent.closed_s, repetitions=times
        ),
        "startup": lambda: measure_startup(bench, field.startup, repetitions=times),
        # Near the end: what a collapse leaves behind is then nobody else's trouble.
        "ladder": lambda: measure_ladder(
            bench, field.ladder, duration_s=extent.ladder_s, skip_s=_LADDER_SKIP_S
        ),
        "memory": lambda: measure_memory(
            bench,
            field.memory,
            requests=_MEMORY_REQUESTS,
            rate_per_s=_MEMORY_RATE_PER_S,
            users=1,
        ),
    }
    found = {name: measure() for name, measure in measures.items() if is_wanted(name)}
    return Tables(**found)  # type: ignore[arg-type] # each measure returns its table's rows


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
