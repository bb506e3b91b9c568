"""Locust and k6 on one schedule against one server: what they say of it is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from surgeproof.load.k6.agree import compare_journals

pytestmark = pytest.mark.integration

# What the conftest's fixtures make; its classes cannot be imported from here.
Target = Any
StartRun = Callable[..., Any]


def test_both_engines_send_the_same_arrivals_and_say_the_same_of_them(
    target: Target, start_run: StartRun
) -> None:
    journals, seen = [], []
    for engine in ("locust", "k6"):
        target.seen.clear()
        run = start_run(target.url, engine=engine, rate=40, duration_s=4)
        run.begin(lead_s=0.5)
        assert run.wait() == 0, run.output()
        journals.append((run.samples, run.drops))
        seen.append((target.seen["/a"], sum(target.seen.values()) - target.seen["/prepare"]))
        run.folder.parent.rename(run.folder.parent.with_name(f"run-{engine}"))
    assert seen[0] == seen[1]
    agreement = compare_journals(*journals)
    assert agreement.seconds_apart == ()
    # Times are the machine's matter, all else is not.
    apart = [row.name for row in agreement.rows if not row.agrees]
    assert all(name.startswith("service time") for name in apart), str(agreement)
    assert {"GET /a", "POST /b", "error ratio"} <= {row.name for row in agreement.rows}
