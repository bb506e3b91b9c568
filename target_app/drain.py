"""``python -m target_app drain``: take a region out of the entry's balance, step by step.

A runbook with conditions: it begins only if another region is ready, goes on to the next step only
while the entry's errors stay rare, and puts the balance back if they do not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from target_app.clock import Clock, SystemClock
from target_app.entry import EndpointFile, find_endpoint_file, read_page

__all__ = ["Drain", "DrainError", "main", "shifted"]

# The weight of a region that takes its full part; steps are percentages of it.
_FULL = 100
_ANSWERED = "envoy_cluster_upstream_rq_completed"
_POLL_S = 0.1


class DrainError(RuntimeError):
    """A condition of the runbook does not hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The running entry: its Envoy's admin port, and the gateways' ports by region."""

    admin_port: int
    regions: Mapping[str, tuple[int, ...]]

    @classmethod
    def from_stack(cls, path: Path) -> Entry:
        """Read the ports in a run's ``stack.json``; ``gateway-b`` is a gateway of region b."""
        ports: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["ports"]
        regions: dict[str, tuple[int, ...]] = {}
        for name, port in ports.items():
            role, _, region = name.partition("-")
            if role == "gateway":
                regions[region or "a"] = (*regions.get(region or "a", ()), port)
        return cls(ports["envoy-admin"], regions)

    def counts(self) -> tuple[int, int]:
        """Return how many requests the gateways have answered, and with how many 5xx."""
        answered = failed = 0
        for line in read_page(self.admin_port, "/stats/prometheus?filter=upstream_rq").splitlines():
            name, _, value = line.rpartition(" ")
            if 'envoy_cluster_name="gateway"' in name:
                answered += int(value) if name.startswith(_ANSWERED + "{") else 0
                # 5xx is the response code class of the counter upstream_rq_xx.
                is_failure = 'envoy_response_code_class="5"' in name
                failed += int(value) if is_failure else 0
        return answered, failed

    def in_flight(self, region: str) -> int:
        """Return the requests that the entry still has with a region's gateways."""
        page = json.loads(read_page(self.admin_port, "/clusters?format=json"))
        active = 0
        for cluster in page["cluster_statuses"]:
            for host in cluster.get("host_statuses", ()):
                port = host["address"]["socket_address"]["port_value"]
                if cluster["name"] == "gateway" and port in self.regions[region]:
                    active += sum(
                        int(stat.get("value", 0))
                        for stat in host["stats"]
                        if stat["name"] == "rq_active"
                    )
        return active


def shifted(regions: Mapping[str, Sequence[int]], region: str, percent: int) -> dict[int, int]:
    """Return the weights by port with ``region`` at so many percent of its full part."""
    return {
        port: percent if name == region else _FULL
        for name, ports in regions.items()
        for port in ports
    }


@dataclass(frozen=True, slots=True)
class Drain:
    """One drain of ``region`` in ``steps`` (percent of its part), each held for ``hold_s``."""

    entry: Entry
    endpoints: EndpointFile
    clock: Clock
    region: str
    steps: Sequence[int]
    hold_s: float
    max_errors: float
    settle_s: float = 10.0

    def run(self) -> float:
        """Drain, and return how many seconds it took; raise :class:`DrainError` if undone."""
        self._check_before()
        before = self.endpoints.weights()
        started_s = self.clock.monotonic()
        try:
            for percent in self.steps:
                self._step(percent)
            self._wait_until_quiet()
        except (DrainError, OSError):
            self.endpoints.write(before)
            raise
        return self.clock.monotonic() - started_s

    def _check_before(self) -> None:
        accepted = ", ".join(sorted(self.entry.regions))
        if self.region not in self.entry.regions:
            raise DrainError(f"no region {self.region!r} (accepted: {accepted})")
        others = [
            port
            for region, ports in self.entry.regions.items()
            if region != self.region
            for port in ports
        ]
        if not any(_is_ready(port) for port in others):
            raise DrainError(f"before the drain of {self.region!r}: no other region is ready")

    def _step(self, percent: int) -> None:
        answered, failed = self.entry.counts()
        self.endpoints.write(shifted(self.entry.regions, self.region, percent))
        time.sleep(self.hold_s)
        answered_now, failed_now = self.entry.counts()
        errors = failed_now - failed
        answers = answered_now - answered
        ratio = errors / max(answers, 1)
        _say(f"{self.region} at {percent}%: {answers} answered, {errors} failed")
        if ratio > self.max_errors:
            raise DrainError(
                f"at {percent}% of {self.region!r}: {ratio:.1%} of answers failed"
                f" (accepted: {self.max_errors:.1%}); the balance is as before"
            )

    def _wait_until_quiet(self) -> None:
        limit_s = self.clock.monotonic() + self.settle_s
        while (left := self.entry.in_flight(self.region)) > 0:
            if self.clock.monotonic() > limit_s:
                raise DrainError(f"after the drain: {left} requests are still in {self.region!r}")
            time.sleep(_POLL_S)


def main(arguments: Sequence[str]) -> int:
    """Drain a region of a running stack; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m target_app drain", description=__doc__)
    parser.add_argument("--stack", type=Path, required=True, help="stack.json of the running stack")
    parser.add_argument("--region", required=True)
    parser.add_argument("--steps", default="50,10,0", help="percent of the region's full part")
    parser.add_argument("--hold", type=float, default=2.0, help="seconds between steps")
    parser.add_argument("--max-errors", type=float, default=0.01, help="share that stops it")
    options = parser.parse_args(arguments)
    steps = [int(step) if step.isdigit() else -1 for step in options.steps.split(",")]
    if not all(0 <= step <= _FULL for step in steps):
        parser.error(f"--steps is {options.steps!r} (accepted: whole numbers, 0 to {_FULL})")
    try:
        entry = Entry.from_stack(options.stack)
        took_s = Drain(
            entry,
            find_endpoint_file(entry.admin_port),
            SystemClock(),
            options.region,
            steps,
            options.hold,
            options.max_errors,
        ).run()
    except (DrainError, LookupError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _say(f"{options.region} is at {steps[-1]}% after {took_s:.1f} s")
    return 0


def _is_ready(port: int) -> bool:
    try:
        read_page(port, "/readyz")
    except OSError:
        return False
    return True


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
