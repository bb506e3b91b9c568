"""Reading the ledger back with k6: ``python -m surgeproof.load.k6.read_back --order load.json``.

The script's ``readBack(data, kind, key)`` says for every write that was acknowledged, or whose
fate is unknown, how often it is found now; ``data`` is what its ``setup`` returned. The result is
that of `surgeproof.load.read_back`: ``<run>/read_back.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError, SurgeproofError, UsageError
from surgeproof.load.handover import LoadOrder
from surgeproof.load.k6.binary import find_k6, k6_environment, start_k6
from surgeproof.load.k6.driver import entry_text
from surgeproof.load.k6.exit_codes import exit_of
from surgeproof.load.k6.options import REPLACED
from surgeproof.load.read_back import Key, find_keys

__all__ = ["findings_of", "main"]

_LOG = logging.getLogger("surgeproof.load")
_AT_ONCE = 20
_PATIENCE_S, _PAUSE_S = 5.0, 0.25
_LONGEST_S = 300.0

Findings = dict[Key, tuple[int | None, int | None]]


def findings_of(lines: Iterable[bytes], keys: Sequence[Key]) -> Findings:
    """Return what the first and the last read of each key found, None for one that failed."""
    findings: Findings = dict.fromkeys(keys, (None, None))
    for line in lines:
        try:
            point = json.loads(line)
        except ValueError:
            continue
        if point.get("metric") == "surgeproof_found" and point.get("type") == "Point":
            index, first, last = json.loads(point["data"]["metadata"]["found"])
            findings[keys[index]] = (first, last)
    return findings


def main(arguments: Sequence[str] | None = None, find: Callable[[], Path] = find_k6) -> int:
    """Run as a program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="surgeproof.load.k6.read_back", description=__doc__)
    parser.add_argument("--order", type=Path, required=True, help="the run's load.json")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        order = LoadOrder.read(options.order)
        if order.samples is None:
            raise UsageError(f"{options.order} has no samples folder, so there is no ledger")
        keys = find_keys(order.samples)
        findings = _read(order, order.samples, keys, find()) if keys else {}
    except SurgeproofError as error:
        _LOG.error("%s", error)
        return error.exit_code
    result: dict[str, dict[str, tuple[int | None, int | None]]] = {
        kind: {} for kind in order.ledger_kinds
    }
    for (kind, key), found in findings.items():
        result.setdefault(kind, {})[key] = found
    target = order.samples.parent / "read_back.json"
    unfinished = target.with_suffix(".part")
    unfinished.write_text(json.dumps(result, indent=1), encoding="utf-8")
    unfinished.replace(target)
    return 0


def _read(order: LoadOrder, samples: Path, keys: Sequence[Key], binary: Path) -> Findings:
    entry, plan_path = samples / "k6-entry-read-back.js", samples / "k6-plan-read-back.json"
    entry.write_text(entry_text("read_back.js", order.load.file), encoding="utf-8")
    keys_path = samples / "k6-keys.json"
    keys_path.write_text(json.dumps([{"kind": kind, "key": key} for kind, key in keys]), "utf-8")
    picks_path = samples / "k6-picks-read-back.json"
    picks_path.write_text("[]", encoding="utf-8")
    scenario = {
        "executor": "shared-iterations",
        "vus": min(_AT_ONCE, len(keys)),
        "iterations": len(keys),
        "maxDuration": f"{_LONGEST_S:g}s",
    }
    plan = {
        "options": {"scenarios": {"read_back": scenario}, "setupTimeout": "60s"},
        "replaced": REPLACED,
        "base_url": order.base_url.rstrip("/"),
        "seed": order.seed,
        "timeout": f"{round(order.load.timeouts.total_s * 1e3)}ms",
        "journeys": [],
        "picks": str(picks_path.absolute()),
        "keys": str(keys_path.absolute()),
        "ledger_kinds": order.ledger_kinds,
        "patience_ms": _PATIENCE_S * 1e3,
        "pause_s": _PAUSE_S,
    }
    plan_path.write_text(json.dumps(plan), encoding="utf-8")
    environment = k6_environment(os.environ, plan_path, order.ca_bundle)
    process = start_k6(binary, entry, order.load.file.absolute(), environment)
    try:
        output, _ = process.communicate(timeout=2 * _LONGEST_S)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentNotReadyError("k6 did not come to an end reading back") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    ended = exit_of(process.returncode, begun=True)
    if ended.ours:
        raise EnvironmentNotReadyError(f"the ledger was not read back: {ended.words}")
    return findings_of(output.splitlines(), keys)


if __name__ == "__main__":
    sys.exit(main())
