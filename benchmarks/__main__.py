"""Run the benchmarks: ``python -m benchmarks [--quick] [--out FILE]``.

Exits 0 when everything was measured, whatever the numbers, and 6 when a tool could not be run. A
missing k6 is no failure: its rows are left out, and the page says why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine, load_average
from benchmarks.measurement import FULL, QUICK, Extent, measure_open, measure_stall
from benchmarks.page import Result
from benchmarks.pinned import Cores
from benchmarks.tools import K6, FastHttp, Surgeproof, Tool
from surgeproof.errors import EnvironmentNotReadyError, SurgeproofError
from surgeproof.load.k6 import find_k6

# Few enough to be usual, many enough for the rates here (each has its answer within a millisecond).
_OPEN_USERS = 50
# What Locust says of a stall hangs on its users: a usual number, and as many as k6 is given.
_STALL_USERS = (20, 500)
# Enough for k6 to drop nothing, also while the server stands still.
_K6_OPEN_USERS, _K6_STALL_USERS = 100, 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, shorter, one rate: a smoke run")
    parser.add_argument("--out", type=Path, help="write every number as JSON to this file")
    options = parser.parse_args(arguments)
    try:
        result = _measure(QUICK if options.quick else FULL)
        print(result.to_text(), end="")
        if options.out is not None:
            options.out.write_text(result.to_json(), encoding="utf-8")
    except SurgeproofError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


@dataclass(frozen=True, slots=True)
class Field:
    """Who takes part; ``skipped`` maps a tool that cannot to the reason."""

    open: tuple[Tool, ...]
    stall: tuple[Tool, ...]
    k6: Path | None
    skipped: Mapping[str, str]


def choose_tools(find: Callable[[], Path] = find_k6) -> Field:
    """Return the tools that this machine has."""
    opened: tuple[Tool, ...] = (Surgeproof(), FastHttp(_OPEN_USERS))
    stalled: tuple[Tool, ...] = (
        Surgeproof(),
        *(FastHttp(users, f"Locust FastHttpUser, {users} users") for users in _STALL_USERS),
    )
    try:
        k6 = find()
    except EnvironmentNotReadyError as error:
        return Field(opened, stalled, None, {"k6": str(error)})
    return Field((*opened, K6(k6, _K6_OPEN_USERS)), (*stalled, K6(k6, _K6_STALL_USERS)), k6, {})


def _measure(extent: Extent) -> Result:
    field = choose_tools()
    cores = Cores.of_machine()
    load_before = load_average()
    opened = measure_open(field.open, extent, cores, _say)
    stalled = measure_stall(field.stall, extent, cores, _say)
    rate, duration_s = extent.stall_rate_per_s, extent.stall_duration_s
    return Result(
        machine=describe_machine(field.k6),
        extent=extent,
        cores=cores,
        load_average=(load_before, load_average()),
        open=tuple(opened),
        truth=extent.stall.truth(rate_per_s=rate, duration_s=duration_s),
        truth_in_stall=extent.stall.holds(np.arange(round(rate * duration_s)) / rate),
        stall=tuple(stalled),
        skipped=field.skipped,
    )


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
