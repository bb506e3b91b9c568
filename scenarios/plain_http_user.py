"""Plain Locust users, as any locustfile has them: nothing in here knows of surgeproof.

``surgeproof run scenarios/plain_http_user.yaml`` runs their tasks by the plan's arrivals. `Reader`
uses Locust's slow client and `Poster` its fast one; they could be one class as well.
"""

from __future__ import annotations

import random

from locust import FastHttpUser, HttpUser, TaskSet, between, task

# Seeded accounts are u00000 … u09999, all with this password.
SEEDED = 10_000
PASSWORD = "launch-day"  # noqa: S105 - of the generated accounts of a rehearsal


def a_handle() -> str:
    """Return the handle of one of the seeded accounts."""
    return f"u{random.randrange(SEEDED):05d}"


class Reader(HttpUser):
    """Somebody who looks around."""

    weight = 3
    wait_time = between(1, 3)

    def on_start(self) -> None:
        credentials = {"handle": a_handle(), "password": PASSWORD}
        answer = self.client.post("/v1/sessions", json=credentials)
        answer.raise_for_status()
        self.client.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    @task(2)
    def look_at_trending(self) -> None:
        self.client.get("/v1/trending")

    @task
    class Profiles(TaskSet):
        """Looking at people, one after another."""

        @task(4)
        def look(self) -> None:
            handle = a_handle()
            with self.client.get(
                f"/v1/users/{handle}", name="/v1/users/{handle}", catch_response=True
            ) as answer:
                if answer.ok and answer.json()["handle"] != handle:
                    answer.failure("somebody else's profile")

        @task
        def turn_away(self) -> None:
            self.interrupt()  # type: ignore[no-untyped-call] # Locust's


class Poster(FastHttpUser):
    """Somebody who reads the feed and writes now and then."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        credentials = {"handle": a_handle(), "password": PASSWORD}
        answer = self.client.post("/v1/sessions", json=credentials)
        answer.raise_for_status()  # type: ignore[no-untyped-call] # Locust's
        self.headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    @task(4)
    def read_feed(self) -> None:
        self.client.get("/v1/feed/home", headers=self.headers)

    @task
    def post(self) -> None:
        key = f"{random.getrandbits(64):016x}"
        self.client.post(
            "/v1/posts",
            json={"text": f"We are live {key}"},
            headers={**self.headers, "Idempotency-Key": key},
        )
