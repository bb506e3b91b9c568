"""Builders shared by the load tests: loads and orders of a few lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from surgeproof.model.plan import ArrivalPart, Load, Phase

MakeLoad = Callable[..., Load]


@pytest.fixture
def make_load() -> MakeLoad:
    def make(
        *phases: tuple[str, float, list[ArrivalPart]],
        mixes: Mapping[str, Mapping[str, float]] | None = None,
        unit: str = "request",
        file: Path = Path("scenario.py"),
    ) -> Load:
        made: list[Phase] = []
        start_s = 0.0
        for name, duration_s, parts in phases:
            made.append(Phase(name, start_s, duration_s, tuple(parts)))
            start_s += duration_s
        return Load(file, "locust", unit, tuple(made), mixes or {})

    return make
