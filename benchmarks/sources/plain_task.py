"""Ordinary Locust code in the benchmarks: a synchronous task, with whichever client it is given."""

from __future__ import annotations

from locust import FastHttpUser, task


class Plain(FastHttpUser):
    """Sends one GET for each task."""

    @task
    def read(self) -> None:
        """Send one request."""
        self.client.get("/")
