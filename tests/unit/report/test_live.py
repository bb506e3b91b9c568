"""The live view, with a clock that only moves when told."""

from __future__ import annotations

import io
import itertools
import re
from dataclasses import replace
from typing import Protocol

import pytest

from surgeproof.clock import Clock
from surgeproof.report.live import BeatingView, LiveState, PlainView, open_live_view
from surgeproof.report.live_terminal import TerminalView
from surgeproof.report.wording import NOTHING


class MovableClock(Clock, Protocol):
    now_s: float


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


STATE = LiveState(
    t_s=10.0,
    duration_s=108.0,
    phase="surge",
    offered_per_s=44.0,
    completed_per_s=43.5,
    p99_s=0.182,
    p99_limit_s=0.4,
    error_ratio=0.002,
)


def spaced(stream: io.StringIO) -> list[str]:
    return stream.getvalue().replace("\N{NO-BREAK SPACE}", " ").splitlines()


def feed(view: PlainView | TerminalView, clock: MovableClock, seconds: float) -> None:
    """Feed ten snapshots a second."""
    start_s = clock.now_s
    for step in range(round(seconds * 10)):
        clock.now_s = start_s + step / 10
        view.update(replace(STATE, t_s=10.0 + step / 10))


def test_a_plain_line_comes_at_least_every_five_seconds_and_not_much_more_often(
    clock: MovableClock,
) -> None:
    stream = io.StringIO()
    feed(PlainView(stream, clock), clock, 60.0)
    times = [float(line.partition(" s")[0]) for line in spaced(stream) if " of 108 s" in line]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) <= 5.0
    assert min(gaps) >= 4.0


def test_a_plain_line_tells_rates_p99_with_its_limit_errors_and_time_left(
    clock: MovableClock,
) -> None:
    stream = io.StringIO()
    PlainView(stream, clock).update(STATE)
    assert spaced(stream)[-1] == (
        "  10.0 s of 108 s | surge | offered 44/s | completed 43.5/s | p99 182 ms (limit 400 ms) "
        "| errors 0.2 % | 1 min 38 s left"
    )


def test_edges_of_phases_and_faults_are_lines_of_their_own_at_once(clock: MovableClock) -> None:
    stream = io.StringIO()
    view = PlainView(stream, clock)
    view.update(STATE)
    stream.truncate(0)
    stream.seek(0)
    view.update(replace(STATE, t_s=48.0, active_faults=(("redis-down", 18.0),)))
    view.update(replace(STATE, t_s=66.0, phase="calm", gates_breached=("feed-p99",)))
    assert spaced(stream) == [
        "  48.0 s | fault redis-down is in force for 18 s",
        "  66.0 s | phase: calm",
        "  66.0 s | fault redis-down is removed",
        "  66.0 s | gate feed-p99 is breached",
    ]


def test_an_edge_does_not_put_off_the_regular_line(clock: MovableClock) -> None:
    stream = io.StringIO()
    view = PlainView(stream, clock)
    for second in range(20):
        clock.now_s += 1.0
        view.update(replace(STATE, t_s=float(second), phase=f"phase-{second}"))
    assert sum(" of 108 s" in line for line in spaced(stream)) == 4


def test_active_faults_count_down(clock: MovableClock) -> None:
    stream = io.StringIO()
    view = PlainView(stream, clock)
    for left_s in (18.0, 9.0):
        view.update(replace(STATE, active_faults=(("redis-down", left_s),)))
        clock.now_s += 10
    assert "faults redis-down (9 s left)" in spaced(stream)[-1]


def test_a_long_step_without_snapshots_is_no_silence(clock: MovableClock) -> None:
    stream = io.StringIO()
    view = PlainView(stream, clock)
    view.say("starting the stack")
    for _ in range(48):
        clock.now_s += 0.25
        view.beat()
    assert spaced(stream) == [
        "starting the stack",
        "starting the stack … 4 s",
        "starting the stack … 9 s",
    ]


def test_nothing_known_is_a_dash_and_not_zero(clock: MovableClock) -> None:
    stream = io.StringIO()
    PlainView(stream, clock).update(LiveState(1.0, 10.0, "surge", offered_per_s=3.0))
    known = [part for part in spaced(stream)[-1].split(" | ") if NOTHING in part]
    assert known == [f"completed {NOTHING}", f"p99 {NOTHING}", f"errors {NOTHING}"]


def test_a_name_cannot_write_control_codes_to_the_terminal(clock: MovableClock) -> None:
    stream = io.StringIO()
    PlainView(stream, clock).update(replace(STATE, active_faults=(("\x1b[2Jx\n", 1.0),)))
    assert "\x1b" not in stream.getvalue()


def test_a_closed_pipe_does_not_end_the_run(clock: MovableClock) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    view = PlainView(Broken(), clock)
    view.update(STATE)
    view.say("going on")
    view.close()


def test_the_panel_is_drawn_at_most_four_times_a_second(clock: MovableClock) -> None:
    class Counting(Terminal):
        frames = 0

        def write(self, text: str) -> int:
            self.frames += "offered" in text
            return super().write(text)

    stream = Counting()
    view = TerminalView(stream, clock)
    feed(view, clock, 5.0)
    view.close()
    view.close()
    assert 15 <= stream.frames <= 4 * 5 + 2


def test_the_panel_shows_phase_rates_and_the_fault(clock: MovableClock) -> None:
    stream = Terminal()
    view = TerminalView(stream, clock, no_color=True)
    view.update(replace(STATE, active_faults=(("redis-down", 7.0),)))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "\n".join(spaced(stream)))
    view.close()
    for needed in ("surge", "offered 44/s", "182 ms (limit 400 ms)", "redis-down (7 s left)"):
        assert needed in text


def test_without_colour_there_is_none(clock: MovableClock) -> None:
    stream = Terminal()
    view = TerminalView(stream, clock, no_color=True)
    view.update(replace(STATE, p99_s=0.9))
    view.close()
    assert "\x1b[31m" not in stream.getvalue()
    assert "\x1b[1;31m" not in stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "environ", "kind"),
    [
        pytest.param(Terminal(), {}, TerminalView, id="a terminal"),
        pytest.param(Terminal(), {"CI": "true"}, PlainView, id="CI with a terminal"),
        pytest.param(Terminal(), {"CI": "false"}, TerminalView, id="CI switched off"),
        pytest.param(Terminal(), {"TERM": "dumb"}, PlainView, id="a dumb terminal"),
        pytest.param(io.StringIO(), {}, PlainView, id="a pipe"),
    ],
)
def test_the_kind_of_view_follows_the_stream_and_the_environment(
    stream: io.StringIO, environ: dict[str, str], kind: type, clock: MovableClock
) -> None:
    view = open_live_view(stream, environ, clock)
    try:
        assert isinstance(view, BeatingView)
        assert type(view._view) is kind
    finally:
        view.close()
