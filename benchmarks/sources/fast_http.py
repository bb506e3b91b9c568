"""Locust's own fast client at a rate per user that Locust paces, as its documentation shows."""

from __future__ import annotations

import os

import gevent
from locust import FastHttpUser, constant_throughput, events, task


def count_the_run_time_from_now(**_: object) -> None:
    """Take start-up out of the run time, to Locust's benefit.

    gevent counts timers from when its loop last looked at the clock, which was before Locust's
    imports: on a busy machine a run of two seconds would be over as it begins.
    """
    gevent.get_hub().loop.update_now()


events.init.add_listener(count_the_run_time_from_now)  # type: ignore[no-untyped-call] # Locust


class OneRequest(FastHttpUser):
    """Sends ``GET /`` so many times a second, as long as the answers come fast enough."""

    wait_time = constant_throughput(float(os.environ["BENCHMARK_RATE_PER_USER"]))

    @task
    def read(self) -> None:
        self.client.get("/")
