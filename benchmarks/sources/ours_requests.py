"""The engine tier in the benchmarks: a declared request, no coroutine for an arrival."""

from __future__ import annotations

from surgeproof.load import OpenLoopUser, request


class Requests(OpenLoopUser):
    """Sends one GET for each arrival."""

    read = request("GET", "/", name="GET /")
