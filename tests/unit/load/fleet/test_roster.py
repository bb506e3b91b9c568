"""The roster: leave that is never taken back, and what follows from silence."""

from __future__ import annotations

import pytest

from surgeproof.load.fleet.dealing import Epoch, Takeover
from surgeproof.load.fleet.roster import Presence, Roster, Timing


def begun(*numbers: int) -> Roster:
    roster = Roster(Timing(leave_s=4.0, silence_s=3.0, lead_s=0.1))
    for number in numbers:
        roster.join(number)
        roster.ready(number)
    roster.begin()
    return roster


def test_a_run_begins_with_those_who_are_ready() -> None:
    roster = Roster()
    for number in (0, 1, 2):
        roster.join(number)
    roster.ready(2)
    roster.ready(0)
    roster.begin()
    assert roster.dealing.changes == (Epoch(0.0, (0, 2)),)
    assert roster.numbers(Presence.PREPARING) == (1,)


def test_a_run_cannot_begin_with_nobody() -> None:
    with pytest.raises(ValueError, match="one or more"):
        Roster().begin()


def test_a_sign_of_life_extends_the_leave_and_never_shortens_it() -> None:
    roster = begun(0)
    assert roster.heard(0, 1.0) == pytest.approx(5.0)
    assert roster.heard(0, 0.5) == pytest.approx(5.0)


def test_a_dead_workers_slots_are_dealt_a_moment_ahead() -> None:
    roster = begun(0, 1, 2)
    assert roster.lose(1, 2.0, is_dead=True) == Takeover(2.1, 1, (0, 2))


def test_a_silent_workers_slots_are_dealt_from_where_its_leave_ends() -> None:
    roster = begun(0, 1)
    roster.heard(1, 2.0)
    roster.heard(0, 5.5)
    assert roster.silent(4.9) == ()
    assert roster.silent(5.1) == (1,)
    assert roster.lose(1, 5.1, is_dead=False) == Takeover(6.0, 1, (0,))


def test_what_the_master_was_held_up_is_no_silence() -> None:
    roster = begun(0)
    roster.forgive(2.0)
    assert roster.silent(4.9) == ()
    assert roster.silent(5.1) == (0,)


def test_the_last_ones_slots_have_no_heir() -> None:
    roster = begun(0)
    assert roster.lose(0, 1.0, is_dead=True) is None
    assert roster.sending == ()


def test_a_late_joiner_has_its_share_from_where_everybodys_leave_ends() -> None:
    roster = begun(0, 1)
    roster.heard(0, 3.0)
    roster.join(2)
    roster.ready(2)
    assert roster.admit(2, 3.5) == pytest.approx(7.0)
    assert roster.dealing.changes[-1] == Epoch(7.0, (0, 1, 2))


def test_one_that_is_back_waits_for_the_next_cut_off_too() -> None:
    roster = begun(0, 1)
    roster.lose(1, 3.2, is_dead=False)
    roster.heard(0, 5.0)
    assert roster.admit(1, 5.2) == pytest.approx(9.0)
    assert roster.sending == (0, 1)


def test_one_that_quits_leaves_all_it_has_not_started() -> None:
    roster = begun(0, 1)
    assert roster.leave(1, 2.0, 1.75) == Takeover(1.75, 1, (0,))
    assert roster.numbers(Presence.ENDED) == (1,)


def test_the_leave_of_one_that_quit_holds_up_nobody() -> None:
    roster = begun(0, 1)
    roster.heard(1, 2.0)
    roster.leave(1, 2.0, 2.0)
    roster.join(2)
    roster.ready(2)
    assert roster.admit(2, 2.0) == pytest.approx(4.0)
