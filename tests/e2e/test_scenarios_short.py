"""Every scenario beside launch day in its short form, each on a stack of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

# What the conftest's fixtures make; its classes cannot be imported from here.
Rehearsal = Any
Start = Callable[..., Rehearsal]

SCENARIOS = ("celebrity_post", "viral_post", "spam_wave", "early_start")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_healthy_app_passes_the_short_form(
    scenario: str, start_rehearsal: Start, tmp_path: Path
) -> None:
    plan = Path("scenarios") / f"{scenario}.yaml"
    run = start_rehearsal(plan, tmp_path / "runs", "--profile", "short")
    assert run.wait() == 0, run.stdout + run.stderr
    assert run.result()["verdict"]["words"] == "GO"
