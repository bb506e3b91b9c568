"""What every service promises, and how it looks when the promise is broken on purpose."""

from __future__ import annotations

import io
import itertools
import threading

import pytest

from target_app.clock import SystemClock
from target_app.serving.admission import Admission, AdmissionPolicy
from target_app.serving.knobs import LEVELS, Knobs
from target_app.serving.log import JsonLog


class SlowSink(io.StringIO):
    """A reader of the log that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()
        self.is_waiting = threading.Event()

    def write(self, text: str) -> int:
        self.is_waiting.set()
        assert self.may_go.wait(5)
        return super().write(text)


@pytest.mark.parametrize("is_sync", [False, True], ids=["healthy", "sync_logging"])
def test_a_slow_reader_of_the_log_holds_up_events_with_sync_logging_only(is_sync: bool) -> None:
    sink = SlowSink()
    log = JsonLog(sink, "gateway", SystemClock(), is_sync=is_sync)
    log.start()
    caller = threading.Thread(target=log.info, args=("request",))
    caller.start()
    assert sink.is_waiting.wait(5)
    if not is_sync:
        caller.join(5)
    assert caller.is_alive() is is_sync
    sink.may_go.set()
    caller.join(5)
    log.close()
    assert '"event":"request"' in sink.getvalue()


def overloaded(*defects: str) -> Admission:
    """Return an admission that is cut by half of its ranks, with no room left."""
    admission = Admission(
        AdmissionPolicy(max_in_flight=10), SystemClock(), has_defect=lambda word: word in defects
    )
    admission._cut = 200
    return admission


def test_lower_tiers_are_refused_first_but_with_priority_inversion() -> None:
    healthy, broken = overloaded(), overloaded("priority_inversion")
    assert healthy.try_enter(0, 100) is None
    assert healthy.try_enter(3, 10) == "overload"
    assert broken.try_enter(0, 100) == "overload"
    assert broken.try_enter(3, 10) is None


def test_there_is_a_limit_to_what_is_in_flight_but_with_unbounded_queue() -> None:
    healthy, broken = overloaded(), overloaded("unbounded_queue")
    answers = [healthy.try_enter(0, 0) for _ in range(20)]
    assert answers.count(None) == 10
    assert set(answers[10:]) == {"in_flight"}
    assert [broken.try_enter(0, 0) for _ in range(20)] == [None] * 20


def test_each_level_gives_up_what_the_one_below_does_and_more() -> None:
    knobs = Knobs()
    off = []
    for level in range(5):
        knobs.turn(level)
        off.append({feature for feature in LEVELS if knobs.is_off(feature)})
    assert off[0] == set()
    assert all(lower < higher for lower, higher in itertools.pairwise(off))
    with pytest.raises(ValueError, match="level is 5"):
        knobs.turn(5)


def test_knobs_follow_the_signal_until_they_are_turned_by_hand() -> None:
    signal = [3]
    knobs = Knobs(lambda: signal[0])
    assert knobs.level == 3
    knobs.turn(1)
    assert knobs.level == 1
    knobs.turn(None)
    signal[0] = 9
    assert knobs.level == 4
