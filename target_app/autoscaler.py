"""``python -m target_app autoscaler``: as many gateways and workers as the load asks for.

The rule is that of Kubernetes' HorizontalPodAutoscaler: desired = ceil(current x metric / target),
nothing within a tolerance of the target, up at once, down only to the highest wish of the last
while. The first replica of a role belongs to the stack and is never ended.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from target_app.clock import Clock, SystemClock
from target_app.entry import EndpointFile, find_endpoint_file, read_page, read_samples

__all__ = ["Fleet", "HpaRule", "ScalingPolicy", "main"]

_READY_S = 15.0
_DRAIN_S = 3.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What a role is scaled on: ``metric`` of its replicas, meant to be ``target`` on each."""

    role: str
    metric: str
    target: float
    most: int
    is_shared: bool = False
    tolerance: float = 0.1
    stabilisation_s: float = 20.0


# Eight requests at a time keep one gateway's event loop busy; a worker fans out some hundred
# events while a reader would begin to notice. The lag is one number that all workers see.
GATEWAY = ScalingPolicy("gateway", "app_http_in_flight", 8, most=3)
WORKER = ScalingPolicy("worker", "app_stream_lag_messages", 200, most=4, is_shared=True)


class HpaRule:
    """Turns what was measured into a number of replicas."""

    def __init__(self, policy: ScalingPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._wishes: deque[tuple[float, int]] = deque()

    def desired(self, current: int, per_replica: float) -> int:
        """Return how many replicas there should be, 1 to the policy's most."""
        policy = self._policy
        ratio = per_replica / policy.target
        wish = current
        if abs(ratio - 1) > policy.tolerance:
            wish = min(max(math.ceil(current * ratio), 1), policy.most)
        now_s = self._clock.monotonic()
        self._wishes.append((now_s, wish))
        while self._wishes[0][0] < now_s - policy.stabilisation_s:
            self._wishes.popleft()
        if wish >= current:
            return wish
        return min(max(each for _, each in self._wishes), current)


class Fleet:
    """The replicas of one role; with ``endpoints`` they are named to the entry."""

    def __init__(
        self,
        policy: ScalingPolicy,
        first_port: int,
        endpoints: EndpointFile | None,
        clock: Clock,
        command: Sequence[str],
    ) -> None:
        self.policy = policy
        self._rule = HpaRule(policy, clock)
        self._first_port = first_port
        self._endpoints = endpoints
        self._clock = clock
        self._command = command
        self._added: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of all replicas, the stack's own first."""
        return (self._first_port, *self._added)

    def step(self) -> None:
        """Measure once, and start or end replicas until there are as many as desired."""
        self._bury_the_dead()
        found = [sum(read_samples(port, self.policy.metric)) for port in self.ports]
        # A lag that all replicas share counts once: more of them make each one's part smaller.
        total = max(found) if self.policy.is_shared else sum(found)
        desired = self._rule.desired(len(found), total / len(found))
        while len(self.ports) < desired and self._add():
            pass
        while len(self.ports) > desired:
            self._end_newest()

    def close(self) -> None:
        """End all replicas that were added, at once: the entry before them is going too."""
        for process in self._added.values():
            process.terminate()
        for process in self._added.values():
            _wait(process)
        self._added.clear()

    def _add(self) -> bool:
        with socket.socket() as chooser:
            chooser.bind(("127.0.0.1", 0))
            port: int = chooser.getsockname()[1]
        environment = os.environ | {"APP_PORT": str(port)}
        process = subprocess.Popen([*self._command, self.policy.role], env=environment)
        limit_s = self._clock.monotonic() + _READY_S
        while self._clock.monotonic() < limit_s and process.poll() is None:
            with contextlib.suppress(OSError):
                read_page(port, "/readyz")
                self._added[port] = process
                self._tell_entry()
                _say(f"{self.policy.role}: {len(self.ports)} replicas, one more at port {port}")
                return True
            time.sleep(_POLL_S)
        process.kill()
        process.wait()
        _say(f"{self.policy.role}: a replica was not ready within {_READY_S:.0f} s")
        return False

    def _end_newest(self) -> None:
        port, process = self._added.popitem()
        # First no new requests, then the end of those that are under way, then the process.
        self._tell_entry()
        limit_s = self._clock.monotonic() + _DRAIN_S
        with contextlib.suppress(OSError):
            while self._clock.monotonic() < limit_s:
                time.sleep(_POLL_S)
                if self._endpoints is None or not sum(read_samples(port, "app_http_in_flight")):
                    break
        process.terminate()
        _wait(process)
        _say(f"{self.policy.role}: {len(self.ports)} replicas, ended the one at port {port}")

    def _bury_the_dead(self) -> None:
        dead = [port for port, process in self._added.items() if process.poll() is not None]
        for port in dead:
            del self._added[port]
            _say(f"{self.policy.role}: the replica at port {port} died")
        if dead:
            self._tell_entry()

    def _tell_entry(self) -> None:
        if self._endpoints is not None:
            self._endpoints.write(dict.fromkeys(self.ports, 1))


def main(arguments: Sequence[str]) -> int:
    """Scale until SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m target_app autoscaler", description=__doc__)
    for name, what in (
        ("port", "of our own health and metrics page"),
        ("entry", "of the entry's admin page"),
        ("gateway", "of the first gateway"),
        ("worker", "of the first worker"),
    ):
        parser.add_argument(f"--{name}", type=int, required=True, help=f"port {what}")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks")
    options = parser.parse_args(arguments)
    clock = SystemClock()
    command = (sys.executable, "-m", "target_app")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    registry = CollectorRegistry()
    replicas = Gauge("app_replicas", "Replicas of a role.", ["role"], registry=registry)
    # It answers every path, /readyz too: without an entry or a worker it is ready all the same.
    start_http_server(options.port, "127.0.0.1", registry)
    fleets: list[Fleet] = []
    while not fleets and not ended.wait(_POLL_S):
        with contextlib.suppress(OSError):
            file = find_endpoint_file(options.entry)
            fleets += [
                Fleet(GATEWAY, options.gateway, file, clock, command),
                Fleet(WORKER, options.worker, None, clock, command),
            ]
    while not ended.wait(options.every):
        for fleet in fleets:
            try:
                fleet.step()
            except OSError as error:
                _say(f"{fleet.policy.role}: not measured: {error}")
            replicas.labels(fleet.policy.role).set(len(fleet.ports))
    for fleet in fleets:
        fleet.close()
    return 0


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=_DRAIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
