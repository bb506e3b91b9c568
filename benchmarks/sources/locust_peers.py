"""Locust's own users in the benchmarks: one GET, or a journey with state."""

from __future__ import annotations

import os

import gevent
from locust import FastHttpUser, HttpUser, constant_throughput, events, task

_RATE = os.environ.get("BENCHMARK_RATE_PER_USER")
_BASE = {"fast": FastHttpUser, "http": HttpUser}[os.environ["BENCHMARK_USER"]]


def count_the_run_time_from_now(**_: object) -> None:
    """Take start-up out of the run time, to Locust's benefit.

    gevent counts timers from when its loop last looked at the clock, which was before Locust's
    imports: on a busy machine a run of two seconds would be over as it begins.
    """
    gevent.get_hub().loop.update_now()


events.init.add_listener(count_the_run_time_from_now)  # type: ignore[no-untyped-call] # Locust


class Peer(_BASE):  # type: ignore[misc,valid-type] # chosen by the job
    """Does its work as often as asked, as long as the answers come fast enough."""

    if _RATE is not None:
        wait_time = constant_throughput(float(_RATE))

    if os.environ["BENCHMARK_WORK"] == "journey":

        @task
        def journey(self) -> None:
            """Log in, post, and read back with the token."""
            user = f"u{id(self)}"
            token = self.client.post("/login", json={"user": user}).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
            text = f"words of {user}"
            post = self.client.post("/posts", json={"text": text}, headers=headers).json()["id"]
            back = self.client.get(f"/posts/{post}", headers=headers, name="/posts/{id}")
            if back.json()["text"] != text:
                raise AssertionError(f"read back {back.text}")

    else:

        @task
        def read(self) -> None:
            """Send one request."""
            self.client.get("/")
