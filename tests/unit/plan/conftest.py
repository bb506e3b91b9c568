"""A small, whole plan in a folder of its own, and ways to spoil it line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from surgeproof.errors import PlanError
from surgeproof.model.plan import Plan
from surgeproof.plan import load_plan

# The line numbers in the tests are those of this text.
PLAN = """\
version: 1
name: small
seed: 7
target:
  driver: external
  base_url: http://127.0.0.1:8080
  edges: edges.toml
  headers: {Authorization: "Bearer ${TOKEN}"}
  toxiproxy: http://127.0.0.1:8474
timeout: 3m
endpoints:
  - {name: "GET /feed", tier: T0, deadline: 1s}
  - {name: "POST /posts", tier: T1, deadline: 2s}
load:
  file: scenario.py
  mix: mix.toml
  phases:
    - {name: warmup, duration: 10s, mix: steady, arrivals: {constant: {rate: 10/s}}}
    - name: surge
      duration: 60s
      mix: launch
      arrivals:
        - constant: {rate: 20/s}
        - burst: {at: 20s, for: 5s, rate: 30/s}
faults:
  - {name: slow, edge: db, kind: latency, at: surge.start + 5s, for: 10s, latency: 120ms, jitter: 30ms}
  - {name: gone, edge: cache, kind: down, at: surge.end - 25s, for: 10s}
guards:
  - 'http.errors: rate < 50% over 20s'
gates:
  - 'http.response_time{name="GET /feed"}: p95 < 400ms during fault:gone'
  - 'http.errors: rate < 1%'
ledger: [post]
profiles:
  short:
    timeout: 2m
    load: {late_after: 20ms}
"""  # noqa: E501 - a line of a plan, as people write them
EDGES = "\n".join(
    f'[[edge]]\nname = "{name}"\ndependency = "{name}"\nfrom = "app"\nto = "{name}"\n'
    f'upstream = "{name}"\ntimeout = "250ms"\nfallback = "none"\n'
    for name in ("db", "cache")
)
MIX = """\
[steady]
"GET /feed" = 9
"POST /posts" = 1
[launch]
"GET /feed" = 3
"POST /posts" = 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the plan's files; the plan itself is ``plan.yaml``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "edges.toml").write_text(EDGES)
    (tmp_path / "mix.toml").write_text(MIX)
    (tmp_path / "scenario.py").write_text("")
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Callable[..., Plan]:
    """Load the plan with some of its text replaced: ``load((old, new), …)``."""

    def read(
        *changes: tuple[str, str], overrides: Sequence[str] = (), profile: str | None = None
    ) -> Plan:
        text = PLAN
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} must be in the plan once"
            text = text.replace(old, new)
        (folder / "plan.yaml").write_text(text)
        return load_plan(Path("plan.yaml"), overrides, profile)

    return read


@pytest.fixture
def mistakes(load: Callable[..., Plan]) -> Callable[..., list[str]]:
    """Load a spoilt plan and return its mistakes as they are printed."""

    def read(
        *changes: tuple[str, str], overrides: Sequence[str] = (), profile: str | None = None
    ) -> list[str]:
        with pytest.raises(PlanError) as caught:
            load(*changes, overrides=overrides, profile=profile)
        return [str(mistake) for mistake in caught.value.mistakes]

    return read
