"""What a k9 script runs in the benchmarks: one GET, awaited."""

from __future__ import annotations

import json

import k9  # type: ignore[import-not-found] # of the peer's own environment

options = json.loads(k9.env["BENCHMARK_OPTIONS"])
URL = k9.env["BENCHMARK_URL"] + "/"


async def default() -> None:
    """Send one request and wait for its answer."""
    await k9.http.get(URL)
