"""The autoscaler's rule, on a clock of the test's own."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from target_app.autoscaler import GATEWAY, WORKER, HpaRule, ScalingPolicy

POLICY = ScalingPolicy("gateway", "app_http_in_flight", 10, most=4, stabilisation_s=20)


class HandClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("current", "per_replica", "desired"),
    [
        pytest.param(1, 10, 1, id="at the target nothing changes"),
        pytest.param(1, 10.9, 1, id="within the tolerance above nothing changes"),
        pytest.param(2, 9.2, 2, id="within the tolerance below nothing changes"),
        pytest.param(1, 11.5, 2, id="a little above the tolerance asks for one more"),
        pytest.param(2, 15, 3, id="half as much again asks for half as many again"),
        pytest.param(1, 35, 4, id="a surge is met in one step"),
        pytest.param(2, 900, 4, id="there are never more than the most"),
        pytest.param(3, 0, 1, id="without load the first one stays"),
    ],
)
def test_desired_is_current_times_metric_over_target(
    current: int, per_replica: float, desired: int
) -> None:
    assert HpaRule(POLICY, HandClock()).desired(current, per_replica) == desired


def test_a_short_lull_ends_no_replica() -> None:
    clock = HandClock()
    rule = HpaRule(POLICY, clock)
    assert rule.desired(1, 30) == 3
    clock.now_s = 5
    assert rule.desired(3, 1) == 3
    clock.now_s = 20.5
    assert rule.desired(3, 1) == 1


def simulate(loads: list[float], policy: ScalingPolicy) -> list[int]:
    """Return the replicas second by second under a total load that they share evenly."""
    clock = HandClock()
    rule = HpaRule(policy, clock)
    replicas = [1]
    for load in loads:
        clock.now_s += 1
        replicas.append(rule.desired(replicas[-1], load / replicas[-1]))
    return replicas


def test_a_launch_curve_is_followed_up_at_once_and_down_without_flapping() -> None:
    loads = [5.0] * 10 + [28.0] * 30 + [18.0, 28.0] * 15 + [5.0] * 40
    replicas = simulate(loads, POLICY)
    assert replicas[11:72] == [3] * 61
    assert replicas[-1] == 1
    assert sum(before != after for before, after in itertools.pairwise(replicas)) == 2


def test_a_steady_load_near_the_target_never_flaps() -> None:
    assert set(simulate([9.5, 10.5] * 100, replace(POLICY, stabilisation_s=0))) == {1}


def test_gateways_and_workers_have_the_bounds_of_the_reference_stack() -> None:
    assert (GATEWAY.most, WORKER.most) == (3, 4)
