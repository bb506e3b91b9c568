"""surgeproof as a load generator: headless Locust with its journal written, as under its harness.

Its closed-loop row is an open schedule far above the ceiling, over as many connections as the
others have users: every arrival waits its turn, and the server says how many got it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.job import Job, Launch, Work
from benchmarks.processes import last_words
from benchmarks.stall import ResponseTimes
from benchmarks.tools.native import or_raise
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.journal.samples import read_samples
from surgeproof.load.handover import LoadOrder, ready_file, write_start
from surgeproof.load.locust_process import (
    generator_environment,
    locust_command,
    master_command,
    worker_command,
    worker_environment,
)
from surgeproof.model.plan import ArrivalPart, Load, Phase, Timeouts

__all__ = ["Surgeproof"]

_SOURCES = Path(__file__).resolve().parents[1] / "sources"
# What is left between "prepared" and the first arrival.
_LEAD_S = 0.1
_POLL_S = 0.01
_PREPARE_S = 30.0
# Of a saturating run: how long nobody gives up waiting, and what is left after the judged part.
_PATIENCE_S = 120.0
_NAMES = {Work.GET: "GET /", Work.JOURNEY: "journey"}


@dataclass(frozen=True, slots=True)
class Surgeproof:
    """One scenario file of ours in `benchmarks/sources`.

    ``saturating_per_s`` is what it is asked for where others run a closed loop: more than it can
    do, with as many arrivals under way as others have users. ``connections`` is the pool of open
    schedules, None the plan's default. ``is_plain`` is for a file of ordinary Locust users, which
    get our client. With more ``workers`` than one a master deals the schedule to them, all on one
    core.
    """

    source: str
    name: str = "surgeproof"
    saturating_per_s: float = 120_000.0
    connections: int | None = None
    workers: int = 1
    is_plain: bool = False

    def launch(self, job: Job) -> Launch:
        order = self._order(job)
        path = job.folder / "load.json"
        path.write_text(order.to_json(), encoding="utf-8")
        samples = job.folder / "samples"
        samples.mkdir()

        def begin(is_running: Callable[[], bool]) -> None:
            deadline = time.monotonic() + _PREPARE_S
            while not ready_file(samples, order.generator).exists():
                if not is_running():
                    return  # whoever waits for its end says why
                if time.monotonic() > deadline:
                    raise EnvironmentNotReadyError(
                        f"{self.name} was not prepared in {_PREPARE_S:g} s:"
                        f" {last_words(job.folder)}"
                    )
                time.sleep(_POLL_S)
            write_start(samples, time.monotonic() + _LEAD_S)

        environment = generator_environment(os.environ, path, {})
        stop_after_s = job.duration_s + _LEAD_S if job.rate_per_s is None else None
        command = locust_command(order)
        companions: tuple[tuple[list[str], dict[str, str]], ...] = ()
        if self.workers > 1:
            port = _free_port()
            command = master_command(order, port)
            worker = (worker_command(order, port), worker_environment(os.environ))
            companions = (worker,) * self.workers
        return Launch(command, environment, begin, stop_after_s, companions=companions)

    def reported(self, job: Job) -> ResponseTimes:
        """Read the journal: response times, from the intended start."""
        times_s = read_samples(job.folder / "samples").response_time_s
        or_raise(self.name, len(times_s))
        # An attempt that never ended took longer than any that did.
        return ResponseTimes.of(np.where(np.isnan(times_s), np.inf, times_s))

    def _order(self, job: Job) -> LoadOrder:
        rate = self.saturating_per_s if job.rate_per_s is None else job.rate_per_s
        name = _NAMES[job.work]
        load = Load(
            file=_SOURCES / self.source,
            engine="locust",
            unit="request" if job.work is Work.GET else "session",
            phases=(
                Phase("even", 0.0, job.duration_s, (ArrivalPart("constant", {"rate": rate}),)),
            ),
            mixes={} if self.is_plain else {"default": {name: 1.0}},
            workers=self.workers,
            client="surgeproof" if self.is_plain else "locust",
        )
        if self.connections is not None:
            load = replace(load, connections=self.connections)
        if job.rate_per_s is None:
            timeouts = Timeouts(total_s=_PATIENCE_S)
            # As many under way as others have users, and the rest dropped: that is a closed loop.
            load = replace(load, connections=job.users, max_in_flight=job.users, timeouts=timeouts)
        return LoadOrder(seed=1, base_url=job.url, load=load, samples=job.folder / "samples")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
