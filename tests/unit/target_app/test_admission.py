"""Admission: who is refused under overload, and how the door opens again."""

from __future__ import annotations

from target_app.serving.admission import Admission, AdmissionPolicy


class HandClock:
    now_s = 10.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


def play_window(
    admission: Admission, clock: HandClock, delay_s: float, per_tier: int = 128
) -> dict[int, int]:
    """Send requests of all tiers and buckets through one window; return who got in by tier."""
    admitted = dict.fromkeys(range(4), 0)
    for bucket in range(per_tier):
        for tier in range(4):
            if admission.try_enter(tier, bucket) is None:
                admitted[tier] += 1
                admission.leave()
                admission.note_queue_delay(delay_s)
    clock.now_s += 1.0
    admission.note_loop_lag(0.0)
    return admitted


def make(max_in_flight: int = 256) -> tuple[Admission, HandClock]:
    clock = HandClock()
    policy = AdmissionPolicy(window_requests=10_000, max_in_flight=max_in_flight)
    return Admission(policy, clock), clock


def test_nobody_is_refused_while_requests_do_not_wait() -> None:
    admission, clock = make()
    for _ in range(5):
        assert play_window(admission, clock, 0.001) == dict.fromkeys(range(4), 128)
    assert admission.level == 0.0


def test_overload_refuses_the_lowest_tier_first_and_never_tier_0() -> None:
    admission, clock = make()
    history = [play_window(admission, clock, 0.1) for _ in range(12)]
    for admitted in history:
        assert admitted[0] == 128
        assert admitted[0] >= admitted[1] >= admitted[2] >= admitted[3]
        # A tier is touched only when the one below it is shut.
        assert all(admitted[tier] == 128 or admitted[tier + 1] == 0 for tier in (1, 2))
    assert history[-1] == {0: 128, 1: 0, 2: 0, 3: 0}
    assert admission.level == 1.0


def test_within_a_tier_the_same_users_are_refused_in_every_window() -> None:
    admission, clock = make()
    play_window(admission, clock, 0.03)
    refused = [bucket for bucket in range(128) if admission.try_enter(3, bucket) is not None]
    assert refused
    assert refused == list(range(refused[0], 128))


def test_a_longer_delay_cuts_more_at_once() -> None:
    mild, mild_clock = make()
    severe, severe_clock = make()
    play_window(mild, mild_clock, 0.021)
    play_window(severe, severe_clock, 0.2)
    assert 0 < mild.level < severe.level


def test_between_calm_and_overload_the_cut_stays() -> None:
    admission, clock = make()
    play_window(admission, clock, 0.05)
    level = admission.level
    play_window(admission, clock, 0.015)
    assert admission.level == level > 0


def test_the_door_is_fully_open_after_seven_calm_windows() -> None:
    admission, clock = make()
    while admission.level < 1.0:
        play_window(admission, clock, 0.1)
    levels = []
    for _ in range(7):
        play_window(admission, clock, 0.0)
        levels.append(admission.level)
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.9
    assert levels[-1] == 0.0


def test_a_late_event_loop_counts_as_overload_too() -> None:
    admission, clock = make()
    for bucket in range(128):
        if admission.try_enter(3, bucket) is None:
            admission.leave()
    clock.now_s += 1.0
    admission.note_loop_lag(0.05)
    assert admission.level > 0


def test_a_handful_of_requests_is_no_overload_however_slow() -> None:
    admission, clock = make()
    play_window(admission, clock, 5.0, per_tier=4)
    assert admission.level == 0.0


def test_tier_0_still_finds_room_when_the_others_fill_the_house() -> None:
    admission, _ = make(max_in_flight=10)
    assert [admission.try_enter(1, 0) for _ in range(9)] == [None] * 8 + ["in_flight"]
    assert [admission.try_enter(0, 0) for _ in range(3)] == [None, None, "in_flight"]
    admission.leave()
    assert admission.try_enter(0, 0) is None
