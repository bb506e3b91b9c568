"""Runs built by hand: each row says when it was meant to go, how long it took and what came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from surgeproof.model.plan import Endpoint, Window
from surgeproof.model.samples import Drops, Labels, Samples
from surgeproof.model.words import Tier
from surgeproof.slo.run_data import RunData

Row = Mapping[str, Any]
FEED = "GET /v1/feed/home"
POST = "POST /v1/posts"


def make_samples(rows: Sequence[Row]) -> Samples:
    """Rows: at, took (None: never ended), lag, name, tier, phase, outcome, attempt, step."""
    ordered = sorted(rows, key=lambda row: float(row["at"]))

    def numbers(kind: Any, value: Callable[[Row], Any]) -> Any:
        return np.array([value(row) for row in ordered], dtype=kind)

    def words(key: str, default: str) -> Labels:
        return Labels.of([str(row.get(key, default)) for row in ordered])

    def end(row: Row) -> float:
        took = row.get("took", 0.1)
        return float("nan") if took is None else float(row["at"]) + float(took)

    count = len(ordered)
    zeros = np.zeros(count)
    return Samples(
        intended_s=numbers(np.float64, lambda row: row["at"]),
        start_s=numbers(np.float64, lambda row: row["at"] + row.get("lag", 0.0)),
        first_byte_s=zeros,
        end_s=numbers(np.float64, end),
        generator=zeros.astype(np.uint16),
        session=zeros.astype(np.uint64),
        step=numbers(np.uint16, lambda row: row.get("step", 1)),
        attempt=numbers(np.uint8, lambda row: row.get("attempt", 1)),
        name=words("name", FEED),
        method=Labels.of([str(row.get("name", FEED)).split(" ")[0] for row in ordered]),
        tier=words("tier", "T0"),
        phase=words("phase", "surge"),
        outcome=words("outcome", "full"),
        error_kind=words("error_kind", ""),
        degraded=words("degraded", ""),
        status=numbers(np.uint16, lambda row: row.get("status", 200)),
        sent_bytes=zeros.astype(np.uint64),
        received_bytes=zeros.astype(np.uint64),
        items=numbers(np.int32, lambda row: -1),
        items_full=numbers(np.int32, lambda row: -1),
    )


def make_drops(rows: Sequence[Row]) -> Drops:
    return Drops(
        np.array([float(row["at"]) for row in rows]),
        Labels.of([str(row.get("name", FEED)) for row in rows]),
        Labels.of([str(row.get("tier", "T0")) for row in rows]),
        Labels.of([str(row.get("phase", "surge")) for row in rows]),
    )


@pytest.fixture
def samples_of() -> Callable[[Sequence[Row]], Samples]:
    return make_samples


@pytest.fixture
def drops_of() -> Callable[[Sequence[Row]], Drops]:
    return make_drops


@pytest.fixture
def run_of() -> Callable[..., RunData]:
    """Make run data of 100 s with two endpoints; keywords replace parts of it."""

    def make(rows: Sequence[Row], drops: Sequence[Row] = (), **parts: Any) -> RunData:
        given: dict[str, Any] = {
            "run": Window("run", 0.0, 100.0),
            "endpoints": (Endpoint(FEED, Tier.T0, 1.0), Endpoint(POST, Tier.T1, 2.0)),
            "phases": (Window("warmup", 0.0, 10.0), Window("surge", 10.0, 100.0)),
        }
        return RunData(make_samples(rows), make_drops(drops), **{**given, **parts})

    return make


@pytest.fixture
def steady_rows() -> Callable[..., list[dict[str, Any]]]:
    """Make evenly spaced rows: ``rate`` a second from start to end, each with ``row`` on top."""

    def make(start: float, end: float, rate: int = 10, **row: Any) -> list[dict[str, Any]]:
        count = round((end - start) * rate)
        return [{"at": start + (index + 0.5) / rate, **row} for index in range(count)]

    return make
