"""Load on the running stack by the real generator, on the same cores, in the launch mix."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Rung", "climb", "hold"]

_FEED = 'http.response_time{name="GET /v1/feed/home"}'
_PLAN = """\
version: 1
name: rung
seed: 1
target: {{driver: external, base_url: "{url}"}}
timeout: 5m
endpoints:
  - {{name: "GET /v1/feed/home", tier: T0, deadline: 1s}}
load:
  file: {scenario}
  engine: locust
  unit: request
  mix: {root}/scenarios/mix.toml
  phases:
    - {{name: warmup, duration: 3s, mix: launch_hour, arrivals: {{constant: {{rate: {warm}/s}}}}}}
    - name: hold
      duration: {hold}s
      mix: launch_hour
      arrivals: {{constant: {{rate: {rate}/s}}}}
gates:
  - 'goodput: rate > 0/s during hold'
  - 'http.errors: rate < 100% during hold'
  - '{feed}: p95 < 1h during hold'
  - 'http.response_time: p99 < 1h during hold'
  - 'arrivals.lag: p95 < 1h during hold'
"""
# The goodput has stopped to rise where so much of what is offered is not served in time.
_SERVED = 0.95
_RATES = (50, 100, 150, 200, 250, 300, 350, 400, 500, 600, 800)


@dataclass(frozen=True, slots=True)
class Rung:
    """What came of one rate; times in milliseconds, None where too little was measured."""

    offered_per_s: float
    goodput_per_s: float
    errors: float
    feed_p95_ms: float | None
    p99_ms: float | None
    lag_p95_ms: float | None

    @property
    def is_served(self) -> bool:
        """Whether nearly all that was offered was served in time."""
        return self.goodput_per_s >= _SERVED * self.offered_per_s


def hold(
    url: str, rate: float, folder: Path, *, hold_s: int = 15, scenario: str = "launch_day"
) -> Rung:
    """Offer one rate for a while and return what came of it.

    Raises:
        RuntimeError: the generator gave no result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = Path.cwd()
    plan = folder / f"{scenario}-{rate:g}.yaml"
    text = _PLAN.format(
        url=url,
        root=root,
        scenario=root / "scenarios" / f"{scenario}.py",
        rate=f"{rate:g}",
        warm=f"{rate / 2:g}",
        hold=hold_s,
        feed=_FEED,
    )
    plan.write_text(text, encoding="utf-8")
    runs = folder / plan.stem
    command = [sys.executable, "-m", "surgeproof", "run", str(plan), "--out", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [path for path in runs.glob("*/result.json") if not path.parent.is_symlink()]
    if not found:
        raise RuntimeError(f"{rate:g}/s gave no result:\n{done.stdout}{done.stderr}")
    values = [gate["value"] for gate in json.loads(found[0].read_text())["gates"]]
    if values[0] is None:
        raise RuntimeError(f"{rate:g}/s was not measured:\n{done.stdout}{done.stderr}")
    feed, p99, lag = (None if value is None else value * 1000 for value in values[2:])
    return Rung(rate, values[0], values[1] or 0.0, feed, p99, lag)


def climb(url: str, folder: Path) -> list[Rung]:
    """Offer more and more until twice in a row it is not served; the knee is the best goodput."""
    rungs: list[Rung] = []
    for rate in _RATES:
        rungs.append(hold(url, rate, folder))
        if len(rungs) > 1 and not rungs[-1].is_served and not rungs[-2].is_served:
            break
    return rungs
